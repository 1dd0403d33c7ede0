//! Records in the store: `evidence/<number>.json`, each created only if absent and holding the digest of the one
//! before. Nothing here changes or removes one.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::dsse::Envelope;
use super::key::SigningKey;
use super::published::PublishedKey;
use super::statement::{Link, LinkDigest, PAYLOAD_TYPE};
use super::{EvidenceError, Record};
use crate::stack::Name;
use crate::storage::{Created, SharedStore, StorageError};

pub(super) const FOLDER: &str = "evidence/";
pub(super) const KEYS: &str = "evidence/keys/";

/// How many objects are asked for at once: a store that answers in 20 ms gives 10,000 of them in 6 s.
pub(super) const AT_ONCE: usize = 32;

/// How far back a run's record is looked for before it is written: a run that is resumed is among the newest.
const LOOK_BACK: u64 = 64;

/// Writers that lose this often in a row are caught in something else than a race.
const ATTEMPTS: u32 = 100;

/// A stack's evidence.
#[derive(Debug, Clone)]
pub struct Chain {
    pub(super) store: SharedStore,
    pub(super) stack: Name,
}

/// A record that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub number: u64,
    pub digest: LinkDigest,
    /// False when the run had left its record before.
    pub new: bool,
}

/// What lies in the store, by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Sorted.
    pub numbers: Vec<u64>,
    /// The objects of published keys.
    pub keys: Vec<String>,
    /// What drydock has not put there.
    pub foreign: Vec<String>,
}

impl Chain {
    #[must_use]
    pub fn new(store: SharedStore, stack: Name) -> Self {
        Self { store, stack }
    }

    /// Signs `record`, gives it the next number, and publishes the key where it is new; stored when this returns. Of
    /// writers that race each gets a number of its own. A run that has left its record already leaves no second.
    ///
    /// # Errors
    /// When the store cannot be asked, the key may not sign now, or the record contradicts itself.
    ///
    /// # Cancel safety
    /// Whatever has happened, calling it again for the same run is right.
    pub async fn append(&self, record: &Record, key: &SigningKey, now: Timestamp) -> Result<Appended, EvidenceError> {
        let run = record.run.clone();
        if let Some(fault) = record.fault() {
            return Err(EvidenceError::Fault { run, fault });
        }
        if record.stack != self.stack {
            return Err(EvidenceError::Fault { run, fault: "it is of another stack" });
        }
        self.publish(key, now).await?;
        let mut head = self.listing().await?.numbers.last().copied().unwrap_or(0);
        let mut looked = head.saturating_sub(LOOK_BACK);
        for _ in 0..ATTEMPTS {
            if let Some(there) = self.left_by(&record.run, looked + 1, head).await? {
                return Ok(there);
            }
            looked = head;
            let previous = match head {
                0 => None,
                head => Some(LinkDigest::of(&self.store.get(&object(head)).await?)),
            };
            let token = format!("{:016x}", rand::random::<u64>());
            let link = Link { number: head + 1, previous, signed: now, token, record: record.clone() };
            let bytes = Bytes::from(Envelope::sign(PAYLOAD_TYPE, &link.to_json(), key).to_bytes());
            if self.store.create(&object(head + 1), bytes.clone()).await? == Created::New {
                return Ok(Appended { number: head + 1, digest: LinkDigest::of(&bytes), new: true });
            }
            head += 1;
        }
        Err(EvidenceError::Contended { attempts: ATTEMPTS })
    }

    /// Says that `key` signs nothing from `until` on; what it signed before counts for ever.
    ///
    /// # Errors
    /// When it has signed nothing here, or was retired before.
    pub async fn retire(&self, key: &SigningKey, until: Timestamp) -> Result<PublishedKey, EvidenceError> {
        let id = key.public().id();
        let Some(mut published) = self.published(key).await? else { return Err(EvidenceError::NotPublished { id }) };
        if let Some(before) = published.valid_until {
            let (from, until) = (published.valid_from, Some(before));
            return Err(EvidenceError::OutOfTime { id, now: before, from, until });
        }
        published.valid_until = Some(until);
        self.store.put(&key_object(key), vec![published.sign(key)]).await?;
        Ok(published)
    }

    /// Whether `key` has signed here before; changes nothing.
    ///
    /// # Errors
    /// Why it may not sign at `now`.
    pub async fn may_sign(&self, key: &SigningKey, now: Timestamp) -> Result<bool, EvidenceError> {
        let Some(published) = self.published(key).await? else { return Ok(false) };
        self.judge(published, now).map(|()| true)
    }

    async fn publish(&self, key: &SigningKey, now: Timestamp) -> Result<(), EvidenceError> {
        if self.may_sign(key, now).await? {
            return Ok(());
        }
        let new = PublishedKey::new(key.public(), &self.stack, now);
        match self.store.create(&key_object(key), new.sign(key)).await? {
            Created::New => Ok(()),
            Created::Exists => self.may_sign(key, now).await.map(drop),
        }
    }

    fn judge(&self, published: PublishedKey, now: Timestamp) -> Result<(), EvidenceError> {
        let PublishedKey { key_id: id, valid_from: from, valid_until: until, .. } = published;
        if published.stack != self.stack {
            return Err(EvidenceError::OtherStacksKey { id, found: published.stack, stack: self.stack.clone() });
        }
        if !published.covers(now) {
            return Err(EvidenceError::OutOfTime { id, now, from, until });
        }
        Ok(())
    }

    async fn published(&self, key: &SigningKey) -> Result<Option<PublishedKey>, EvidenceError> {
        let object = key_object(key);
        let bytes = match self.store.get(&object).await {
            Ok(bytes) => bytes,
            Err(StorageError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match PublishedKey::from_bytes(&bytes) {
            Ok((published, _)) => Ok(Some(published)),
            Err(reason) => Err(EvidenceError::Published { object, reason }),
        }
    }

    /// The record of `run` among `from..=to`.
    async fn left_by(&self, run: &str, from: u64, to: u64) -> Result<Option<Appended>, EvidenceError> {
        let mut records = stream::iter(from..=to)
            .map(|number| async move { self.store.get(&object(number)).await.map(|bytes| (number, bytes)) })
            .buffered(AT_ONCE);
        loop {
            match records.try_next().await {
                Ok(Some((number, bytes))) => {
                    // One that cannot be read is no reason to keep a new one from being written; `verify` names it.
                    let payload = Envelope::from_bytes(&bytes).ok().and_then(|envelope| envelope.unproven_payload());
                    let link = payload.and_then(|json| Link::from_json(&json).ok());
                    if link.is_some_and(|link| link.record.run == run) {
                        return Ok(Some(Appended { number, digest: LinkDigest::of(&bytes), new: false }));
                    }
                }
                Ok(None) => return Ok(None),
                Err(StorageError::NotFound { .. }) => {} // a gap, which `verify` names
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) async fn listing(&self) -> Result<Listing, EvidenceError> {
        let mut listing = Listing::default();
        for key in self.store.list(FOLDER).await?.into_iter().map(|meta| meta.key) {
            match number(&key) {
                Some(number) => listing.numbers.push(number),
                None if key.starts_with(KEYS) => listing.keys.push(key),
                None => listing.foreign.push(key),
            }
        }
        listing.numbers.sort_unstable();
        listing.keys.sort_unstable();
        listing.foreign.sort_unstable();
        Ok(listing)
    }
}

/// In order when sorted as text, up to a million; numbers decide.
pub(super) fn object(number: u64) -> String {
    format!("{FOLDER}{number:06}.json")
}

fn number(key: &str) -> Option<u64> {
    let number = key.strip_prefix(FOLDER)?.strip_suffix(".json")?.parse().ok()?;
    (number > 0 && object(number) == key).then_some(number)
}

pub(super) fn key_object(key: &SigningKey) -> String {
    format!("{KEYS}{}.json", key.public().id())
}

//! What the stored evidence is worth: every envelope's signature, its key and that key's time, its number, the digest
//! of the one before. Owns the words for what is wrong; shows nothing of a record that no trusted key has signed.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::EvidenceError;
use super::chain::{AT_ONCE, Chain, object};
use super::dsse::{Envelope, EnvelopeError};
use super::key::{KeyId, PublicKey};
use super::published::PublishedKey;
use super::statement::{Link, LinkDigest, PAYLOAD_TYPE};
use crate::stack::Name;
use crate::storage::StorageError;

/// A key that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    pub key: PublicKey,
    /// When it signs, where that is known.
    pub published: Option<PublishedKey>,
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The keys that lie beside the evidence. Whoever may write to the store can put one there.
    Published,
    /// These and no others: the verifier got them by another way.
    Only(Vec<TrustedKey>),
}

/// Something that was known before: this record was there, with this digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    pub number: u64,
    pub digest: LinkDigest,
}

/// All that was looked at, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Examined {
    pub stack: Name,
    /// In the order of their numbers.
    pub entries: Vec<Entry>,
    /// Numbers that should be there and are not.
    pub gaps: Vec<RangeInclusive<u64>>,
    pub keys: Vec<KeyEntry>,
    /// Objects beside the evidence that are none of drydock's; they prove nothing and harm nothing.
    pub foreign: Vec<String>,
    /// Pins that do not hold, in words.
    pub broken_pins: Vec<String>,
}

/// One stored record.
#[derive(Debug, Clone)]
pub struct Entry {
    pub number: u64,
    pub digest: LinkDigest,
    /// Only what a trusted key has signed.
    pub link: Option<Link>,
    /// That key.
    pub key: Option<KeyId>,
    pub problems: Vec<Problem>,
}

/// One published key.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    pub object: String,
    pub published: Option<PublishedKey>,
    /// Whether its signatures count.
    pub trusted: bool,
    pub problem: Option<String>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Its bytes are not those that were signed, or none that drydock writes.
    Altered(String),
    UnknownKey(KeyId),
    /// Its key is published, but not among those that the verifier believes.
    UntrustedKey(KeyId),
    OutOfTime {
        key: KeyId,
        signed: Timestamp,
    },
    /// It lies where another number should.
    Number {
        says: u64,
    },
    /// What lies before it is not what lay there when it was signed.
    Previous {
        said: Option<LinkDigest>,
        found: LinkDigest,
    },
    Stack {
        found: Name,
    },
}

impl Examined {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.gaps.is_empty()
            && self.broken_pins.is_empty()
            && self.keys.iter().all(|key| key.problem.is_none())
            && self.entries.iter().all(|entry| entry.problems.is_empty())
    }

    /// Every fault with the object that it is of, in words, gaps first.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let gaps = self.gaps.iter().map(|gap| match (gap.start(), gap.end()) {
            (from, to) if from == to => format!("{}: missing", object(*from)),
            (from, to) => format!("{} to {}: missing", object(*from), object(*to)),
        });
        let keys = self.keys.iter().filter_map(|key| Some(format!("{}: {}", key.object, key.problem.as_ref()?)));
        let of_entry = |entry: &Entry| {
            let object = object(entry.number);
            entry.problems.iter().map(|problem| format!("{object}: {problem}")).collect::<Vec<_>>()
        };
        let entries = self.entries.iter().flat_map(of_entry);
        gaps.chain(keys).chain(entries).chain(self.broken_pins.iter().cloned()).collect()
    }

    /// The newest number and digest: who notes them elsewhere will know if what is newest now goes missing.
    #[must_use]
    pub fn head(&self) -> Option<Pin> {
        self.entries.last().map(|entry| Pin { number: entry.number, digest: entry.digest })
    }

    /// Verified records, the newest last.
    pub fn links(&self) -> impl DoubleEndedIterator<Item = &Link> {
        self.entries.iter().filter(|entry| entry.problems.is_empty()).filter_map(|entry| entry.link.as_ref())
    }
}

impl Chain {
    /// Reads and verifies the newest `last` records, or all.
    ///
    /// # Errors
    /// When the store could not be asked; what is wrong with the evidence is no error but what was asked for.
    pub async fn examine(&self, last: Option<u64>, trust: &Trust, pins: &[Pin]) -> Result<Examined, EvidenceError> {
        let listing = self.listing().await?;
        let newest = listing.numbers.last().copied().unwrap_or(0);
        let first = last.map_or(1, |last| newest.saturating_sub(last) + 1);
        let keys = self.keys(&listing.keys, trust).await?;
        let ring = Ring::of(&keys, trust);
        // One more than was asked for: its digest is what the first of them must follow.
        let wanted = listing.numbers.iter().copied().filter(|number| *number + 1 >= first);
        let mut entries = stream::iter(wanted)
            .map(|number| async move { (number, self.store.get(&object(number)).await) })
            .buffered(AT_ONCE)
            .filter_map(|(number, got)| {
                let entry = match got {
                    Ok(bytes) => Some(Ok(self.entry(number, &bytes, &ring))),
                    Err(StorageError::NotFound { .. }) => None, // removed since it was listed: a gap
                    Err(error) => Some(Err(EvidenceError::from(error))),
                };
                async move { entry }
            })
            .try_collect::<Vec<Entry>>()
            .await?;
        follow(&mut entries);
        entries.retain(|entry| entry.number >= first);
        let broken_pins = pins.iter().filter_map(|pin| broken(*pin, &entries)).collect();
        let (gaps, foreign) = (gaps(first, &entries), listing.foreign);
        Ok(Examined { stack: self.stack.clone(), entries, gaps, keys, foreign, broken_pins })
    }

    async fn keys(&self, objects: &[String], trust: &Trust) -> Result<Vec<KeyEntry>, EvidenceError> {
        let entry = |object: String, bytes: &[u8]| match PublishedKey::from_bytes(bytes) {
            Err(problem) => KeyEntry { object, published: None, trusted: false, problem: Some(problem) },
            Ok((published, key)) => {
                let problem = if published.stack != self.stack {
                    Some(format!("it is of the stack `{}`, not of `{}`", published.stack, self.stack))
                } else if !object.ends_with(&format!("/{}.json", published.key_id)) {
                    Some(format!("it holds the key {}", published.key_id.short()))
                } else {
                    None
                };
                let trusted = problem.is_none() && trust.includes(key);
                KeyEntry { object, published: Some(published), trusted, problem }
            }
        };
        let read = |object: String| async move { self.store.get(&object).await.map(|bytes| (object, bytes)) };
        let got = stream::iter(objects.to_vec()).map(read).buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(got.into_iter().map(|(object, bytes)| entry(object, &bytes)).collect())
    }

    fn entry(&self, number: u64, bytes: &[u8], ring: &Ring) -> Entry {
        let digest = LinkDigest::of(bytes);
        let (key, link) = match ring.open(bytes) {
            Ok(opened) => opened,
            Err(problem) => return Entry { number, digest, link: None, key: None, problems: vec![problem] },
        };
        let mut problems = Vec::new();
        if link.record.stack != self.stack {
            problems.push(Problem::Stack { found: link.record.stack.clone() });
        }
        if link.number != number {
            problems.push(Problem::Number { says: link.number });
        }
        Entry { number, digest, link: Some(link), key: Some(key), problems }
    }
}

/// Verifies one envelope by itself: signature, key, key's time. Its place among others is not looked at.
///
/// # Errors
/// What is wrong with it.
pub fn verify_alone(bytes: &[u8], keys: &[TrustedKey]) -> Result<(KeyId, Link), Problem> {
    Ring::of(&[], &Trust::Only(keys.to_vec())).open(bytes)
}

/// The keys by id, with whether they are believed.
struct Ring {
    trusted: BTreeMap<KeyId, TrustedKey>,
    published: Vec<KeyId>,
}

impl Ring {
    fn of(keys: &[KeyEntry], trust: &Trust) -> Self {
        let published = keys.iter().filter_map(|entry| entry.published.as_ref());
        let mut ring = Self { trusted: BTreeMap::new(), published: published.map(|key| key.key_id).collect() };
        for entry in keys.iter().filter(|entry| entry.trusted) {
            let Some(published) = &entry.published else { continue };
            if let Ok(key) = PublicKey::from_pem(&published.public_key) {
                let trusted = TrustedKey { key, published: Some(published.clone()) };
                ring.trusted.insert(key.id(), trusted);
            }
        }
        if let Trust::Only(only) = trust {
            for key in only {
                // A key that came with its dates keeps them: those in the store may be younger, and not the verifier's.
                if key.published.is_some() || !ring.trusted.contains_key(&key.key.id()) {
                    ring.trusted.insert(key.key.id(), key.clone());
                }
            }
        }
        ring
    }

    fn open(&self, bytes: &[u8]) -> Result<(KeyId, Link), Problem> {
        let altered = |error: EnvelopeError| Problem::Altered(error.to_string());
        let envelope = Envelope::from_bytes(bytes).map_err(altered)?;
        let id = envelope.key_id();
        let Some(trusted) = self.trusted.get(&id) else {
            let is_published = self.published.contains(&id);
            return Err(if is_published { Problem::UntrustedKey(id) } else { Problem::UnknownKey(id) });
        };
        let json = envelope.verify(PAYLOAD_TYPE, trusted.key).map_err(altered)?;
        let link = Link::from_json(&json).map_err(Problem::Altered)?;
        match &trusted.published {
            Some(published) if !published.covers(link.signed) => {
                Err(Problem::OutOfTime { key: id, signed: link.signed })
            }
            Some(published) if published.stack != link.record.stack => {
                Err(Problem::Stack { found: link.record.stack.clone() })
            }
            _ => Ok((id, link)),
        }
    }
}

impl Trust {
    fn includes(&self, key: PublicKey) -> bool {
        match self {
            Self::Published => true,
            Self::Only(keys) => keys.iter().any(|trusted| trusted.key == key),
        }
    }
}

/// Holds each record against the one before, where that is there and is itself in order.
fn follow(entries: &mut [Entry]) {
    for at in 0..entries.len() {
        let (before, rest) = entries.split_at_mut(at);
        let Some(entry) = rest.first_mut() else { continue };
        let Some(link) = entry.link.as_ref().filter(|link| link.number == entry.number) else { continue };
        match before.last().filter(|before| before.number + 1 == entry.number) {
            Some(before) if before.problems.is_empty() && link.previous != Some(before.digest) => {
                entry.problems.push(Problem::Previous { said: link.previous, found: before.digest });
            }
            None if entry.number == 1 && link.previous.is_some() => {
                let what = "it says that another is before it, and it is the first".to_owned();
                entry.problems.push(Problem::Altered(what));
            }
            _ => {}
        }
    }
}

fn gaps(first: u64, entries: &[Entry]) -> Vec<RangeInclusive<u64>> {
    let mut gaps = Vec::new();
    let mut next = first;
    for entry in entries {
        if entry.number > next {
            gaps.push(next..=entry.number - 1);
        }
        next = entry.number + 1;
    }
    gaps
}

fn broken(pin: Pin, entries: &[Entry]) -> Option<String> {
    let Pin { number, digest } = pin;
    match entries.iter().find(|entry| entry.number == number) {
        Some(entry) if entry.digest == digest => None,
        Some(entry) => Some(format!("{}: its digest is {}, and {digest} was noted", object(number), entry.digest)),
        None => Some(format!("{}: it was there, with the digest {digest}, and is not now", object(number))),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered(how) => write!(f, "altered: {how}"),
            Self::UnknownKey(key) => write!(f, "signed with the key {}, which nobody knows", key.short()),
            Self::UntrustedKey(key) => {
                write!(f, "signed with the key {}, which is published but not among those that were given", key.short())
            }
            Self::OutOfTime { key, signed } => {
                write!(f, "signed at {signed:.0} with the key {}, which was not valid then", key.short())
            }
            Self::Number { says } => write!(f, "moved: it was signed as number {says}"),
            Self::Previous { said: None, .. } => f.write_str("it was signed as the first, and is not"),
            Self::Previous { said: Some(said), found } => write!(
                f,
                "what lies before it has the digest {}, and had {} when this was signed: the one before was replaced",
                found.short(),
                said.short()
            ),
            Self::Stack { found } => write!(f, "it is of the stack `{found}`"),
        }
    }
}

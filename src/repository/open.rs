//! How a repository comes to be and is opened: config, keys, and what a crash between them leaves.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::chunker::Gear;
use super::config::{Config, VERSION};
use super::crypto::{Cipher, KeyMaterial};
use super::index::Index;
use super::key::{self, KeyCost};
use super::pool::Pool;
use super::{FileKind, KeyId, RepositoryError, files};
use crate::stack::Secret;
use crate::storage::{Created, SharedStore, StorageError};

/// Buffers that are kept for blobs to be read, of 1 to 2 MiB: as many as fit into what a reader may hold.
const SPARE_BLOBS: usize = 16;

/// An open repository; cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: SharedStore,
    cipher: Arc<Cipher>,
    config: Config,
    gear: Gear,
    key: Mutex<KeyId>,
    index: OnceCell<RwLock<Index>>,
    blobs: Arc<Pool>,
}

fn spare_blobs() -> Arc<Pool> {
    Arc::new(Pool::new(1 << 20, SPARE_BLOBS))
}

impl Repository {
    /// Makes a new repository below `repository/` of `store`. The config is written last and only if there is none, so
    /// of two that race one is told `Exists`, and a crash leaves nothing but a key that the next call clears away.
    ///
    /// # Errors
    /// `Exists` where there is one; `Damaged` where there is data but no config: a new key would make it unreadable.
    pub async fn create(store: SharedStore, password: &Secret, cost: KeyCost) -> Result<Self, RepositoryError> {
        refuse_existing(&store).await?;
        let leftovers = files::list(&store, FileKind::Key).await?;
        let master = KeyMaterial::random();
        let key = key::add(&store, &master, password, cost).await?;
        let config = Config::random();
        let mut sealed = Vec::new();
        let cipher = Cipher::new(master);
        // the config alone is never compressed, so that every version of restic can tell the format's version
        cipher.seal(&serde_json::to_vec(&config).expect("a config always serialises"), &mut sealed);
        if store.create(&FileKind::Config.prefix(), Bytes::from(sealed)).await? == Created::Exists {
            store.delete(&FileKind::Key.key(&key.0)).await?;
            return Err(RepositoryError::Exists { location: store.location() });
        }
        // keys that were there before the config open nothing; restic would stumble over them
        for leftover in leftovers {
            store.delete(&FileKind::Key.key(&leftover.id)).await?;
        }
        Self::open(store, password).await
    }

    /// Opens the repository below `repository/` of `store`. scrypt runs on a thread of its own; the index is loaded
    /// at first need.
    ///
    /// # Errors
    /// `Missing` without a config, `WrongPassword` when no key opens, `Version` for another format, `Damaged` with the
    /// file's name otherwise.
    pub async fn open(store: SharedStore, password: &Secret) -> Result<Self, RepositoryError> {
        let sealed = match store.get(&FileKind::Config.prefix()).await {
            Err(StorageError::NotFound { .. }) => return Err(RepositoryError::Missing { location: store.location() }),
            other => other?,
        };
        let opened = unlock(&store, &sealed, password).await?;
        let config = read_config(&opened.config, &store.location())?;
        let inner = Inner {
            gear: Gear::new(config.chunker_polynomial),
            cipher: Arc::new(opened.cipher),
            key: Mutex::new(opened.key),
            index: OnceCell::new(),
            blobs: spare_blobs(),
            config,
            store,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same repository that sees another index: `check` works with the index files that can be read, and nobody else
    /// should take the rest for all.
    pub(super) fn with_index(&self, index: Index) -> Self {
        self.sharing(OnceCell::new_with(Some(RwLock::new(index))), Arc::clone(&self.inner.blobs))
    }

    /// The same repository as if it had just been opened, without scrypt: what it comes to hold in memory goes with it.
    #[must_use]
    pub fn afresh(&self) -> Self {
        self.sharing(OnceCell::new(), spare_blobs())
    }

    fn sharing(&self, index: OnceCell<RwLock<Index>>, blobs: Arc<Pool>) -> Self {
        let Inner { store, cipher, config, gear, .. } = &*self.inner;
        let inner = Inner {
            store: SharedStore::clone(store),
            cipher: Arc::clone(cipher),
            config: config.clone(),
            gear: gear.clone(),
            key: Mutex::new(self.current_key()),
            index,
            blobs,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The config's id: what names the repository.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.config.id
    }

    /// Where it lies, for people.
    #[must_use]
    pub fn location(&self) -> String {
        self.inner.store.location()
    }

    /// The objects below everything here, for what lies beside the repository in the same place.
    #[must_use]
    pub fn store(&self) -> &SharedStore {
        &self.inner.store
    }

    pub(super) fn cipher(&self) -> &Cipher {
        &self.inner.cipher
    }

    /// Room for blobs that are read: most are below 2 MiB.
    pub(super) fn blob_buffers(&self) -> &Arc<Pool> {
        &self.inner.blobs
    }

    pub(super) fn gear(&self) -> &Gear {
        &self.inner.gear
    }

    pub(super) fn index_cell(&self) -> &OnceCell<RwLock<Index>> {
        &self.inner.index
    }

    pub(super) fn current_key(&self) -> KeyId {
        *self.inner.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_current_key(&self, key: KeyId) {
        *self.inner.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

async fn refuse_existing(store: &SharedStore) -> Result<(), RepositoryError> {
    if store.stat(&FileKind::Config.prefix()).await?.is_some() {
        return Err(RepositoryError::Exists { location: store.location() });
    }
    for kind in [FileKind::Snapshot, FileKind::Index, FileKind::Pack] {
        if let Some(file) = files::list(store, kind).await?.first() {
            let how = format!("it is missing although {} exists", kind.name(&file.id));
            return Err(RepositoryError::Damaged { what: FileKind::Config.name(&[0; 32]), how });
        }
    }
    Ok(())
}

struct Unlocked {
    key: KeyId,
    cipher: Cipher,
    /// The config's JSON.
    config: Vec<u8>,
}

/// Tries key after key. A key may open and yet not be this repository's: `create` was interrupted before its config.
async fn unlock(store: &SharedStore, sealed_config: &[u8], password: &Secret) -> Result<Unlocked, RepositoryError> {
    let keys = files::list(store, FileKind::Key).await?;
    let config = || FileKind::Config.name(&[0; 32]);
    let mut failure = match keys.len() {
        0 => RepositoryError::Damaged { what: config(), how: "there is no key beside it".into() },
        keys => RepositoryError::WrongPassword { location: store.location(), keys },
    };
    for meta in keys {
        let opened = match key::open(store, KeyId(meta.id), password).await {
            Ok(Some(opened)) => opened,
            Ok(None) => continue,
            // somebody removed it since it was listed: a `create` that lost a race takes its key back
            Err(RepositoryError::Storage(StorageError::NotFound { .. })) => continue,
            // another key may still open; if none does, the damage is the better answer
            Err(damage @ RepositoryError::Damaged { .. }) => {
                failure = damage;
                continue;
            }
            Err(other) => return Err(other),
        };
        let cipher = Cipher::new(opened.master);
        let mut json = Vec::new();
        match cipher.open(sealed_config, &mut json) {
            Ok(()) => return Ok(Unlocked { key: opened.id, cipher, config: json }),
            Err(_) => failure = RepositoryError::Damaged { what: config(), how: "its MAC does not fit".into() },
        }
    }
    Err(failure)
}

fn read_config(json: &[u8], location: &str) -> Result<Config, RepositoryError> {
    let damaged = |how: String| RepositoryError::Damaged { what: FileKind::Config.name(&[0; 32]), how };
    let config: Config =
        serde_json::from_slice(json).map_err(|e| damaged(format!("it is not a config's JSON: {e}")))?;
    if config.version != VERSION {
        return Err(RepositoryError::Version { location: location.into(), version: config.version });
    }
    if !config.chunker_polynomial.is_irreducible() {
        return Err(damaged("its chunker polynomial is not irreducible".into()));
    }
    Ok(config)
}

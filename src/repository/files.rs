//! The small files beside the packs: config, keys, indexes, snapshots, locks. Owns their names, encryption and
//! compression (restic's "unpacked data format"); refuses to know their JSON.

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Repository, RepositoryError};

/// Where all of a repository lies below the store's prefix.
const ROOT: &str = "repository";

/// First byte of a plaintext that goes on with zstd-compressed JSON; plain JSON begins with `{` or `[`.
/// Source: restic `doc/design.rst`, "Unpacked Data Format".
const COMPRESSED: u8 = 2;

/// What lies in a repository's folders; all but the config are named by the SHA-256 of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    Config,
    Key,
    Index,
    Snapshot,
    Lock,
    Pack,
}

impl FileKind {
    /// The folder's prefix in the store; of the config it is the whole key.
    pub(crate) fn prefix(self) -> String {
        let folder = match self {
            Self::Config => return format!("{ROOT}/config"),
            Self::Key => "keys",
            Self::Index => "index",
            Self::Snapshot => "snapshots",
            Self::Lock => "locks",
            Self::Pack => "data",
        };
        format!("{ROOT}/{folder}/")
    }

    /// The store's key of the file `id`; packs lie in 256 folders named by the first two digits.
    pub(crate) fn key(self, id: &[u8; 32]) -> String {
        let name = hex::encode(id);
        match self {
            Self::Config => self.prefix(),
            Self::Pack => format!("{}{}/{name}", self.prefix(), &name[..2]),
            _ => self.prefix() + &name,
        }
    }

    /// For messages: `index 1f2e…`.
    pub(crate) fn name(self, id: &[u8; 32]) -> String {
        let noun = match self {
            Self::Config => return "config".into(),
            Self::Key => "key",
            Self::Index => "index",
            Self::Snapshot => "snapshot",
            Self::Lock => "lock",
            Self::Pack => "pack",
        };
        format!("{noun} {}", hex::encode(id))
    }
}

/// One file of a repository as the store lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMeta {
    pub id: [u8; 32],
    pub bytes: u64,
    /// By the store's clock.
    pub modified: Timestamp,
}

impl Repository {
    /// Every file of that kind; what is not named by an id (temporary files of others) is left out.
    pub(crate) async fn list_files(&self, kind: FileKind) -> Result<Vec<FileMeta>, RepositoryError> {
        list(self.store(), kind).await
    }

    /// An index, snapshot or lock: decrypted, decompressed, and its bytes compared with its name.
    pub(crate) async fn load_file(&self, kind: FileKind, id: &[u8; 32]) -> Result<Vec<u8>, RepositoryError> {
        let sealed = self.store().get(&kind.key(id)).await?;
        let damaged = |how: &str| RepositoryError::Damaged { what: kind.name(id), how: how.into() };
        if <[u8; 32]>::from(Sha256::digest(&sealed)) != *id {
            return Err(damaged("its bytes do not hash to its name"));
        }
        let mut plain = Vec::new();
        self.cipher().open(&sealed, &mut plain).map_err(|_| damaged("its MAC does not fit"))?;
        match plain.first() {
            Some(b'{' | b'[') => Ok(plain),
            Some(&COMPRESSED) => {
                zstd::decode_all(&plain[1..]).map_err(|e| damaged(&format!("it does not decompress: {e}")))
            }
            Some(byte) => Err(damaged(&format!("its encoding {byte} is not known to this version"))),
            None => Err(damaged("it is empty")),
        }
    }

    /// Compresses, encrypts and stores JSON as an index, snapshot or lock; returns its id. Opened again before it is
    /// sent, so that what is stored is known to be readable.
    pub(crate) async fn save_file(&self, kind: FileKind, json: &[u8]) -> Result<[u8; 32], RepositoryError> {
        let sealed = self.seal_file(json);
        let mut opened = Vec::new();
        let whole = self.cipher().open(&sealed, &mut opened).is_ok()
            && zstd::decode_all(&opened[1..]).is_ok_and(|again| again == json);
        let id: [u8; 32] = Sha256::digest(&sealed).into();
        if !whole {
            return Err(RepositoryError::SelfCheck { what: kind.name(&id) });
        }
        self.store().put(&kind.key(&id), vec![Bytes::from(sealed)]).await?;
        Ok(id)
    }

    fn seal_file(&self, json: &[u8]) -> Vec<u8> {
        let compressed = zstd::bulk::compress(json, 3).expect("compressing memory into memory cannot fail");
        let mut plain = Vec::with_capacity(compressed.len() + 1);
        plain.push(COMPRESSED);
        plain.extend_from_slice(&compressed);
        let mut sealed = Vec::new();
        self.cipher().seal(&plain, &mut sealed);
        sealed
    }

    /// Removes a file of any kind, packs included; one that is absent is no error.
    pub(crate) async fn remove_file(&self, kind: FileKind, id: &[u8; 32]) -> Result<(), RepositoryError> {
        Ok(self.store().delete(&kind.key(id)).await?)
    }
}

/// As [`Repository::list_files`], before there is a key.
pub(super) async fn list(
    store: &crate::storage::SharedStore,
    kind: FileKind,
) -> Result<Vec<FileMeta>, RepositoryError> {
    let objects = store.list(&kind.prefix()).await?;
    let named = objects.into_iter().filter_map(|object| {
        let mut id = [0; 32];
        let name = object.key.rsplit('/').next()?;
        hex::decode_to_slice(name, &mut id).ok()?;
        (object.key == kind.key(&id)).then_some(FileMeta { id, bytes: object.bytes, modified: object.modified })
    });
    Ok(named.collect())
}

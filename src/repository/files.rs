//! The small files beside the packs: config, keys, indexes, snapshots, locks. Owns their names, encryption and
//! compression (restic's "unpacked data format"); refuses to know their JSON.

use jiff::Timestamp;

use super::{Repository, RepositoryError};

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
        let _ = kind;
        todo!()
    }

    /// An index, snapshot or lock: decrypted, decompressed, and its bytes compared with its name.
    pub(crate) async fn load_file(&self, kind: FileKind, id: &[u8; 32]) -> Result<Vec<u8>, RepositoryError> {
        let _ = (kind, id);
        todo!()
    }

    /// Compresses, encrypts and stores JSON as an index, snapshot or lock; returns its id.
    pub(crate) async fn save_file(&self, kind: FileKind, json: &[u8]) -> Result<[u8; 32], RepositoryError> {
        let _ = (kind, json);
        todo!()
    }

    /// Removes a file of any kind, packs included; one that is absent is no error.
    pub(crate) async fn remove_file(&self, kind: FileKind, id: &[u8; 32]) -> Result<(), RepositoryError> {
        let _ = (kind, id);
        todo!()
    }
}

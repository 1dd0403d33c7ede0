//! A restic repository, format version 2 (restic's `doc/design.rst`): written and read here, readable by stock restic.
//! Owns keys, packs, indexes, trees, snapshots, locks, check, forget, prune; refuses to know what a data set is.

mod id;
pub mod snapshot;
pub mod tree;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::stack::Secret;
use crate::storage::{SharedStore, StorageError};

pub use id::{BlobId, IndexId, InvalidId, KeyId, LockId, PackId, SnapshotId, TreeId};
pub use snapshot::Snapshot;
pub use tree::{Node, NodeKind, Tree};

/// The two kinds of blob; they never share a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobKind {
    Data,
    Tree,
}

/// scrypt's cost; restic's own default for new keys is about 0.7 s of one core, tests take a cheap one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCost {
    pub log_n: u8,
    pub r: u32,
    pub p: u32,
}

/// How a [`Writer`] writes.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// zstd's level; 1 compressed as well as 3 on mixed data, in half the time (measured).
    pub compression_level: i32,
    /// Open what was put into a pack again and compare it before the source is let go of.
    pub self_check: bool,
    /// Threads that hash, compress and encrypt.
    pub workers: usize,
}

/// What a [`Writer`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteStats {
    /// Blobs that were not in the repository before, and their bytes before and after compression and encryption.
    pub new_blobs: u64,
    pub new_bytes: u64,
    pub stored_bytes: u64,
    /// Bytes that the repository had already.
    pub known_bytes: u64,
}

/// A file's content once it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    pub blobs: Vec<BlobId>,
    pub bytes: u64,
}

/// An open repository; cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    inner: Arc<()>,
}

impl Repository {
    /// Makes a new repository below `repository/` of `store`; refuses where there is one.
    pub async fn create(store: SharedStore, password: &Secret, cost: KeyCost) -> Result<Self, RepositoryError> {
        todo!()
    }

    /// Opens the repository below `repository/` of `store`. scrypt runs on a thread of its own; the index is loaded
    /// at first need.
    pub async fn open(store: SharedStore, password: &Secret) -> Result<Self, RepositoryError> {
        todo!()
    }

    /// The config's id: what names the repository.
    pub fn id(&self) -> &str {
        todo!()
    }

    /// One blob, decrypted, decompressed and hashed again.
    pub async fn blob(&self, kind: BlobKind, id: &BlobId) -> Result<Bytes, RepositoryError> {
        todo!()
    }

    /// One folder.
    pub async fn tree(&self, id: &TreeId) -> Result<Tree, RepositoryError> {
        todo!()
    }

    /// The node at `path` below `root` (`["tables", "public.users.copy"]`), or `None` where there is none.
    pub async fn find(&self, root: &TreeId, path: &[&str]) -> Result<Option<Node>, RepositoryError> {
        todo!()
    }

    /// A file's bytes in order, read ahead within bounded memory; every blob is verified before it is yielded.
    pub fn stream(&self, content: Vec<BlobId>) -> impl Stream<Item = Result<Bytes, RepositoryError>> + Send + 'static {
        let _ = content;
        futures_util::stream::empty()
    }

    /// Many blobs in the order in which they lie in packs, each once, neighbours read with one request, decoded by
    /// several threads; for restores and checks of whole trees, where the order does not matter. Bounded memory.
    pub fn fetch(
        &self,
        kind: BlobKind,
        wanted: Vec<BlobId>,
    ) -> impl Stream<Item = Result<(BlobId, Bytes), RepositoryError>> + Send + 'static {
        let _ = (kind, wanted);
        futures_util::stream::empty()
    }

    /// Every snapshot, in no particular order.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>, RepositoryError> {
        todo!()
    }

    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, RepositoryError> {
        todo!()
    }

    /// Stores a snapshot; the caller has called [`Writer::finish`] before, so that all it names is in an index.
    pub async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<SnapshotId, RepositoryError> {
        todo!()
    }

    pub async fn remove_snapshot(&self, id: &SnapshotId) -> Result<(), RepositoryError> {
        todo!()
    }

    /// A writer into this repository. Needs a shared [`Lock`] for as long as it lives.
    pub fn writer(&self, options: WriterOptions) -> Writer {
        todo!()
    }
}

/// Puts blobs, files and trees into packs, several sources at once; cheap to clone. Waits when the workers are behind,
/// so memory stays bounded.
#[derive(Debug, Clone)]
pub struct Writer {
    inner: Arc<()>,
}

impl Writer {
    /// A new file: feed it bytes, finish it, put the [`FileContent`] into a node.
    pub fn file(&self) -> FileSink {
        todo!()
    }

    /// Stores a whole small file, such as a manifest.
    pub async fn bytes(&self, bytes: Bytes) -> Result<FileContent, RepositoryError> {
        todo!()
    }

    /// Stores a folder. Every blob and subtree that it names must have been handed to this writer or be in the
    /// repository.
    pub async fn tree(&self, tree: &Tree) -> Result<TreeId, RepositoryError> {
        todo!()
    }

    /// Whether the repository has this blob; for unchanged files whose content is taken over from a parent snapshot.
    pub async fn has(&self, kind: BlobKind, id: &BlobId) -> Result<bool, RepositoryError> {
        todo!()
    }

    /// Closes and uploads the open packs, then writes the index that makes them known. Afterwards a snapshot may be
    /// saved. Other clones must be done with their files.
    pub async fn finish(&self) -> Result<WriteStats, RepositoryError> {
        todo!()
    }
}

/// One file on its way in, cut by content into chunks of 512 KiB to 8 MiB.
#[derive(Debug)]
pub struct FileSink {}

impl FileSink {
    /// Takes bytes; waits while the workers are behind.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), RepositoryError> {
        todo!()
    }

    /// As [`Self::write`], from a thread that may block and is not one of tokio's workers.
    pub fn write_blocking(&mut self, bytes: &[u8]) -> Result<(), RepositoryError> {
        todo!()
    }

    /// Waits until every chunk has an id (not until its pack is uploaded).
    pub async fn finish(self) -> Result<FileContent, RepositoryError> {
        todo!()
    }

    pub fn finish_blocking(self) -> Result<FileContent, RepositoryError> {
        todo!()
    }
}

/// Shared: many may write; exclusive: prune, and whatever removes packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    Shared,
    Exclusive,
}

/// A held lock, refreshed in the background every five minutes. Call [`Lock::release`]; a dropped one is left to age.
#[derive(Debug)]
pub struct Lock {}

impl Repository {
    /// Takes a lock that restic honours and honours restic's; removes locks that are provably dead (our own host's
    /// dead pids) and waits up to `wait` for others. A lock that is lost cancels `cx`.
    pub async fn lock(&self, kind: LockKind, wait: std::time::Duration, cx: &Context) -> Result<Lock, RepositoryError> {
        todo!()
    }
}

impl Lock {
    pub async fn release(self) -> Result<(), RepositoryError> {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("there is no repository at {location}")]
    Missing { location: String },
    #[error("the password opens none of the {keys} keys of the repository at {location}")]
    WrongPassword { location: String, keys: usize },
    #[error("there is a repository at {location} already")]
    Exists { location: String },
    #[error("the repository at {location} has format version {version}; drydock reads and writes version 2")]
    Version { location: String, version: u32 },
    #[error("the repository is locked by {holder}")]
    Locked { holder: String },
    /// Bytes are not what their id, MAC or index says.
    #[error("{what} is damaged: {how}")]
    Damaged { what: String, how: String },
    /// A tree or snapshot names a blob that no index knows.
    #[error("{kind:?} blob {id} is in no index")]
    BlobMissing { kind: BlobKind, id: BlobId },
    #[error("cancelled")]
    Cancelled,
}

impl Failure for RepositoryError {
    fn category(&self) -> Category {
        match self {
            Self::Storage(error) => error.category(),
            Self::Missing { .. } => Category::RepositoryMissing,
            Self::WrongPassword { .. } => Category::WrongPassword,
            Self::Exists { .. } | Self::Version { .. } => Category::Usage,
            Self::Locked { .. } => Category::Locked,
            Self::Damaged { .. } | Self::BlobMissing { .. } => Category::Integrity,
            Self::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Storage(error) => error.hint(),
            Self::Missing { .. } => Some("create it with `drydock init -f FILE`".into()),
            Self::Version { .. } => Some("bring it to version 2 with `restic migrate upgrade_repo_v2`".into()),
            Self::Locked { .. } => Some(
                "wait for the other to finish, or run `drydock unlock -f FILE` when it is certain that it is dead"
                    .into(),
            ),
            Self::Damaged { .. } | Self::BlobMissing { .. } => {
                Some("run `drydock check -f FILE --read-data` to see which recovery points are touched".into())
            }
            _ => None,
        }
    }
}

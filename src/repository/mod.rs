//! A restic repository, format version 2 (restic's `doc/design.rst`): written and read here, readable by stock restic.
//! Owns keys, packs, indexes, trees, snapshots, locks, check, forget, prune; refuses to know what a data set is.

mod error;
mod files;
pub mod forget;
mod golang;
mod id;
mod lock;
mod reader;
pub mod snapshot;
pub mod tree;
mod writer;

use std::sync::Arc;

use crate::stack::Secret;
use crate::storage::SharedStore;

pub use error::RepositoryError;
pub use files::FileKind;
pub use id::{BlobId, IndexId, InvalidId, KeyId, LockId, PackId, SnapshotId, TreeId};
pub use lock::{Lock, LockKind};
pub use snapshot::Snapshot;
pub use tree::{Node, NodeKind, Tree, TreeBuilder, TreeError};
pub use writer::{FileContent, FileSink, WriteStats, Writer, WriterOptions};

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

/// An open repository; cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    inner: Arc<()>,
}

impl Repository {
    /// Makes a new repository below `repository/` of `store`; refuses where there is one.
    pub async fn create(store: SharedStore, password: &Secret, cost: KeyCost) -> Result<Self, RepositoryError> {
        let _ = (store, password, cost);
        todo!()
    }

    /// Opens the repository below `repository/` of `store`. scrypt runs on a thread of its own; the index is loaded
    /// at first need.
    pub async fn open(store: SharedStore, password: &Secret) -> Result<Self, RepositoryError> {
        let _ = (store, password);
        todo!()
    }

    /// The config's id: what names the repository.
    pub fn id(&self) -> &str {
        todo!()
    }

    /// Where it lies, for people.
    pub fn location(&self) -> String {
        todo!()
    }

    /// A writer into this repository. Needs a shared [`Lock`] for as long as it lives.
    pub fn writer(&self, options: WriterOptions) -> Writer {
        let _ = options;
        todo!()
    }
}

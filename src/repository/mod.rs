//! A restic repository, format version 2 (restic's `doc/design.rst`): written and read here, readable by stock restic.
//! Owns keys, packs, indexes, trees, snapshots, locks, check, forget, prune; refuses to know what a data set is.

pub mod check;
mod chunker;
mod config;
mod crypto;
mod error;
mod files;
pub mod forget;
mod golang;
mod id;
mod index;
mod key;
mod lock;
mod lost;
mod open;
mod pack;
mod polynomial;
mod pool;
pub mod prune;
mod reader;
pub mod repair;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
pub mod tree;
mod walk;
mod writer;

pub use error::RepositoryError;
pub use files::FileKind;
pub use id::{BlobId, IndexId, InvalidId, KeyId, LockId, PackId, SnapshotId, TreeId};
pub use key::{KeyCost, KeyInfo};
pub use lock::{Lock, LockInfo, LockKind, LockState};
pub use open::Repository;
pub(crate) use reader::PackVerdict;
pub use reader::TreeReader;
pub use snapshot::{ReadableSnapshots, Snapshot};
pub use tree::{Node, NodeKind, Tree, TreeBuilder, TreeError};
pub use writer::{FileContent, FileSink, WriteStats, Writer, WriterOptions};

/// The two kinds of blob; they never share a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobKind {
    Data,
    Tree,
}

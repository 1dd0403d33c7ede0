//! The way in.

use std::sync::Arc;

use bytes::Bytes;

use super::{BlobId, BlobKind, RepositoryError, Tree, TreeId};

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

    /// As [`Self::tree`], from the folder's JSON, so that a folder of a million entries is in memory once.
    pub async fn tree_json(&self, json: Vec<u8>) -> Result<TreeId, RepositoryError> {
        let _ = json;
        todo!()
    }

    /// Whether the repository has all of these blobs; asked once a file, for content taken over from a parent.
    pub async fn has_all(&self, kind: BlobKind, ids: &[BlobId]) -> Result<bool, RepositoryError> {
        let _ = (kind, ids);
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

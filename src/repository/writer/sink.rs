//! One file on its way in.

use sha2::{Digest, Sha256};

use super::super::chunker::Chunker;
use super::super::{BlobId, BlobKind, RepositoryError};
use super::{FileContent, Writer};

/// Chunks up to this are copied out of their buffer, which then serves the next file.
const SMALL: usize = 128 << 10;

/// A blob's id.
pub fn blob_id(plain: &[u8]) -> BlobId {
    BlobId(Sha256::digest(plain).into())
}

/// One file on its way in, cut by content into chunks of 512 KiB to 8 MiB. Cutting and hashing happen in the caller's
/// thread, all else in the writer's workers.
#[derive(Debug)]
pub struct FileSink {
    writer: Writer,
    chunker: Chunker,
    chunk: Vec<u8>,
    content: FileContent,
    /// A write was dropped or failed half-way: what was fed is not all stored.
    broken: bool,
}

impl FileSink {
    pub(super) fn new(writer: Writer) -> Self {
        let chunker = Chunker::new(writer.inner.pipeline.state.repository.gear().clone());
        let content = FileContent { blobs: Vec::new(), bytes: 0 };
        Self { writer, chunker, chunk: Vec::new(), content, broken: false }
    }

    /// Takes bytes; waits while the workers are behind.
    ///
    /// # Cancel safety
    /// A write that is dropped half-way breaks the file: [`Self::finish`] then refuses.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), RepositoryError> {
        while let Some(whole) = self.take(&mut bytes) {
            if whole {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// As [`Self::write`], from a thread that may block and is not one of tokio's workers.
    pub fn write_blocking(&mut self, mut bytes: &[u8]) -> Result<(), RepositoryError> {
        while let Some(whole) = self.take(&mut bytes) {
            if whole {
                self.flush_blocking()?;
            }
        }
        Ok(())
    }

    /// Hands over what is left. Every chunk has its id then; its pack may be uploaded later.
    pub async fn finish(mut self) -> Result<FileContent, RepositoryError> {
        if !self.chunk.is_empty() {
            self.flush().await?;
        }
        self.into_content()
    }

    pub fn finish_blocking(mut self) -> Result<FileContent, RepositoryError> {
        if !self.chunk.is_empty() {
            self.flush_blocking()?;
        }
        self.into_content()
    }

    /// Moves bytes up to the chunk's end; whether it is reached, or `None` when there are no bytes.
    fn take(&mut self, bytes: &mut &[u8]) -> Option<bool> {
        if bytes.is_empty() {
            return None;
        }
        let (taken, whole) = self.chunker.advance(bytes);
        if self.chunk.capacity() == 0 {
            self.chunk = self.writer.inner.pipeline.state.chunks.take();
        }
        self.chunk.extend_from_slice(&bytes[..taken]);
        *bytes = &bytes[taken..];
        Some(whole)
    }

    async fn flush(&mut self) -> Result<(), RepositoryError> {
        let data = self.take_chunk();
        let (id, bytes) = (blob_id(&data), data.len() as u64);
        let was_broken = std::mem::replace(&mut self.broken, true);
        self.writer.store(BlobKind::Data, id, data).await?;
        self.broken = was_broken;
        self.content.blobs.push(id);
        self.content.bytes += bytes;
        Ok(())
    }

    /// The chunk; of a small one a copy, so that no megabyte waits for a worker with a few bytes in it.
    fn take_chunk(&mut self) -> Vec<u8> {
        if self.chunk.len() > SMALL {
            return std::mem::take(&mut self.chunk);
        }
        let copy = self.chunk.as_slice().to_vec();
        self.chunk.clear();
        copy
    }

    fn flush_blocking(&mut self) -> Result<(), RepositoryError> {
        let runtime = self.writer.inner.pipeline.runtime.clone();
        runtime.block_on(self.flush())
    }

    fn into_content(mut self) -> Result<FileContent, RepositoryError> {
        self.writer.inner.pipeline.state.check()?;
        if self.broken {
            return Err(RepositoryError::Cancelled);
        }
        Ok(FileContent { blobs: std::mem::take(&mut self.content.blobs), bytes: self.content.bytes })
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.writer.inner.pipeline.state.chunks.give(std::mem::take(&mut self.chunk));
    }
}

//! Index files as they fill: for whoever writes an index anew.

use super::{IndexFile, IndexPack, MAX_BLOBS_PER_FILE};
use crate::repository::{IndexId, Repository, RepositoryError};

/// Takes packs and writes index files of at most [`MAX_BLOBS_PER_FILE`] blobs, or of one pack.
#[derive(Debug)]
pub struct NewIndex<'r> {
    repository: &'r Repository,
    file: IndexFile,
    blobs: usize,
    written: usize,
}

impl<'r> NewIndex<'r> {
    pub fn new(repository: &'r Repository) -> Self {
        Self { repository, file: IndexFile::default(), blobs: 0, written: 0 }
    }

    pub async fn push(&mut self, pack: IndexPack) -> Result<(), RepositoryError> {
        if self.blobs > 0 && self.blobs + pack.blobs.len() > MAX_BLOBS_PER_FILE {
            self.repository.save_index_file(&std::mem::take(&mut self.file)).await?;
            self.blobs = 0;
            self.written += 1;
        }
        self.blobs += pack.blobs.len();
        self.file.packs.push(pack);
        Ok(())
    }

    /// Writes the last file, which says, as restic's does, which ones all of them replace: only now may those go.
    pub async fn finish(mut self, replaced: Vec<IndexId>) -> Result<(), RepositoryError> {
        if self.file.packs.is_empty() && self.written == 0 {
            return Ok(()); // nothing is left to name
        }
        self.file.supersedes = replaced;
        self.repository.save_index_file(&self.file).await?;
        Ok(())
    }
}

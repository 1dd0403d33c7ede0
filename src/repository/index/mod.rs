//! Which blob lies where: the index files, and all of them together in memory.

mod file;
mod memory;
mod new;
mod plan;

use std::sync::RwLock;

use futures_util::{StreamExt, TryStreamExt};

use super::{FileKind, IndexId, PackId, Repository, RepositoryError};

pub use file::{IndexFile, IndexPack};
pub use memory::{Index, Location, NO_PANIC};
pub use new::NewIndex;
pub use plan::Plan;

/// Index files that are read at the same time; each is up to 8 MiB of JSON.
const READ_AHEAD: usize = 4;

/// Packs in one index file end at this many blobs, as restic's do: about 8 MiB of JSON.
pub const MAX_BLOBS_PER_FILE: usize = 50_000;

impl Repository {
    /// One index file.
    pub(crate) async fn load_index_file(&self, id: &IndexId) -> Result<IndexFile, RepositoryError> {
        let json = self.load_file(FileKind::Index, &id.0).await?;
        let damaged = |e: serde_json::Error| RepositoryError::Damaged {
            what: FileKind::Index.name(&id.0),
            how: format!("it is not an index's JSON: {e}"),
        };
        serde_json::from_slice(&json).map_err(damaged)
    }

    /// Writes one index file; every pack that it names must be stored.
    pub(crate) async fn save_index_file(&self, file: &IndexFile) -> Result<IndexId, RepositoryError> {
        let json = serde_json::to_vec(file).expect("an index always serialises");
        Ok(IndexId(self.save_file(FileKind::Index, &json).await?))
    }

    /// All index files together, read at the first call.
    pub(crate) async fn index(&self) -> Result<&RwLock<Index>, RepositoryError> {
        self.index_cell().get_or_try_init(|| async { Ok(RwLock::new(self.read_index().await?)) }).await
    }

    /// Every pack that an index names.
    pub async fn indexed_packs(&self) -> Result<Vec<PackId>, RepositoryError> {
        Ok(self.index().await?.read().expect(memory::NO_PANIC).packs().to_vec())
    }

    /// Reads all index files again, for what others have written or removed since.
    pub(crate) async fn reload_index(&self) -> Result<(), RepositoryError> {
        let fresh = self.read_index().await?;
        *self.index().await?.write().expect(memory::NO_PANIC) = fresh;
        Ok(())
    }

    /// As [`Self::reload_index`], if the index was read before: what was read without a lock may have been pruned since.
    pub(crate) async fn refresh_index(&self) -> Result<(), RepositoryError> {
        if self.index_cell().initialized() { self.reload_index().await } else { Ok(()) }
    }

    /// All index files. `supersedes` hides nothing: a file that replaces others need not hold all of theirs when the
    /// writer was interrupted, and an entry too many does no harm.
    pub(crate) async fn read_index(&self) -> Result<Index, RepositoryError> {
        let files = self.list_files(FileKind::Index).await?;
        let mut files = futures_util::stream::iter(files)
            .map(|meta| async move { self.load_index_file(&IndexId(meta.id)).await })
            .buffer_unordered(READ_AHEAD);
        let mut index = Index::default();
        while let Some(file) = files.try_next().await? {
            for pack in file.packs {
                index.insert(pack.id, &pack.blobs);
            }
        }
        Ok(index)
    }
}

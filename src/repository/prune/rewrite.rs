//! Index files without the packs that go.

use std::collections::HashSet;

use super::super::index::{MAX_BLOBS_PER_FILE, NewIndex};
use super::super::{FileKind, IndexId, Lock, PackId, Repository, RepositoryError};
use super::go_on;
use crate::context::Context;

/// An index file below this is merged with others of its size: every snapshot leaves one, and each costs a request
/// whenever a repository is opened.
const SMALL: usize = MAX_BLOBS_PER_FILE / 2;

/// Writes new index files in place of those that name one of `gone` and of small ones, then removes the former ones.
/// The new ones are all stored before the first old one goes: at every instant every pack that stays is in one.
pub async fn index_without(
    repository: &Repository,
    gone: &HashSet<PackId>,
    lock: &Lock,
    cx: &Context,
) -> Result<(), RepositoryError> {
    let files = repository.list_files(FileKind::Index).await?;
    let task = cx.progress.task("write the index", 0, files.len() as u64);
    let mut new = NewIndex::new(repository);
    let mut replaced = Vec::new();
    let mut names_gone = false;
    for meta in files {
        let id = IndexId(meta.id);
        let file = go_on(repository.load_index_file(&id), lock, cx).await??;
        let dirty = file.packs.iter().any(|pack| gone.contains(&pack.id));
        let blobs: usize = file.packs.iter().map(|pack| pack.blobs.len()).sum();
        if dirty || blobs < SMALL {
            names_gone |= dirty;
            replaced.push(id);
            for pack in file.packs.into_iter().filter(|pack| !gone.contains(&pack.id)) {
                new.push(pack).await?;
            }
        }
        task.add_items(1);
    }
    // One small file alone would be replaced by itself.
    if names_gone || replaced.len() > 1 {
        new.finish(replaced.clone()).await?;
        for id in replaced {
            go_on(std::future::ready(()), lock, cx).await?;
            repository.remove_file(FileKind::Index, &id.0).await?;
        }
    }
    task.finish();
    Ok(())
}

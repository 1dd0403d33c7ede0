//! Packs that an index names and the store does not have as it says: found by one listing, before a writer takes what is
//! in them for stored. Refuses to touch the index files: `repair` does that, when a person asks for it.

use std::collections::HashMap;

use super::index::NO_PANIC;
use super::pack::packed_size;
use super::{FileKind, PackId, Repository, RepositoryError};

impl Repository {
    /// Compares the packs of the index with the store's listing; what lies only in packs that are gone or of another
    /// size is stored again by every writer of this repository from now on. Returns these packs, sorted.
    ///
    /// Under a lock: of what others remove meanwhile nobody could be sure. Memory: 8 bytes a blob while it compares.
    pub async fn set_aside_lost_packs(&self) -> Result<Vec<PackId>, RepositoryError> {
        // The index first: packs that come later are in the listing and not yet in the index, which is no loss.
        self.index().await?;
        let listed = self.list_files(FileKind::Pack).await?;
        let stored: HashMap<PackId, u64> = listed.into_iter().map(|file| (PackId(file.id), file.bytes)).collect();
        let repository = self.clone();
        let compared = tokio::task::spawn_blocking(move || repository.mark_unlike(&stored));
        compared.await.map_err(|_| RepositoryError::WorkerLost)
    }

    fn mark_unlike(&self, stored: &HashMap<PackId, u64>) -> Vec<PackId> {
        let mut index = self.index_cell().get().expect("it was read before").write().expect(NO_PANIC);
        let unlike = |(id, blobs): (PackId, Vec<_>)| (stored.get(&id) != Some(&packed_size(&blobs))).then_some(id);
        let mut lost: Vec<PackId> = index.by_pack().filter_map(unlike).collect();
        lost.iter().for_each(|pack| index.mark_lost(pack));
        lost.sort_unstable();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Story, files, noise, open, restore};
    use super::*;

    #[tokio::test]
    async fn what_lay_in_a_lost_or_cut_pack_is_stored_again_and_serves_earlier_snapshots_too() {
        for cut in [false, true] {
            let mut story = Story::begin().await;
            let same = files([("a", &noise(1, 9000)), ("deep/b", b"b")]);
            story.snapshot(same.clone()).await;
            story.snapshot(files([("c", &noise(2, 9000))])).await;
            let first = {
                let index = story.repository.index_cell().get().unwrap().read().unwrap();
                let packs: Vec<PackId> = index.packs().to_vec();
                packs[0]
            };
            let key = FileKind::Pack.key(&first.0);
            match cut {
                true => story.store.tamper(&key, story.store.bytes(&key).slice(..50)),
                false => story.store.lose(&key),
            }
            let repository = open(&story.store).await;
            assert_eq!(repository.set_aside_lost_packs().await.unwrap(), [first]);
            story.repository = repository;
            story.snapshot(same).await;
            for (id, files) in &story.snapshots {
                assert_eq!(&restore(&open(&story.store).await, id).await.unwrap(), files);
            }
        }
    }

    #[tokio::test]
    async fn where_nothing_is_lost_nothing_is_stored_again() {
        let mut story = Story::begin().await;
        let same = files([("a", &noise(1, 9000)), ("deep/b", b"b")]);
        story.snapshot(same.clone()).await;
        let packs = story.store.keys("repository/data/");
        story.repository = open(&story.store).await;
        assert_eq!(story.repository.set_aside_lost_packs().await.unwrap(), []);
        story.snapshot(same).await;
        assert_eq!(story.store.keys("repository/data/"), packs);
    }
}

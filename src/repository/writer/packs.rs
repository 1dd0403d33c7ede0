//! The packs that are being filled. Data blobs are spread over several at random, so that neither the order nor the
//! size of blobs in a pack tells which file was stored, as newer restic does; trees have one of their own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::pack::OpenPack;
use super::super::pool::Pool;
use super::super::{BlobId, BlobKind};

/// Open packs for data, each in memory until it is full. restic has two as well.
const FOR_DATA: usize = 2;

#[derive(Debug, Default)]
pub struct OpenPacks {
    data: [Mutex<OpenPack>; FOR_DATA],
    tree: Mutex<OpenPack>,
}

impl OpenPacks {
    /// Appends a sealed blob. When that makes the pack full it is taken out, after `slot` was had: others that want to
    /// add to it wait meanwhile, so that no further pack is begun while the uploads are behind.
    pub fn push<S, E>(
        &self,
        (kind, id): (BlobKind, BlobId),
        sealed: &[u8],
        uncompressed: Option<u32>,
        spare: &Pool,
        slot: impl FnOnce() -> Result<S, E>,
    ) -> Result<Option<(OpenPack, S)>, E> {
        let mut pack = lock(match kind {
            BlobKind::Data => &self.data[rand::random_range(0..FOR_DATA)],
            BlobKind::Tree => &self.tree,
        });
        if pack.bytes.capacity() == 0 {
            pack.bytes = spare.take();
        }
        pack.push(kind, id, sealed, uncompressed);
        if !pack.is_full() {
            return Ok(None);
        }
        let slot = slot()?;
        Ok(Some((std::mem::take(&mut *pack), slot)))
    }

    /// Takes all that is open; data packs that fit into one become one.
    pub fn take_all(&self) -> Vec<OpenPack> {
        let take = |pack: &Mutex<OpenPack>| std::mem::take(&mut *lock(pack));
        let mut packs: Vec<OpenPack> = Vec::new();
        for pack in self.data.iter().map(take) {
            match packs.last_mut() {
                Some(last) if last.has_room_for(&pack) => last.absorb(&pack),
                _ => packs.push(pack),
            }
        }
        packs.push(take(&self.tree));
        packs.retain(|pack| !pack.blobs.is_empty());
        packs
    }
}

fn lock(pack: &Mutex<OpenPack>) -> MutexGuard<'_, OpenPack> {
    pack.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The packs that are being filled. Data blobs are spread over several at random, so that neither the order nor the
//! size of blobs in a pack tells which file was stored, as newer restic does; trees have one of their own.

use std::sync::{Mutex, PoisonError};

use super::super::pack::OpenPack;
use super::super::{BlobId, BlobKind};

/// A pack is closed when it has this many bytes: restic's default, and an S3 PUT of under a second at 20 MB/s.
const TARGET: usize = 16 << 20;

/// Open packs for data, each up to [`TARGET`] in memory. restic has two as well.
const FOR_DATA: usize = 2;

#[derive(Debug, Default)]
pub struct OpenPacks {
    data: [Mutex<OpenPack>; FOR_DATA],
    tree: Mutex<OpenPack>,
}

impl OpenPacks {
    /// Appends a sealed blob; the pack when that made it full.
    pub fn push(&self, kind: BlobKind, id: BlobId, sealed: &[u8], uncompressed: Option<u32>) -> Option<OpenPack> {
        let pack = match kind {
            BlobKind::Data => &self.data[rand::random_range(0..FOR_DATA)],
            BlobKind::Tree => &self.tree,
        };
        let mut pack = pack.lock().unwrap_or_else(PoisonError::into_inner);
        pack.push(kind, id, sealed, uncompressed);
        (pack.bytes.len() >= TARGET).then(|| std::mem::take(&mut *pack))
    }

    /// Takes all that is open; data packs that fit into one become one.
    pub fn take_all(&self) -> Vec<OpenPack> {
        let take = |pack: &Mutex<OpenPack>| std::mem::take(&mut *pack.lock().unwrap_or_else(PoisonError::into_inner));
        let mut packs: Vec<OpenPack> = Vec::new();
        for pack in self.data.iter().map(take) {
            match packs.last_mut() {
                Some(last) if last.bytes.len() + pack.bytes.len() <= TARGET => last.absorb(&pack),
                _ => packs.push(pack),
            }
        }
        packs.push(take(&self.tree));
        packs.retain(|pack| !pack.blobs.is_empty());
        packs
    }
}

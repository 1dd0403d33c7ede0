//! What to read where: many blobs in the order in which they lie, without asking the index again.

use super::memory::{Entry, Index, Location};
use crate::repository::{BlobId, BlobKind, PackId};

/// Blobs to read, pack after pack; 48 bytes each.
#[derive(Debug)]
pub struct Plan {
    kind: BlobKind,
    entries: std::vec::IntoIter<Entry>,
    packs: Vec<PackId>,
}

impl Index {
    /// Where the wanted blobs lie, each once, and those that lie nowhere.
    pub fn plan(&self, kind: BlobKind, mut wanted: Vec<BlobId>) -> (Plan, Vec<BlobId>) {
        wanted.sort_unstable();
        wanted.dedup();
        let mut missing = Vec::new();
        let mut entries = Vec::with_capacity(wanted.len());
        for id in wanted {
            match self.entry(kind, &id) {
                Some(entry) => entries.push(*entry),
                None => missing.push(id),
            }
        }
        entries.sort_unstable_by_key(|entry| (entry.pack, entry.offset));
        (Plan { kind, entries: entries.into_iter(), packs: self.packs().to_vec() }, missing)
    }
}

impl Iterator for Plan {
    type Item = Location;

    fn next(&mut self) -> Option<Location> {
        let entry = self.entries.next()?;
        Some(entry.location(self.kind, &self.packs))
    }
}

//! The index in memory: 48 bytes a blob in blocks that never move, and 5 to 10 bytes of hash table, so that a million
//! blobs take less than 64 MB. Source of that limit: the project's promise of bounded memory.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use crate::repository::pack::PackedBlob;
use crate::repository::{BlobId, BlobKind, PackId};

/// Lock poisoning: nothing that holds the index's lock can panic half-way.
pub const NO_PANIC: &str = "no thread panics while it changes the index";

/// Entries in one block; blocks are never reallocated, so growth needs no second copy of everything.
const BLOCK: usize = 4_096;
const EMPTY: u32 = u32::MAX;
const COUNTED: &str = "entries are counted in 32 bits";

/// Where one copy of a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub pack: PackId,
    pub blob: PackedBlob,
}

/// Every blob of the repository that an index file knows.
#[derive(Debug, Default)]
pub struct Index {
    packs: Vec<PackId>,
    pack_numbers: HashMap<PackId, u32>,
    /// Packs that are not in the store as the index says.
    lost: HashSet<u32>,
    data: Table,
    tree: Table,
}

impl Index {
    /// Takes up a pack's blobs. Index files may list a pack more than once.
    pub fn insert(&mut self, pack: PackId, blobs: &[PackedBlob]) {
        let next = u32::try_from(self.packs.len()).expect("fewer than 2³² packs fit into memory");
        let number = *self.pack_numbers.entry(pack).or_insert(next);
        if number == next {
            self.packs.push(pack);
        }
        for blob in blobs {
            if number != next && self.find(blob.kind, &blob.id).any(|at| at == Location { pack, blob: *blob }) {
                continue;
            }
            let uncompressed = blob.uncompressed.and_then(NonZeroU32::new);
            let entry = Entry { id: blob.id, pack: number, offset: blob.offset, length: blob.length, uncompressed };
            self.table_mut(blob.kind).insert(entry);
        }
    }

    /// Whether a copy of the blob lies in a pack that is not known to be lost.
    #[must_use]
    pub fn contains(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.table(kind).find(id).any(|entry| !self.lost.contains(&entry.pack))
    }

    /// From now on what lies in this pack alone counts as not there.
    pub fn mark_lost(&mut self, pack: &PackId) {
        self.lost.extend(self.pack_numbers.get(pack));
    }

    /// A number of its own for each blob, below [`Self::len`]: stays while blobs are added.
    #[must_use]
    pub fn number(&self, kind: BlobKind, id: &BlobId) -> Option<u32> {
        self.table(kind).numbers(id).next()
    }

    /// Every copy of a blob; usually there is one.
    pub fn find(&self, kind: BlobKind, id: &BlobId) -> impl Iterator<Item = Location> {
        self.table(kind).find(id).map(move |entry| self.location(kind, entry))
    }

    /// Every copy of every blob, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Location> {
        [BlobKind::Data, BlobKind::Tree]
            .into_iter()
            .flat_map(move |kind| self.table(kind).entries().map(move |entry| self.location(kind, entry)))
    }

    /// Pack after pack with all its blobs in the order in which they lie there. Takes 8 bytes a blob while it runs.
    pub fn by_pack(&self) -> impl Iterator<Item = (PackId, Vec<PackedBlob>)> {
        let numbered = |kind| (0..self.table(kind).len).map(move |n| (kind, u32::try_from(n).expect(COUNTED)));
        let mut order: Vec<(BlobKind, u32)> = numbered(BlobKind::Data).chain(numbered(BlobKind::Tree)).collect();
        let entry = |&(kind, n): &(BlobKind, u32)| self.table(kind).entry(n);
        order.sort_unstable_by_key(|at| (entry(at).pack, entry(at).offset));
        let mut order = order.into_iter().map(|(kind, n)| self.location(kind, self.table(kind).entry(n))).peekable();
        std::iter::from_fn(move || {
            let first = order.next()?;
            let mut blobs = vec![first.blob];
            while let Some(next) = order.next_if(|at| at.pack == first.pack) {
                blobs.push(next.blob);
            }
            Some((first.pack, blobs))
        })
    }

    #[must_use]
    pub fn packs(&self) -> &[PackId] {
        &self.packs
    }

    /// Copies of blobs, of either kind.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len + self.tree.len
    }

    fn table(&self, kind: BlobKind) -> &Table {
        match kind {
            BlobKind::Data => &self.data,
            BlobKind::Tree => &self.tree,
        }
    }

    fn table_mut(&mut self, kind: BlobKind) -> &mut Table {
        match kind {
            BlobKind::Data => &mut self.data,
            BlobKind::Tree => &mut self.tree,
        }
    }

    fn location(&self, kind: BlobKind, entry: &Entry) -> Location {
        entry.location(kind, &self.packs)
    }

    /// The first copy of a blob.
    pub(super) fn entry(&self, kind: BlobKind, id: &BlobId) -> Option<&Entry> {
        self.table(kind).find(id).next()
    }
}

/// One copy of a blob, its pack by number: 48 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub id: BlobId,
    pub pack: u32,
    pub offset: u32,
    pub length: u32,
    pub uncompressed: Option<NonZeroU32>,
}

impl Entry {
    pub fn location(&self, kind: BlobKind, packs: &[PackId]) -> Location {
        let Self { id, pack, offset, length, uncompressed } = *self;
        let blob = PackedBlob { kind, id, offset, length, uncompressed: uncompressed.map(NonZeroU32::get) };
        Location { pack: packs[pack as usize], blob }
    }
}

/// Entries in blocks, found by open addressing over their numbers. Copies of one blob follow each other in the probe
/// sequence. The ids are SHA-256 already, so a slot is their first bytes.
#[derive(Debug, Default)]
struct Table {
    blocks: Vec<Vec<Entry>>,
    len: usize,
    /// A power of two long, at most 7/8 full.
    slots: Vec<u32>,
}

impl Table {
    fn insert(&mut self, entry: Entry) {
        if (self.len + 1) * 8 > self.slots.len() * 7 {
            self.grow();
        }
        let number =
            u32::try_from(self.len).ok().filter(|&n| n != EMPTY).expect("fewer than 2³² blobs fit into memory");
        if self.len.is_multiple_of(BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        self.blocks[self.len / BLOCK].push(entry);
        self.len += 1;
        self.link(number);
    }

    fn link(&mut self, number: u32) {
        let mut slot = self.slot(&self.entry(number).id);
        while self.slots[slot] != EMPTY {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = number;
    }

    fn grow(&mut self) {
        let wanted = (self.slots.len() * 2).max(1_024);
        self.slots = Vec::new(); // before the larger one is there: both together would be half again as much
        self.slots.resize(wanted, EMPTY);
        for number in 0..self.len {
            self.link(u32::try_from(number).expect(COUNTED));
        }
    }

    fn find(&self, id: &BlobId) -> impl Iterator<Item = &Entry> {
        self.numbers(id).map(|number| self.entry(number))
    }

    fn numbers(&self, id: &BlobId) -> impl Iterator<Item = u32> {
        let mut slot = self.slot(id);
        std::iter::from_fn(move || {
            let number = *self.slots.get(slot)?;
            slot = (slot + 1) & (self.slots.len() - 1);
            (number != EMPTY).then_some(number)
        })
        .filter(move |&number| self.entry(number).id == *id)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flatten()
    }

    fn entry(&self, number: u32) -> &Entry {
        let number = number as usize;
        &self.blocks[number / BLOCK][number % BLOCK]
    }

    fn slot(&self, id: &BlobId) -> usize {
        let (first, _) = id.0.split_first_chunk().expect("an id has 32 bytes");
        let mask = self.slots.len().wrapping_sub(1);
        u64::from_le_bytes(*first) as usize & mask
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn id(number: u64) -> BlobId {
        BlobId(Sha256::digest(number.to_le_bytes()).into())
    }

    fn pack(number: u64) -> PackId {
        PackId(Sha256::digest(number.to_be_bytes()).into())
    }

    fn blob(kind: BlobKind, number: u64, offset: u32) -> PackedBlob {
        PackedBlob { kind, id: id(number), offset, length: 100, uncompressed: number.is_multiple_of(3).then_some(250) }
    }

    #[test]
    fn data_and_trees_of_one_id_are_two_things() {
        let mut index = Index::default();
        index.insert(pack(1), &[blob(BlobKind::Tree, 7, 0)]);
        assert!(index.contains(BlobKind::Tree, &id(7)));
        assert!(!index.contains(BlobKind::Data, &id(7)));
        assert!(!Index::default().contains(BlobKind::Data, &id(7)));
    }

    #[test]
    fn every_copy_is_found_and_a_pack_that_two_files_list_is_one() {
        let mut index = Index::default();
        let (first, second) = (blob(BlobKind::Data, 1, 0), blob(BlobKind::Data, 1, 500));
        index.insert(pack(1), &[first]);
        index.insert(pack(2), &[second]);
        index.insert(pack(1), &[first, blob(BlobKind::Data, 2, 100)]);
        let copies: Vec<_> = index.find(BlobKind::Data, &id(1)).collect();
        assert_eq!(copies, [Location { pack: pack(1), blob: first }, Location { pack: pack(2), blob: second }]);
        assert_eq!(index.packs(), [pack(1), pack(2)]);
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn what_lies_in_a_lost_pack_alone_is_not_there() {
        let mut index = Index::default();
        index.insert(pack(1), &[blob(BlobKind::Data, 1, 0), blob(BlobKind::Data, 2, 100)]);
        index.insert(pack(2), &[blob(BlobKind::Data, 2, 0)]);
        index.mark_lost(&pack(1));
        index.mark_lost(&pack(7));
        assert!(!index.contains(BlobKind::Data, &id(1)));
        assert!(index.contains(BlobKind::Data, &id(2)));
        index.insert(pack(3), &[blob(BlobKind::Data, 1, 0)]);
        assert!(index.contains(BlobKind::Data, &id(1)), "stored again");
    }

    #[test]
    fn a_million_blobs_take_less_than_64_bytes_each() {
        assert_eq!(size_of::<Entry>(), 48);
        let mut table = Table::default();
        let id = |number: u64| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            BlobId(id)
        };
        for number in 0..1_000_000 {
            let entry = Entry { id: id(number), pack: 0, offset: 0, length: 0, uncompressed: None };
            table.insert(entry);
            let slots = table.slots.capacity() * size_of::<u32>();
            let blocks = table.blocks.len() * BLOCK * size_of::<Entry>();
            assert!(slots + blocks <= 64 * table.len + 256 * 1024, "at {number}: {slots} + {blocks}");
        }
        assert!((0..1_000_000).step_by(997).all(|number| table.find(&id(number)).count() == 1));
        assert_eq!(table.find(&id(1_000_000)).count(), 0);
    }

    fn packs() -> impl Strategy<Value = Vec<Vec<(bool, u64)>>> {
        prop::collection::vec(prop::collection::vec((any::<bool>(), 0_u64..40), 1..20), 0..12)
    }

    proptest! {
        #[test]
        fn it_says_what_a_plain_list_says(packs in packs(), wanted: Vec<u8>) {
            let mut index = Index::default();
            let mut all = Vec::new();
            for (number, blobs) in (0..).zip(&packs) {
                let blobs: Vec<_> = (0..).zip(blobs).map(|(at, &(tree, n))| {
                    blob(if tree { BlobKind::Tree } else { BlobKind::Data }, n, at * 100)
                }).collect();
                index.insert(pack(number), &blobs);
                all.extend(blobs.iter().map(|&blob| Location { pack: pack(number), blob }));
            }
            for kind in [BlobKind::Data, BlobKind::Tree] {
                for n in 0..40 {
                    let copies: Vec<_> = index.find(kind, &id(n)).collect();
                    let expected: Vec<_> =
                        all.iter().copied().filter(|at| at.blob.kind == kind && at.blob.id == id(n)).collect();
                    prop_assert_eq!(copies, expected);
                }
                let wanted: Vec<_> = wanted.iter().map(|&n| id(n.into())).collect();
                let (plan, missing) = index.plan(kind, wanted.clone());
                let planned: Vec<_> = plan.collect();
                let place = |at: &Location| (all.iter().position(|a| a.pack == at.pack), at.blob.offset);
                prop_assert!(planned.is_sorted_by_key(place), "in the order of the packs");
                let mut ids: Vec<_> = planned.iter().map(|at| at.blob.id).chain(missing.clone()).collect();
                let mut unique = wanted;
                for ids in [&mut ids, &mut unique] {
                    ids.sort();
                }
                unique.dedup();
                prop_assert_eq!(ids, unique, "each once");
                prop_assert!(planned.iter().all(|at| at.blob.kind == kind && all.contains(at)));
                prop_assert!(missing.iter().all(|id| !index.contains(kind, id)));
            }
            let by_pack: Vec<_> = index.by_pack()
                .flat_map(|(pack, blobs)| blobs.into_iter().map(move |blob| Location { pack, blob })).collect();
            prop_assert_eq!(&by_pack, &all);
            prop_assert_eq!(index.iter().count(), all.len());
        }
    }
}

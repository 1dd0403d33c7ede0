//! What snapshots need, and what each pack holds of it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::super::index::{Index, Location, NO_PANIC};
use super::super::pack::{PackedBlob, packed_size};
use super::super::walk::{Visited, walk};
use super::super::{BlobId, BlobKind, Node, NodeKind, PackId, Repository, RepositoryError};
use super::plan::PackFacts;
use crate::context::Context;

/// The blobs that snapshots reach: one bit for each blob of the index, at the number of its first copy.
#[derive(Debug)]
pub struct Needed {
    data: Vec<u64>,
    trees: Vec<u64>,
    /// What each pack holds that is unused and of which there is no other copy, and what is needed from it alone.
    worth: HashMap<PackId, Worth>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Worth {
    garbage: u64,
    alone: u64,
    /// In the store, with the size that the index says.
    sound: bool,
}

impl Needed {
    fn bits(&self, kind: BlobKind) -> &Vec<u64> {
        match kind {
            BlobKind::Data => &self.data,
            BlobKind::Tree => &self.trees,
        }
    }

    fn mark(&mut self, index: &Index, kind: BlobKind, id: &BlobId) -> Result<(), RepositoryError> {
        let number = index.number(kind, id).ok_or(RepositoryError::BlobMissing { kind, id: *id })? as usize;
        let bits = match kind {
            BlobKind::Data => &mut self.data,
            BlobKind::Tree => &mut self.trees,
        };
        if bits.len() <= number / 64 {
            bits.resize(number / 64 + 1, 0);
        }
        bits[number / 64] |= 1 << (number % 64);
        Ok(())
    }

    fn has(&self, index: &Index, kind: BlobKind, id: &BlobId) -> bool {
        let Some(number) = index.number(kind, id) else { return false };
        self.bits(kind).get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Whether this copy is the one that is kept. Of several it is the one in the pack with the least garbage (after an
    /// interrupted repacking that is the new one), then with the most that is only there.
    fn keeps(&self, index: &Index, at: &Location) -> bool {
        let rank = |copy: &Location| {
            let worth = self.worth.get(&copy.pack).copied().unwrap_or_default();
            (worth.sound, Reverse(worth.garbage), worth.alone, Reverse((copy.pack, copy.blob.offset)))
        };
        let home = index.find(at.blob.kind, &at.blob.id).max_by_key(rank);
        self.has(index, at.blob.kind, &at.blob.id) && home.as_ref() == Some(at)
    }

    /// The blobs that are kept and lie in one of these packs.
    pub async fn copied(
        &self,
        repository: &Repository,
        kind: BlobKind,
        packs: &HashSet<PackId>,
    ) -> Result<Vec<BlobId>, RepositoryError> {
        let index = repository.index().await?.read().expect(NO_PANIC);
        let moves = |at: &Location| at.blob.kind == kind && packs.contains(&at.pack) && self.keeps(&index, at);
        Ok(index.iter().filter(moves).map(|at| at.blob.id).collect())
    }

    /// The last look before anything is destroyed: of all that is needed there is a copy outside of these packs.
    ///
    /// # Errors
    /// `BlobMissing`, which would be a defect of ours.
    pub async fn must_be_outside(
        &self,
        repository: &Repository,
        gone: &HashSet<PackId>,
    ) -> Result<(), RepositoryError> {
        let index = repository.index().await?.read().expect(NO_PANIC);
        let inside = |at: &Location| {
            self.has(&index, at.blob.kind, &at.blob.id)
                && index.find(at.blob.kind, &at.blob.id).all(|copy| gone.contains(&copy.pack))
        };
        match index.iter().find(inside) {
            None => Ok(()),
            Some(at) => Err(RepositoryError::BlobMissing { kind: at.blob.kind, id: at.blob.id }),
        }
    }
}

/// Walks everything that snapshots reach.
///
/// # Errors
/// When a snapshot or tree cannot be read, or something that one names is in no index.
pub async fn needed(repository: &Repository, cx: &Context) -> Result<Needed, RepositoryError> {
    let snapshots = repository.snapshots().await?;
    let task = cx.progress.task("find what snapshots need", 0, 0);
    let look = |node: &Node, content: &mut Vec<BlobId>| {
        if let NodeKind::File { content: blobs, .. } = &node.kind {
            content.extend_from_slice(blobs);
        }
    };
    let index = repository.index().await?;
    let mut needed = Needed { data: Vec::new(), trees: Vec::new(), worth: HashMap::new() };
    let mut failure = None;
    walk(repository, snapshots.iter().map(|(_, snapshot)| snapshot.tree), cx, look, |id, visited| {
        task.add_items(1);
        let index = index.read().expect(NO_PANIC);
        let marked = visited.and_then(|Visited { seen: content, .. }| {
            needed.mark(&index, BlobKind::Tree, &id.into())?;
            content.iter().try_for_each(|blob| needed.mark(&index, BlobKind::Data, blob))
        });
        if let Err(error) = marked {
            failure.get_or_insert(error);
        }
    })
    .await?;
    task.finish();
    failure.map_or(Ok(needed), Err)
}

/// Every pack that an index names, and those that none does.
pub async fn facts(
    repository: &Repository,
    needed: &mut Needed,
    listed: HashMap<PackId, u64>,
) -> Result<(Vec<PackFacts>, Vec<(PackId, u64)>), RepositoryError> {
    let index = repository.index().await?.read().expect(NO_PANIC);
    let mut packs = sizes(&index, &listed);
    needed.worth = worth(&index, needed, &packs);
    for at in index.iter() {
        let pack = packs.get_mut(&at.pack).expect("every pack of the index was entered");
        let bytes = entry_size(&at.blob);
        pack.has_trees |= at.blob.kind == BlobKind::Tree;
        if needed.keeps(&index, &at) {
            pack.used_blobs += 1;
            pack.used_bytes += bytes;
        } else {
            pack.unused_blobs += 1;
            pack.unused_bytes += bytes;
        }
    }
    let unindexed = listed.into_iter().filter(|(id, _)| !packs.contains_key(id)).collect();
    Ok((packs.into_values().collect(), unindexed))
}

fn sizes(index: &Index, listed: &HashMap<PackId, u64>) -> HashMap<PackId, PackFacts> {
    let empty = |id: &PackId| PackFacts {
        id: *id,
        found: listed.get(id).copied(),
        expected: packed_size(&[]),
        used_bytes: 0,
        used_blobs: 0,
        unused_bytes: 0,
        unused_blobs: 0,
        has_trees: false,
    };
    let mut packs: HashMap<PackId, PackFacts> = index.packs().iter().map(|id| (*id, empty(id))).collect();
    for at in index.iter() {
        packs.get_mut(&at.pack).expect("every pack of the index was entered").expected += entry_size(&at.blob);
    }
    packs
}

fn worth(index: &Index, needed: &Needed, packs: &HashMap<PackId, PackFacts>) -> HashMap<PackId, Worth> {
    let sound = |facts: &PackFacts| facts.found == Some(facts.expected);
    let empty = |facts: &PackFacts| Worth { sound: sound(facts), ..Worth::default() };
    let mut worth: HashMap<PackId, Worth> = packs.iter().map(|(id, facts)| (*id, empty(facts))).collect();
    for at in index.iter() {
        let worth = worth.get_mut(&at.pack).expect("every pack of the index was entered");
        if !needed.has(index, at.blob.kind, &at.blob.id) {
            worth.garbage += entry_size(&at.blob);
        } else if index.find(at.blob.kind, &at.blob.id).nth(1).is_none() {
            worth.alone += entry_size(&at.blob);
        }
    }
    worth
}

/// With its entry in the header.
fn entry_size(blob: &PackedBlob) -> u64 {
    packed_size(std::slice::from_ref(blob)) - packed_size(&[])
}

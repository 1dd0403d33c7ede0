//! Which packs go and which are repacked: pure. The rules are restic's (`cmd/restic/cmd_prune.go`, 0.14).

use std::collections::HashSet;

use serde::Serialize;

use super::super::PackId;

pub use crate::stack::{InvalidMaxUnused, MaxUnused};

impl MaxUnused {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a size"
    )]
    fn bytes(self, used: u64) -> u64 {
        match self {
            Self::Percent(percent) => (percent / (100.0 - percent) * used as f64) as u64,
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => u64::MAX,
        }
    }
}

/// One pack that an index names. Bytes are those of sealed blobs with their header entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackFacts {
    pub id: PackId,
    /// By the store's listing; `None`: it is not there.
    pub found: Option<u64>,
    /// What the index says it should have.
    pub expected: u64,
    /// What is needed from this pack; a blob that is in several packs is needed from one.
    pub used_bytes: u64,
    pub used_blobs: u64,
    pub unused_bytes: u64,
    pub unused_blobs: u64,
    pub has_trees: bool,
}

/// What becomes of the packs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// In the store, in no index.
    pub unindexed: Vec<PackId>,
    /// Nothing in them is needed.
    pub remove: Vec<PackId>,
    /// What is needed in them is copied before they go.
    pub repack: HashSet<PackId>,
    pub repack_bytes: u64,
    /// In an index, not in the store, and not needed.
    pub missing: Vec<PackId>,
}

impl Decision {
    /// What no index may name at the end.
    pub fn gone(&self) -> HashSet<PackId> {
        self.remove.iter().chain(&self.repack).chain(&self.missing).copied().collect()
    }
}

/// What prune finds and does, for people and scripts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneSummary {
    /// Packs that an index names, and their bytes.
    pub packs: u64,
    pub bytes: u64,
    pub used_blobs: u64,
    pub used_bytes: u64,
    pub unused_blobs: u64,
    pub unused_bytes: u64,
    /// Left by interrupted writers: removed.
    pub unindexed_packs: u64,
    pub unindexed_bytes: u64,
    /// Of which nothing is needed: removed.
    pub removed_packs: u64,
    pub removed_bytes: u64,
    /// Read and written again without what is not needed: bytes before and after.
    pub repacked_packs: u64,
    pub repacked_bytes: u64,
    pub repacked_to_bytes: u64,
    /// Named by an index, gone from the store and not needed: forgotten.
    pub missing_packs: u64,
    /// What the store gets back in all.
    pub freed_bytes: u64,
    /// What stays unused, because it is below the limit.
    pub unused_after_bytes: u64,
}

/// Packs below this are worth repacking together when there are many, full or not: each costs a request and a place in
/// every listing. restic's: a 25th of 16 MiB, and ten of them.
const SMALL: u64 = (16 << 20) / 25;
const MANY: usize = 10;

/// Decides on every pack.
///
/// # Errors
/// When a pack is needed and missing or of the wrong size.
pub fn decide(
    packs: Vec<PackFacts>,
    unindexed: Vec<(PackId, u64)>,
    max_unused: MaxUnused,
) -> Result<(Decision, PruneSummary), String> {
    let mut decision = Decision { unindexed: unindexed.iter().map(|(id, _)| *id).collect(), ..Decision::default() };
    let mut summary = PruneSummary {
        unindexed_packs: unindexed.len() as u64,
        unindexed_bytes: unindexed.iter().map(|(_, bytes)| bytes).sum(),
        ..PruneSummary::default()
    };
    let (mut partly, mut small) = (Vec::new(), Vec::new());
    for pack in packs {
        summary.count(&pack);
        match (pack.used_blobs, pack.found) {
            (0, None) => {
                decision.missing.push(pack.id);
                summary.missing_packs += 1;
            }
            (0, Some(bytes)) => {
                decision.remove.push(pack.id);
                summary.removed_packs += 1;
                summary.removed_bytes += bytes;
            }
            _ if pack.found != Some(pack.expected) => return Err(unsound(&pack)),
            _ if pack.unused_blobs > 0 => partly.push(pack),
            _ if pack.expected < SMALL => small.push(pack),
            _ => {}
        }
    }
    let small = if small.len() < MANY { Vec::new() } else { small };
    choose(partly, small, max_unused, &mut decision, &mut summary);
    summary.freed_bytes = summary.unindexed_bytes + summary.removed_bytes + summary.repacked_bytes
        - summary.repacked_to_bytes.min(summary.repacked_bytes);
    Ok((decision, summary))
}

fn unsound(pack: &PackFacts) -> String {
    match pack.found {
        None => format!("pack {} is not in the store, and snapshots need {} of its blobs", pack.id, pack.used_blobs),
        Some(found) => format!(
            "pack {} has {found} bytes where the index says {}, and snapshots need {} of its blobs",
            pack.id, pack.expected, pack.used_blobs
        ),
    }
}

/// Repacks what holds trees always (they are read often and are small), then the packs with the greatest unused share,
/// until what stays unused is below the limit.
fn choose(
    mut partly: Vec<PackFacts>,
    small: Vec<PackFacts>,
    max_unused: MaxUnused,
    decision: &mut Decision,
    summary: &mut PruneSummary,
) {
    let share = |a: &PackFacts, b: &PackFacts| {
        // unused/used of a against b, without division
        let left = u128::from(a.unused_bytes) * u128::from(b.used_bytes);
        left.cmp(&(u128::from(b.unused_bytes) * u128::from(a.used_bytes)))
    };
    partly
        .sort_unstable_by(|a, b| b.has_trees.cmp(&a.has_trees).then_with(|| share(b, a)).then_with(|| a.id.cmp(&b.id)));
    let limit = max_unused.bytes(summary.used_bytes);
    let mut unused: u64 = partly.iter().map(|pack| pack.unused_bytes).sum();
    for pack in partly {
        if pack.has_trees || unused > limit {
            unused -= pack.unused_bytes;
            decision.take(&pack, summary);
        }
    }
    small.iter().for_each(|pack| decision.take(pack, summary));
    summary.unused_after_bytes = unused;
}

impl Decision {
    fn take(&mut self, pack: &PackFacts, summary: &mut PruneSummary) {
        self.repack.insert(pack.id);
        self.repack_bytes += pack.used_bytes;
        summary.repacked_packs += 1;
        summary.repacked_bytes += pack.expected;
        summary.repacked_to_bytes += pack.used_bytes;
    }
}

impl PruneSummary {
    fn count(&mut self, pack: &PackFacts) {
        self.packs += 1;
        self.bytes += pack.found.unwrap_or(0);
        self.used_blobs += pack.used_blobs;
        self.used_bytes += pack.used_bytes;
        self.unused_blobs += pack.unused_blobs;
        self.unused_bytes += pack.unused_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(id: u8, used: u64, unused: u64) -> PackFacts {
        PackFacts {
            id: PackId([id; 32]),
            found: Some(used + unused + 36),
            expected: used + unused + 36,
            used_bytes: used,
            used_blobs: used.div_ceil(100),
            unused_bytes: unused,
            unused_blobs: unused.div_ceil(100),
            has_trees: false,
        }
    }

    const BIG: u64 = 1 << 20;

    fn repacked(packs: Vec<PackFacts>, max_unused: MaxUnused) -> Vec<u8> {
        let (decision, _) = decide(packs, vec![], max_unused).unwrap();
        let mut ids: Vec<u8> = decision.repack.iter().map(|id| id.0[0]).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn full_packs_stay_empty_ones_go_and_the_worst_are_repacked_down_to_the_limit() {
        let packs = vec![
            pack(1, 10 * BIG, 0),
            pack(2, 0, BIG),
            pack(3, 9 * BIG, BIG),
            pack(4, BIG, 9 * BIG),
            pack(5, 5 * BIG, BIG),
        ];
        let (decision, summary) = decide(packs.clone(), vec![(PackId([9; 32]), 7)], MaxUnused::default()).unwrap();
        assert_eq!(decision.remove, [PackId([2; 32])]);
        assert_eq!(decision.unindexed, [PackId([9; 32])]);
        // 25 MiB are used: 1.3 MiB may stay unused, so 4 goes (9 of 11), then 5 (1 of 2), and 3 stays.
        assert_eq!(decision.repack, HashSet::from([PackId([4; 32]), PackId([5; 32])]));
        assert_eq!(
            summary,
            PruneSummary {
                packs: 5,
                bytes: 37 * BIG + 5 * 36,
                used_blobs: packs.iter().map(|p| p.used_blobs).sum(),
                used_bytes: 25 * BIG,
                unused_blobs: packs.iter().map(|p| p.unused_blobs).sum(),
                unused_bytes: 12 * BIG,
                unindexed_packs: 1,
                unindexed_bytes: 7,
                removed_packs: 1,
                removed_bytes: BIG + 36,
                repacked_packs: 2,
                repacked_bytes: 16 * BIG + 72,
                repacked_to_bytes: 6 * BIG,
                missing_packs: 0,
                freed_bytes: 7 + BIG + 36 + 10 * BIG + 72,
                unused_after_bytes: BIG,
            }
        );
    }

    #[test]
    fn the_limit_is_a_choice() {
        let packs = || vec![pack(3, 9 * BIG, BIG), pack(4, BIG, 9 * BIG)];
        assert_eq!(repacked(packs(), MaxUnused::Bytes(0)), [3, 4]);
        assert_eq!(repacked(packs(), MaxUnused::Percent(50.0)), [0_u8; 0]);
        assert_eq!(repacked(packs(), MaxUnused::Bytes(2 * BIG)), [4]);
        assert_eq!(repacked(packs(), MaxUnused::Unlimited), [0_u8; 0]);
        let trees = PackFacts { has_trees: true, ..pack(5, 9 * BIG, 100) };
        assert_eq!(repacked(vec![trees], MaxUnused::Unlimited), [5], "trees are always kept together");
    }

    #[test]
    fn small_packs_are_merged_when_there_are_ten() {
        let nine: Vec<_> = (0..9).map(|n| pack(n, 1000, 0)).collect();
        assert_eq!(repacked(nine.clone(), MaxUnused::default()), [0_u8; 0]);
        let ten = [nine, vec![pack(9, 1000, 0)]].concat();
        assert_eq!(repacked(ten, MaxUnused::default()).len(), 10);
    }

    #[test]
    fn what_is_needed_must_be_there_and_what_is_not_may_be_gone() {
        let gone = PackFacts { found: None, ..pack(1, BIG, 0) };
        let error = decide(vec![gone], vec![], MaxUnused::default()).unwrap_err();
        assert!(error.ends_with("is not in the store, and snapshots need 10486 of its blobs"), "{error}");
        let short = PackFacts { found: Some(3), ..pack(1, BIG, 0) };
        let error = decide(vec![short], vec![], MaxUnused::default()).unwrap_err();
        assert!(error.contains("has 3 bytes where the index says 1048612"), "{error}");
        let unneeded =
            vec![PackFacts { found: None, ..pack(1, 0, BIG) }, PackFacts { found: Some(3), ..pack(2, 0, BIG) }];
        let (decision, summary) = decide(unneeded, vec![], MaxUnused::default()).unwrap();
        assert_eq!((decision.missing, decision.remove), (vec![PackId([1; 32])], vec![PackId([2; 32])]));
        assert_eq!((summary.missing_packs, summary.freed_bytes), (1, 3));
    }
}

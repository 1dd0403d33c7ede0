//! Which packs are read: all, none, a part by turns, or a random sample.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::super::PackId;

pub use crate::stack::{InvalidReadData, ReadData};

impl ReadData {
    /// The chosen among packs and their sizes. A sample is never empty while there are packs.
    pub(super) fn choose(self, mut packs: Vec<(PackId, u64)>, seed: u64) -> Vec<(PackId, u64)> {
        match self {
            Self::None => Vec::new(),
            Self::All => packs,
            Self::Part { n, of } => {
                packs.retain(|(id, _)| u16::from(id.0[0]) % of == n - 1);
                packs
            }
            Self::Percent(percent) => {
                shuffle(&mut packs, seed);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a share of a count of packs"
                )]
                let count = (packs.len() as f64 * percent / 100.0).ceil() as usize;
                packs.truncate(count);
                packs
            }
            Self::Bytes(bytes) => {
                shuffle(&mut packs, seed);
                let mut sum = 0;
                packs.retain(|(_, size)| {
                    let take = sum < bytes;
                    sum += if take { size } else { &0 };
                    take
                });
                packs
            }
        }
    }
}

/// Sorted first, so that the seed alone decides and not the store's order.
fn shuffle(packs: &mut [(PackId, u64)], seed: u64) {
    packs.sort_unstable();
    packs.shuffle(&mut StdRng::seed_from_u64(seed));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packs(count: u8) -> Vec<(PackId, u64)> {
        (0..count).map(|n| (PackId([n; 32]), 100)).collect()
    }

    #[test]
    fn parts_together_are_everything_and_each_pack_is_in_one() {
        let parts: Vec<_> = (1..=7).flat_map(|n| ReadData::Part { n, of: 7 }.choose(packs(200), 1)).collect();
        let mut sorted = parts;
        sorted.sort_unstable();
        assert_eq!(sorted, packs(200));
    }

    #[test]
    fn samples_have_their_size_and_another_seed_takes_others() {
        assert_eq!(ReadData::Percent(5.0).choose(packs(200), 1).len(), 10);
        assert_eq!(ReadData::Percent(0.1).choose(packs(200), 1).len(), 1);
        assert_eq!(ReadData::Bytes(950).choose(packs(200), 1).len(), 10);
        assert_eq!(ReadData::Percent(5.0).choose(packs(200), 1), ReadData::Percent(5.0).choose(packs(200), 1));
        assert_ne!(ReadData::Percent(5.0).choose(packs(200), 1), ReadData::Percent(5.0).choose(packs(200), 2));
        assert_eq!(ReadData::All.choose(packs(200), 1), packs(200));
        assert_eq!(ReadData::None.choose(packs(200), 1), []);
    }
}

//! Cuts bytes by their content, so that an insertion moves no border but its neighbours and equal stretches become
//! equal blobs. A gear hash whose table is drawn from the repository's polynomial, so that borders differ between
//! repositories.

use sha2::{Digest, Sha256};

use super::polynomial::Polynomial;

/// No border is looked for before: restic's minimum, too.
pub const MIN: usize = 512 << 10;
/// A border is forced here: restic's maximum, too.
pub const MAX: usize = 8 << 20;
/// Zero bits that a border's hash begins with: one position in 2¹⁹, so that a chunk has MIN + 512 KiB = 1 MiB on average.
const BORDER_BITS: u32 = 19;
/// A hash depends on this many bytes before it: each step shifts by one of 64 bits.
const WINDOW: usize = 64;

/// The gear table of a repository; cheap to share.
#[derive(Debug, Clone)]
pub struct Gear(std::sync::Arc<[u64; 256]>);

impl Gear {
    /// Entry i is the first eight bytes of SHA-256("drydock gear 1" ‖ polynomial ‖ i), little-endian. Any other table
    /// would do, but a changed one would store everything once more.
    pub fn new(polynomial: Polynomial) -> Self {
        let mut table = [0; 256];
        for (i, entry) in (0..=u8::MAX).zip(&mut table) {
            let mut hash = Sha256::new();
            hash.update(b"drydock gear 1");
            hash.update(polynomial.bits().to_le_bytes());
            hash.update([i]);
            let digest: [u8; 32] = hash.finalize().into();
            let (first, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
            *entry = u64::from_le_bytes(*first);
        }
        Self(table.into())
    }
}

/// Where the next border lies, fed piece by piece.
#[derive(Debug, Clone)]
pub struct Chunker {
    gear: Gear,
    hash: u64,
    /// Bytes of the current chunk that were seen.
    seen: usize,
}

impl Chunker {
    pub fn new(gear: Gear) -> Self {
        Self { gear, hash: 0, seen: 0 }
    }

    /// How many bytes of `data` belong to the current chunk, and whether it ends with them.
    pub fn advance(&mut self, data: &[u8]) -> (usize, bool) {
        // what lies more than a window before the first possible border has no influence
        let skip = (MIN - WINDOW).saturating_sub(self.seen).min(data.len());
        let room = (MAX - self.seen).min(data.len());
        match self.scan(&data[skip..room], (MIN - 1).saturating_sub(self.seen + skip)) {
            Some(length) => {
                self.reset();
                (skip + length, true)
            }
            None => {
                self.seen += room;
                let full = self.seen == MAX;
                if full {
                    self.reset();
                }
                (room, full)
            }
        }
    }

    fn reset(&mut self) {
        self.hash = 0;
        self.seen = 0;
    }

    /// Feeds all of `data` or up to the first border at or after `warm_up` bytes; returns the border's length.
    fn scan(&mut self, data: &[u8], warm_up: usize) -> Option<usize> {
        let gear = &*self.gear.0;
        let (warm, rest) = data.split_at(warm_up.min(data.len()));
        let mut hash = self.hash;
        for &byte in warm {
            hash = (hash << 1).wrapping_add(gear[usize::from(byte)]);
        }
        for (i, &byte) in rest.iter().enumerate() {
            hash = (hash << 1).wrapping_add(gear[usize::from(byte)]);
            if hash >> (64 - BORDER_BITS) == 0 {
                return Some(warm.len() + i + 1);
            }
        }
        self.hash = hash;
        None
    }
}

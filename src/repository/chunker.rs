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
        // Four bytes at a time: each hash is the former one's plus what does not depend on it, so that the processor
        // waits for one addition in four bytes and not in each.
        let (fours, last) = rest.as_chunks::<4>();
        let border = |hash: u64| hash >> (64 - BORDER_BITS) == 0;
        for (i, &[a, b, c, d]) in fours.iter().enumerate() {
            let one = gear[usize::from(a)];
            let two = (one << 1).wrapping_add(gear[usize::from(b)]);
            let three = (two << 1).wrapping_add(gear[usize::from(c)]);
            let four = (three << 1).wrapping_add(gear[usize::from(d)]);
            let hashes = [(1, one), (2, two), (3, three), (4, four)].map(|(n, sum)| (hash << n).wrapping_add(sum));
            if hashes.iter().fold(false, |found, &hash| found | border(hash)) {
                let at = hashes.iter().position(|&hash| border(hash)).unwrap_or_default();
                return Some(warm.len() + 4 * i + at + 1);
            }
            hash = hashes[3];
        }
        for (i, &byte) in last.iter().enumerate() {
            hash = (hash << 1).wrapping_add(gear[usize::from(byte)]);
            if border(hash) {
                return Some(warm.len() + 4 * fours.len() + i + 1);
            }
        }
        self.hash = hash;
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, RngExt, SeedableRng};

    use super::*;

    fn gear() -> Gear {
        let polynomial: Polynomial = serde_json::from_str("\"25b468838dcb75\"").unwrap();
        Gear::new(polynomial)
    }

    fn noise(seed: u64, bytes: usize) -> Vec<u8> {
        let mut noise = vec![0; bytes];
        rand::rngs::SmallRng::seed_from_u64(seed).fill_bytes(&mut noise);
        noise
    }

    /// Lengths of the chunks, fed in pieces of `piece` bytes.
    fn cut(data: &[u8], piece: usize) -> Vec<usize> {
        let mut chunker = Chunker::new(gear());
        let (mut lengths, mut length) = (Vec::new(), 0);
        for mut piece in data.chunks(piece) {
            while !piece.is_empty() {
                let (taken, whole) = chunker.advance(piece);
                length += taken;
                piece = &piece[taken..];
                if whole {
                    lengths.push(std::mem::take(&mut length));
                }
            }
        }
        if length > 0 {
            lengths.push(length);
        }
        lengths
    }

    /// What the documentation says, in the plainest way: the hash of each position from its 64 bytes alone.
    fn cut_by_the_book(data: &[u8]) -> Vec<usize> {
        let gear = gear();
        let is_border = |end: usize| {
            let hash = data[end - WINDOW..end]
                .iter()
                .fold(0_u64, |hash, &byte| (hash << 1).wrapping_add(gear.0[usize::from(byte)]));
            hash.leading_zeros() >= BORDER_BITS
        };
        let (mut lengths, mut start) = (Vec::new(), 0);
        while start < data.len() {
            let rest = data.len() - start;
            let end = (MIN..rest.min(MAX)).find(|&length| is_border(start + length)).unwrap_or(rest.min(MAX));
            lengths.push(end);
            start += end;
        }
        lengths
    }

    /// The borders of a repository must never change: everything would be stored once more. The bytes are the top byte
    /// of Knuth's MMIX generator, started at 1.
    #[test]
    fn borders_are_those_of_the_first_release() {
        assert_eq!(gear().0[..2], [7_823_082_882_805_399_826, 13_595_405_052_302_905_662]);
        let mut state = 1_u64;
        let data: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(5 << 20)
        .collect();
        assert_eq!(cut(&data, 1 << 20), [1_051_159, 535_997, 837_310, 1_149_641, 601_235, 664_615, 402_923]);
    }

    #[test]
    fn borders_are_found_as_the_documentation_says() {
        let data = noise(2, 4 << 20);
        assert_eq!(cut(&data, data.len()), cut_by_the_book(&data));
    }

    #[test]
    fn chunks_keep_to_their_limits_and_to_a_mebibyte_on_average() {
        let lengths = cut(&noise(3, 100 << 20), 1 << 20);
        let (_, all_but_last) = lengths.split_last().unwrap();
        assert!(all_but_last.iter().all(|length| (MIN..=MAX).contains(length)), "{lengths:?}");
        let mean = (100 << 20) / lengths.len();
        assert!((880 << 10..1_200 << 10).contains(&mean), "{mean} bytes on average");
    }

    #[test]
    fn bytes_without_variety_are_cut_at_the_maximum() {
        assert_eq!(cut(&vec![0; 20 << 20], 12_345), [MAX, MAX, 4 << 20]);
    }

    #[test]
    fn another_repository_has_other_borders() {
        let data = noise(5, 8 << 20);
        let mut chunker = Chunker::new(Gear::new(Polynomial::random()));
        let (first, _) = chunker.advance(&data);
        assert_ne!(first, cut(&data, data.len())[0]);
    }

    #[test]
    fn an_insertion_changes_only_the_chunks_around_it() {
        let mut random = rand::rngs::SmallRng::seed_from_u64(4);
        let data = noise(6, 40 << 20);
        let mut changed = data.clone();
        let at = random.random_range(20 << 20..21 << 20);
        changed.splice(at..at, b"some bytes that were not there".iter().copied());
        let chunks = |data: &[u8]| {
            let mut start = 0;
            let mut chunks = std::collections::HashSet::new();
            for length in cut(data, 1 << 20) {
                chunks.insert(data[start..start + length].to_vec());
                start += length;
            }
            chunks
        };
        let (before, after) = (chunks(&data), chunks(&changed));
        let new = after.difference(&before).count();
        assert!((1..=3).contains(&new), "{new} of {} chunks are new", after.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// Concatenated chunks are the input because lengths add up and nothing is reordered; the pieces in which it
        /// arrives must not matter.
        #[test]
        fn pieces_do_not_matter(seed: u64, bytes in 0usize..6 << 20, piece in 1usize..3 << 20) {
            let data = noise(seed, bytes);
            let lengths = cut(&data, piece.max(bytes / 5_000 + 1));
            prop_assert_eq!(lengths.iter().sum::<usize>(), bytes);
            prop_assert_eq!(lengths, cut(&data, bytes.max(1)));
        }
    }
}

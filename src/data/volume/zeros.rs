//! Runs of zeros: what a restore leaves as holes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use crate::repository::BlobId;

/// Holes are made of whole blocks of this size, the page and block size of common file systems.
const BLOCK: usize = 4 << 10;

/// Shorter runs of zeros are written: a hole saves its blocks and costs an extent, so tiny ones only scatter the file.
const SHORTEST_HOLE: usize = 32 << 10;

/// The parts of `bytes`, which lies at `offset` of its file, that must be written; the rest may stay a hole.
pub(super) fn to_write(bytes: &[u8], offset: u64) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut at = first_block(offset).min(bytes.len());
    while at < bytes.len() {
        let zeros = zero_blocks(&bytes[at..]);
        if zeros >= SHORTEST_HOLE {
            if from < at {
                parts.push(from..at);
            }
            from = at + zeros;
            at = from;
        } else {
            at += zeros.max(BLOCK);
        }
    }
    if from < bytes.len() {
        parts.push(from..bytes.len());
    }
    parts
}

/// How far the first block border lies from `offset`.
fn first_block(offset: u64) -> usize {
    let into = usize::try_from(offset % BLOCK as u64).expect("less than a block");
    (BLOCK - into) % BLOCK
}

/// Bytes of zero blocks at the beginning; the last block may be cut short.
fn zero_blocks(bytes: &[u8]) -> usize {
    let full = bytes.chunks(BLOCK).take_while(|block| is_zero(block));
    full.map(<[u8]>::len).sum()
}

/// Looks at eight bytes at a time; the first one that is not zero ends it.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|word| *word == [0; 8]) && rest.iter().all(|b| *b == 0)
}

/// The ids of blobs that hold nothing but zeros, by their length; each is computed once.
#[derive(Debug, Default)]
pub(super) struct ZeroBlobs(Mutex<HashMap<u64, BlobId>>);

impl ZeroBlobs {
    pub(super) fn is(&self, id: &BlobId, bytes: u64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(bytes).or_insert_with(|| zero_id(bytes)) == id
    }
}

fn zero_id(bytes: u64) -> BlobId {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut hash = Context::new(&SHA256);
    let mut left = bytes;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
        hash.update(&ZEROS[..piece]);
        left -= piece as u64;
    }
    BlobId(hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_id_of_zeros_is_their_sha256() {
        let id = zero_id(100_000);
        let expected = aws_lc_rs::digest::digest(&SHA256, &vec![0; 100_000]);
        assert_eq!(id.0, expected.as_ref());
    }

    #[test]
    fn long_runs_of_zeros_become_holes_at_block_borders_and_short_ones_do_not() {
        let mut bytes = vec![1; 200_000];
        bytes[50_000..150_000].fill(0);
        assert_eq!(to_write(&bytes, 0), [0..53_248, 147_456..200_000]);
        assert_eq!(to_write(&bytes, 1), [0..53_247, 147_455..200_000], "borders are the file's, not the blob's");
        bytes[50_000..150_000].fill(1);
        bytes[60_000..80_000].fill(0);
        assert_eq!(to_write(&bytes, 0), vec![0..200_000; 1]);
        assert!(to_write(&[0; 40_000], 0).is_empty());
        assert!(to_write(&[], 7).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_not_written_is_zero(
            runs in prop::collection::vec((0u8..3, 1usize..70_000), 0..8),
            offset in 0u64..10_000,
        ) {
            let bytes: Vec<u8> = runs.iter().flat_map(|(b, n)| std::iter::repeat_n(*b, *n)).collect();
            let mut restored = vec![0; bytes.len()];
            for part in to_write(&bytes, offset) {
                restored[part.clone()].copy_from_slice(&bytes[part]);
            }
            prop_assert_eq!(restored, bytes);
        }
    }
}

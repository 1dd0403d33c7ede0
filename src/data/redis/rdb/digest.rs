//! What a key's content is reduced to, so that two servers that hold the same hold the same digest, whatever encodings
//! and order they keep it in.
//!
//! A *part* (a member, a field with its value, a whole list) is the XXH3-128 of its strings, each preceded by its
//! length (8 bytes, little-endian). Where Redis keeps no order, parts are summed modulo 2^128. It detects error, not
//! malice; against malice stands the repository. `docs/formats.md` has the full definition with test vectors.

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// Below this a part is gathered and hashed at once, which costs a tenth of a streaming hash for short strings.
const GATHER: usize = 4096;

/// One part on its way; used again for the next.
pub(super) struct Part {
    gathered: Vec<u8>,
    /// Takes over once the part has outgrown `gathered`.
    stream: Option<Box<Xxh3Default>>,
    streaming: bool,
}

impl Part {
    pub(super) fn new() -> Self {
        Self { gathered: Vec::with_capacity(GATHER), stream: None, streaming: false }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if !self.streaming {
            if self.gathered.len() + bytes.len() <= GATHER {
                self.gathered.extend_from_slice(bytes);
                return;
            }
            let stream = self.stream.get_or_insert_with(|| Box::new(Xxh3Default::new()));
            stream.reset();
            stream.update(&self.gathered);
            self.streaming = true;
        }
        if let Some(stream) = &mut self.stream {
            stream.update(bytes);
        }
    }

    pub(super) fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// A whole string: its length, then its bytes.
    pub(super) fn string(&mut self, string: &[u8]) {
        self.number(string.len() as u64);
        self.bytes(string);
    }

    /// An integer as the decimal string that a client would be given.
    pub(super) fn integer(&mut self, integer: i64) {
        let mut text = [0; 20];
        self.string(decimal(integer, &mut text));
    }

    /// The part's hash; the next part begins empty.
    pub(super) fn finish(&mut self) -> u128 {
        let hash = match &self.stream {
            Some(stream) if self.streaming => stream.digest128(),
            _ => xxh3_128(&self.gathered),
        };
        self.gathered.clear();
        self.streaming = false;
        hash
    }
}

/// `integer` in decimal, without an allocation.
pub(super) fn decimal(integer: i64, text: &mut [u8; 20]) -> &[u8] {
    let mut at = text.len();
    let mut rest = integer.unsigned_abs();
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if integer < 0 {
        at -= 1;
        text[at] = b'-';
    }
    &text[at..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_integer_reads_as_redis_prints_it(integer: i64) {
            prop_assert_eq!(decimal(integer, &mut [0; 20]).to_vec(), integer.to_string().into_bytes());
        }

        #[test]
        fn a_part_does_not_depend_on_its_pieces(content in proptest::collection::vec(any::<u8>(), 0..20_000), cut in 1usize..5000) {
            let mut part = Part::new();
            for round in 0..2 {
                content.chunks(cut).for_each(|piece| part.bytes(piece));
                prop_assert_eq!(part.finish(), xxh3_128(&content), "round {}", round);
            }
        }
    }

    #[test]
    fn the_smallest_integer_fits() {
        assert_eq!(decimal(i64::MIN, &mut [0; 20]), b"-9223372036854775808");
    }
}

//! Lengths and strings. A string is read in pieces, also a compressed one: LZF looks back 8 KiB at most, so unpacking
//! needs a window and not the whole. Source: redis `src/rdb.c` (`rdbLoadLenByRef`, `rdbGenericLoadStringObject`),
//! liblzf `lzf_d.c`.

use std::io::Read;

use super::RdbError;
use super::digest::{Part, decimal};
use super::source::Source;

/// LZF's furthest look back.
const LZF_WINDOW: usize = 8192;
/// The most that one LZF instruction yields: a copy of 2 + 7 + 255 bytes.
const LZF_STEP: usize = 264;
/// Unpacked at once.
const LZF_BUFFER: usize = 64 * 1024;

/// A length, or the kind of a specially encoded string.
enum Length {
    Plain(u64),
    Special(u8),
}

impl<R: Read> Source<R> {
    fn any_length(&mut self) -> Result<Length, RdbError> {
        let first = self.byte()?;
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(u64::from(first & 0x3f)),
            (1, _) => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            (3, _) => Length::Special(first & 0x3f),
            (_, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (_, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            _ => return Err(self.malformed(format!("a length begins with {first:#04x}"))),
        })
    }

    /// A length or another unsigned number.
    pub(super) fn length(&mut self) -> Result<u64, RdbError> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Special(kind) => Err(self.malformed(format!("a string encoding ({kind}) in place of a length"))),
        }
    }

    /// The string that begins here, to be read in pieces.
    pub(super) fn string(&mut self) -> Result<Text<'_, R>, RdbError> {
        let form = match self.any_length()? {
            Length::Plain(length) => Form::Raw { left: length },
            Length::Special(0) => Form::integer(i64::from(i8::from_le_bytes(self.array()?))),
            Length::Special(1) => Form::integer(i64::from(i16::from_le_bytes(self.array()?))),
            Length::Special(2) => Form::integer(i64::from(i32::from_le_bytes(self.array()?))),
            Length::Special(3) => {
                let packed = self.length()?;
                let left = self.length()?;
                if left == 0 {
                    return Err(self.malformed("a compressed string of no length"));
                }
                self.unpacked.resize(LZF_BUFFER, 0);
                Form::Lzf { packed, left, from: 0, to: 0 }
            }
            Length::Special(kind) => return Err(self.malformed(format!("unknown string encoding {kind}"))),
        };
        Ok(Text { source: self, form })
    }

    /// A whole short string; longer than `limit` is refused.
    pub(super) fn short_string(&mut self, limit: usize) -> Result<Vec<u8>, RdbError> {
        let mut text = self.string()?;
        if text.left() > limit as u64 {
            return Err(text.malformed(format!("a string of {} bytes where at most {limit} make sense", text.left())));
        }
        let mut whole = Vec::with_capacity(limit.min(64));
        while text.left() > 0 {
            whole.extend_from_slice(text.piece(u64::MAX)?);
        }
        Ok(whole)
    }

    /// Hashes the string that begins here.
    pub(super) fn hash_string(&mut self, part: &mut Part) -> Result<(), RdbError> {
        self.string()?.hash_rest(part)
    }

    pub(super) fn skip_string(&mut self) -> Result<(), RdbError> {
        let mut text = self.string()?;
        let left = text.left();
        text.skip(left)
    }
}

enum Form {
    Raw { left: u64 },
    Integer { text: [u8; 20], from: usize },
    Lzf { packed: u64, left: u64, from: usize, to: usize },
}

impl Form {
    fn integer(integer: i64) -> Self {
        let mut text = [0; 20];
        let from = 20 - decimal(integer, &mut text).len();
        Self::Integer { text, from }
    }
}

/// A string on its way in. What is not read of it stays in the source, so a caller that is done early must
/// [`Text::skip`] what is left.
pub(super) struct Text<'a, R> {
    source: &'a mut Source<R>,
    form: Form,
}

impl<R: Read> Text<'_, R> {
    /// How many bytes are still to come, by the string's own header.
    pub(super) fn left(&self) -> u64 {
        match &self.form {
            Form::Raw { left } => *left,
            Form::Integer { from, .. } => (20 - from) as u64,
            Form::Lzf { left, from, to, .. } => left + (to - from) as u64,
        }
    }

    /// The next bytes, at least one and at most `limit` of them.
    pub(super) fn piece(&mut self, limit: u64) -> Result<&[u8], RdbError> {
        if self.left() == 0 {
            return Err(self.malformed("a packed value ends before its last entry"));
        }
        if matches!(self.form, Form::Lzf { from, to, .. } if from == to) {
            self.unpack()?;
        }
        match &mut self.form {
            Form::Raw { left } => {
                let piece = self.source.piece(limit.min(*left))?;
                *left -= piece.len() as u64;
                Ok(piece)
            }
            Form::Integer { text, from } => Ok(take(text, from, 20, limit)),
            Form::Lzf { from, to, .. } => Ok(take(&self.source.unpacked, from, *to, limit)),
        }
    }

    /// Unpacks the next stretch of a compressed string behind the window that copies may look back into.
    fn unpack(&mut self) -> Result<(), RdbError> {
        let Form::Lzf { packed, left, from, to } = &mut self.form else { return Ok(()) };
        let mut out = std::mem::take(&mut self.source.unpacked);
        if *to > LZF_WINDOW {
            out.copy_within(*to - LZF_WINDOW..*to, 0);
            *to = LZF_WINDOW;
        }
        *from = *to;
        let outcome = unpack_into(self.source, &mut out, packed, left, to);
        self.source.unpacked = out;
        outcome
    }

    pub(super) fn byte(&mut self) -> Result<u8, RdbError> {
        Ok(self.piece(1)?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut array = [0; N];
        let mut filled = 0;
        while filled < N {
            let piece = self.piece((N - filled) as u64)?;
            array[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        Ok(array)
    }

    pub(super) fn skip(&mut self, mut bytes: u64) -> Result<(), RdbError> {
        while bytes > 0 {
            bytes -= self.piece(bytes)?.len() as u64;
        }
        Ok(())
    }

    /// Hashes the next `bytes` bytes, without a length before them.
    pub(super) fn hash(&mut self, mut bytes: u64, part: &mut Part) -> Result<(), RdbError> {
        while bytes > 0 {
            let piece = self.piece(bytes)?;
            part.bytes(piece);
            bytes -= piece.len() as u64;
        }
        Ok(())
    }

    /// Hashes all that is left as one string.
    pub(super) fn hash_rest(&mut self, part: &mut Part) -> Result<(), RdbError> {
        let left = self.left();
        part.number(left);
        self.hash(left, part)
    }

    /// Refuses bytes after what should have been the last.
    pub(super) fn expect_end(&self) -> Result<(), RdbError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.malformed(format!("{left} bytes follow after the last entry of a packed value"))),
        }
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> RdbError {
        self.source.malformed(what)
    }
}

fn take<'a>(bytes: &'a [u8], from: &mut usize, to: usize, limit: u64) -> &'a [u8] {
    let n = usize::try_from(limit).map_or(to - *from, |limit| limit.min(to - *from));
    *from += n;
    &bytes[*from - n..*from]
}

/// Runs LZF instructions until the buffer is nearly full or the string is whole.
fn unpack_into<R: Read>(
    source: &mut Source<R>,
    out: &mut [u8],
    packed: &mut u64,
    left: &mut u64,
    to: &mut usize,
) -> Result<(), RdbError> {
    let damaged = |source: &Source<R>| source.malformed("a compressed string is damaged");
    while *left > 0 && *to + LZF_STEP <= out.len() {
        let mut next = |source: &mut Source<R>| match packed.checked_sub(1) {
            Some(rest) => {
                *packed = rest;
                source.byte()
            }
            None => Err(damaged(source)),
        };
        let control = usize::from(next(source)?);
        let (length, distance) = if control < 32 {
            (control + 1, 0)
        } else {
            let extra = if control >> 5 == 7 { usize::from(next(source)?) } else { 0 };
            ((control >> 5) + extra + 2, ((control & 0x1f) << 8 | usize::from(next(source)?)) + 1)
        };
        if length as u64 > *left || distance > *to {
            return Err(damaged(source));
        }
        if distance == 0 {
            *packed = packed.checked_sub(length as u64).ok_or_else(|| damaged(source))?;
            source.fill(&mut out[*to..*to + length])?;
        } else {
            // Byte by byte where source and target overlap: that is how LZF repeats.
            for at in *to..*to + length {
                out[at] = out[at - distance];
            }
        }
        *to += length;
        *left -= length as u64;
    }
    if *left == 0 && *packed > 0 {
        return Err(damaged(source));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8]) -> Result<Vec<u8>, RdbError> {
        Source::new(file).short_string(1 << 20)
    }

    #[test]
    fn every_form_of_a_string_is_read() {
        assert_eq!(read(b"\x05hello").unwrap(), b"hello");
        assert_eq!(read(&[&[0x41, 0x2c][..], &[b'x'; 300]].concat()).unwrap(), [b'x'; 300]);
        assert_eq!(read(&[&[0x80, 0, 0, 1, 0][..], &[b'y'; 256]].concat()).unwrap(), [b'y'; 256]);
        assert_eq!(read(&[&[0x81, 0, 0, 0, 0, 0, 0, 0, 2][..], b"zz"].concat()).unwrap(), b"zz");
        assert_eq!(read(&[0xc0, 0x85]).unwrap(), b"-123");
        assert_eq!(read(&[0xc1, 0x00, 0x80]).unwrap(), b"-32768");
        assert_eq!(read(&[0xc2, 0xff, 0xff, 0xff, 0x7f]).unwrap(), b"2147483647");
    }

    #[test]
    fn a_long_repetition_unpacks_piece_by_piece() {
        // "ab", then copies of 264 bytes from two back, to 200,000 bytes
        let mut packed = vec![1, b'a', b'b'];
        let mut length = 2;
        while length < 200_000 {
            let n = (200_000 - length).min(264);
            assert!(n >= 9, "the last copy would need the short form");
            packed.extend([0xe0, (n - 9) as u8, 1]);
            length += n;
        }
        let mut file = vec![0xc3, 0x80];
        file.extend((packed.len() as u32).to_be_bytes());
        file.push(0x80);
        file.extend(200_000u32.to_be_bytes());
        file.extend(packed);
        assert_eq!(read(&file).unwrap(), b"ab".repeat(100_000));
    }

    #[test]
    fn a_compressed_string_that_lies_is_refused() {
        for file in [
            &[0xc3u8, 1, 5, 4][..],                // a literal of five bytes where none follow
            &[0xc3, 3, 9, 0x20, 0x05, 0],          // looks back before its beginning
            &[0xc3, 4, 1, 2, b'a', b'b', b'c'],    // yields more than it says
            &[0xc3, 5, 1, 0, b'a', b'b', b'c', 0], // goes on after its end
        ] {
            assert!(matches!(read(file), Err(RdbError::Malformed { .. } | RdbError::Truncated { .. })), "{file:?}");
        }
    }

    #[test]
    fn a_hostile_length_takes_no_memory() {
        let file = [0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'x'];
        assert!(matches!(Source::new(&file[..]).skip_string(), Err(RdbError::Truncated { offset: 10 })));
        assert!(matches!(read(&file), Err(RdbError::Malformed { .. })));
    }
}

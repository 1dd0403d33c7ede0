//! Small collections that Redis keeps as one string: listpack, ziplist, intset, zipmap. Read entry by entry, so that
//! a server with generous `…-max-listpack-…` settings costs no memory here.
//! Source: redis `src/listpack.c`, `src/ziplist.c`, `src/intset.c`, and `src/zipmap.c` (before 2.6).

use std::io::Read;

use super::RdbError;
use super::digest::Part;
use super::string::Text;

/// Numbers inside packed values are at most this long as text (`%.17g` needs 24).
const NUMBER: u64 = 128;

/// One entry whose content is still to be read, unless it is an integer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    Integer(i64),
    Text(u64),
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    ListPack { entry: u64 },
    ZipList,
    IntSet { width: u32, left: u32 },
    ZipMap { value: bool, free: u64 },
}

pub(super) struct Packed<'a, R> {
    text: Text<'a, R>,
    layout: Layout,
    /// By the header; `None` where the header says that it does not know.
    announced: Option<u64>,
    seen: u64,
}

impl<'a, R: Read> Packed<'a, R> {
    pub(super) fn listpack(mut text: Text<'a, R>) -> Result<Self, RdbError> {
        let whole = text.left();
        let bytes = u32::from_le_bytes(text.array()?);
        let count = u16::from_le_bytes(text.array()?);
        if u64::from(bytes) != whole {
            return Err(text.malformed(format!("a listpack of {whole} bytes says that it has {bytes}")));
        }
        let announced = (count != u16::MAX).then_some(u64::from(count));
        Ok(Self { text, layout: Layout::ListPack { entry: 0 }, announced, seen: 0 })
    }

    pub(super) fn ziplist(mut text: Text<'a, R>) -> Result<Self, RdbError> {
        let whole = text.left();
        let bytes = u32::from_le_bytes(text.array()?);
        let _last_entry: [u8; 4] = text.array()?;
        let count = u16::from_le_bytes(text.array()?);
        if u64::from(bytes) != whole {
            return Err(text.malformed(format!("a ziplist of {whole} bytes says that it has {bytes}")));
        }
        let announced = (count != u16::MAX).then_some(u64::from(count));
        Ok(Self { text, layout: Layout::ZipList, announced, seen: 0 })
    }

    pub(super) fn intset(mut text: Text<'a, R>) -> Result<Self, RdbError> {
        let width = u32::from_le_bytes(text.array()?);
        let left = u32::from_le_bytes(text.array()?);
        if !matches!(width, 2 | 4 | 8) || text.left() != u64::from(width) * u64::from(left) {
            return Err(text.malformed(format!("an intset of {left} integers of {width} bytes in {}", text.left())));
        }
        Ok(Self { text, layout: Layout::IntSet { width, left }, announced: Some(u64::from(left)), seen: 0 })
    }

    pub(super) fn zipmap(mut text: Text<'a, R>) -> Result<Self, RdbError> {
        let count = text.byte()?;
        let announced = (count < 254).then_some(u64::from(count) * 2);
        Ok(Self { text, layout: Layout::ZipMap { value: false, free: 0 }, announced, seen: 0 })
    }

    /// The next entry; its content must be hashed, read or skipped before the one after it is asked for.
    pub(super) fn next(&mut self) -> Result<Option<Item>, RdbError> {
        let item = match self.layout {
            Layout::ListPack { .. } => self.listpack_head()?,
            Layout::ZipList => self.ziplist_head()?,
            Layout::IntSet { width, left } => self.intset_next(width, left)?,
            Layout::ZipMap { .. } => self.zipmap_head()?,
        };
        match item {
            Some(_) => self.seen += 1,
            None => self.end()?,
        }
        Ok(item)
    }

    fn end(&self) -> Result<(), RdbError> {
        self.text.expect_end()?;
        match self.announced {
            Some(announced) if announced != self.seen => {
                let seen = self.seen;
                Err(self.text.malformed(format!("a packed value of {seen} entries says that it has {announced}")))
            }
            _ => Ok(()),
        }
    }

    fn listpack_head(&mut self) -> Result<Option<Item>, RdbError> {
        let text = &mut self.text;
        let first = text.byte()?;
        // (bytes of the encoding and, for integers, of the value; the item)
        let (head, item) = match first {
            0xff => return Ok(None),
            0x00..=0x7f => (1, Item::Integer(i64::from(first))),
            0x80..=0xbf => (1, Item::Text(u64::from(first & 0x3f))),
            0xc0..=0xdf => {
                let raw = i16::from(first & 0x1f) << 8 | i16::from(text.byte()?);
                (2, Item::Integer(i64::from(raw << 3 >> 3)))
            }
            0xe0..=0xef => (2, Item::Text(u64::from(first & 0x0f) << 8 | u64::from(text.byte()?))),
            0xf0 => (5, Item::Text(u64::from(u32::from_le_bytes(text.array()?)))),
            0xf1 => (3, Item::Integer(i64::from(i16::from_le_bytes(text.array()?)))),
            0xf2 => (4, Item::Integer(three_bytes(text.array()?))),
            0xf3 => (5, Item::Integer(i64::from(i32::from_le_bytes(text.array()?)))),
            0xf4 => (9, Item::Integer(i64::from_le_bytes(text.array()?))),
            _ => return Err(text.malformed(format!("unknown listpack encoding {first:#04x}"))),
        };
        let content = if let Item::Text(length) = item { length } else { 0 };
        self.layout = Layout::ListPack { entry: head + content };
        Ok(Some(item))
    }

    /// Behind every listpack entry stands its length once more, to be read backwards: big-endian groups of seven bits,
    /// all but the first with the high bit set.
    fn listpack_tail(&mut self, entry: u64) -> Result<(), RdbError> {
        let mut length = u64::from(self.text.byte()?);
        let bytes = match entry {
            0..=127 => 1,
            128..16_383 => 2,
            16_383..2_097_151 => 3,
            2_097_151..268_435_455 => 4,
            _ => 5,
        };
        for _ in 1..bytes {
            length = length << 7 | u64::from(self.text.byte()? & 0x7f);
        }
        if length != entry {
            return Err(self.text.malformed(format!("a listpack entry of {entry} bytes says that it has {length}")));
        }
        Ok(())
    }

    fn ziplist_head(&mut self) -> Result<Option<Item>, RdbError> {
        let text = &mut self.text;
        match text.byte()? {
            0xff => return Ok(None),
            0xfe => text.skip(4)?,
            _previous_length => {}
        }
        let first = text.byte()?;
        Ok(Some(match first {
            0x00..=0x3f => Item::Text(u64::from(first)),
            0x40..=0x7f => Item::Text(u64::from(first & 0x3f) << 8 | u64::from(text.byte()?)),
            0x80 => Item::Text(u64::from(u32::from_be_bytes(text.array()?))),
            0xc0 => Item::Integer(i64::from(i16::from_le_bytes(text.array()?))),
            0xd0 => Item::Integer(i64::from(i32::from_le_bytes(text.array()?))),
            0xe0 => Item::Integer(i64::from_le_bytes(text.array()?)),
            0xf0 => Item::Integer(three_bytes(text.array()?)),
            0xfe => Item::Integer(i64::from(i8::from_le_bytes(text.array()?))),
            0xf1..=0xfd => Item::Integer(i64::from(first & 0x0f) - 1),
            _ => return Err(text.malformed(format!("unknown ziplist encoding {first:#04x}"))),
        }))
    }

    fn intset_next(&mut self, width: u32, left: u32) -> Result<Option<Item>, RdbError> {
        let Some(rest) = left.checked_sub(1) else { return Ok(None) };
        self.layout = Layout::IntSet { width, left: rest };
        let text = &mut self.text;
        Ok(Some(Item::Integer(match width {
            2 => i64::from(i16::from_le_bytes(text.array()?)),
            4 => i64::from(i32::from_le_bytes(text.array()?)),
            _ => i64::from_le_bytes(text.array()?),
        })))
    }

    fn zipmap_head(&mut self) -> Result<Option<Item>, RdbError> {
        let Layout::ZipMap { value, .. } = self.layout else { return Ok(None) };
        let length = match self.text.byte()? {
            0xff if !value => return Ok(None),
            0xff => return Err(self.text.malformed("a zipmap ends between a field and its value")),
            0xfe => u64::from(u32::from_le_bytes(self.text.array()?)),
            short => u64::from(short),
        };
        let free = if value { u64::from(self.text.byte()?) } else { 0 };
        self.layout = Layout::ZipMap { value: !value, free };
        Ok(Some(Item::Text(length)))
    }

    /// Passes what stands behind an entry's content.
    fn tail(&mut self) -> Result<(), RdbError> {
        match self.layout {
            Layout::ListPack { entry } => self.listpack_tail(entry),
            Layout::ZipMap { free, .. } => self.text.skip(free),
            Layout::ZipList | Layout::IntSet { .. } => Ok(()),
        }
    }

    /// Hashes the entry as a string, integers as the decimal text that a client sees.
    pub(super) fn hash(&mut self, item: Item, part: &mut Part) -> Result<(), RdbError> {
        match item {
            Item::Integer(integer) => part.integer(integer),
            Item::Text(length) => {
                self.check(length)?;
                part.number(length);
                self.text.hash(length, part)?;
            }
        }
        self.tail()
    }

    fn check(&self, length: u64) -> Result<(), RdbError> {
        if length <= self.text.left() {
            return Ok(());
        }
        let left = self.text.left();
        Err(self.text.malformed(format!("an entry of {length} bytes in a packed value that has {left} left")))
    }

    fn number_text(&mut self, length: u64) -> Result<Vec<u8>, RdbError> {
        self.check(length)?;
        if length > NUMBER {
            return Err(self.text.malformed(format!("a number of {length} digits")));
        }
        let mut digits = Vec::new();
        while (digits.len() as u64) < length {
            let missing = length - digits.len() as u64;
            digits.extend_from_slice(self.text.piece(missing)?);
        }
        self.tail()?;
        Ok(digits)
    }

    /// The entry as a score.
    #[expect(clippy::cast_precision_loss, reason = "Redis itself casts: an integer here was a double before")]
    pub(super) fn score(&mut self, item: Item) -> Result<f64, RdbError> {
        match item {
            Item::Integer(integer) => {
                self.tail()?;
                Ok(integer as f64)
            }
            Item::Text(length) => {
                let digits = self.number_text(length)?;
                parse_score(&digits).ok_or_else(|| self.text.malformed("a score that is no number"))
            }
        }
    }

    /// The next entry, which must be an integer.
    pub(super) fn integer(&mut self) -> Result<i64, RdbError> {
        match self.next()? {
            Some(Item::Integer(integer)) => {
                self.tail()?;
                Ok(integer)
            }
            Some(Item::Text(length)) => {
                let digits = self.number_text(length)?;
                let text = std::str::from_utf8(&digits).ok();
                text.and_then(|t| t.parse().ok()).ok_or_else(|| self.text.malformed("a text in place of an integer"))
            }
            None => Err(self.text.malformed("a packed value ends where an integer is expected")),
        }
    }

    /// The next entry, which must be there.
    pub(super) fn expect(&mut self) -> Result<Item, RdbError> {
        match self.next()? {
            Some(item) => Ok(item),
            None => Err(self.text.malformed("a packed value ends in the middle of a group of entries")),
        }
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> RdbError {
        self.text.malformed(what)
    }
}

/// A score as C's `strtod` reads it.
pub(super) fn parse_score(digits: &[u8]) -> Option<f64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn three_bytes([low, middle, high]: [u8; 3]) -> i64 {
    i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
}

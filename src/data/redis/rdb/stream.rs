//! Streams: entries in listpacks, consumer groups, what is pending. Everything is kept in one order (by id, by name), so
//! the digest follows it. Source: redis `src/t_stream.c` (the layout of a listpack), `src/rdb.c`.

use std::io::Read;

use super::digest::Part;
use super::packed::Packed;
use super::source::Source;
use super::value::Value;
use super::{RdbError, Settings};

/// The entry was deleted and only its place is kept.
const DELETED: i64 = 1;
/// The entry has the fields of the first one of its listpack, so only values follow.
const SAME_FIELDS: i64 = 2;

/// Reads a stream as `generation` lays it out: 1 = Redis 5, 2 = 7.0 (offsets), 3 = 7.2 (active times), 4 = 8.6
/// (idempotent producers). What a newer server invents when it loads an older stream is left out of the digest of a
/// snapshot that did not have it ([`Settings::streams`]).
pub(super) fn read<R: Read>(
    source: &mut Source<R>,
    generation: u8,
    settings: &Settings,
    part: &mut Part,
) -> Result<Value, RdbError> {
    let mut hashes = Hashes { part, names: Part::new(), whole: Part::new() };
    let mut elements = 0;
    for _ in 0..source.length()? {
        let first = source.short_string(16)?;
        let Ok(first) = <[u8; 16]>::try_from(first) else {
            return Err(source.malformed("a stream's node without an id"));
        };
        let packed = Packed::listpack(source.string()?)?;
        elements += node(packed, first, &mut hashes)?;
    }
    let announced = source.length()?;
    if announced != elements {
        return Err(source.malformed(format!("a stream of {elements} entries says that it has {announced}")));
    }
    for _ in 0..2 {
        hashes.whole.number(source.length()?); // the last id
    }
    if generation >= 2 {
        let mut offsets = [0; 5];
        for offset in &mut offsets {
            *offset = source.length()?;
        }
        // The first id (0 and 1) follows from the entries; 2 and 3 are the last deleted id, 4 counts what was added.
        if settings.streams >= 2 {
            offsets[2..].iter().for_each(|offset| hashes.whole.number(*offset));
        }
    }
    groups(source, generation, settings, &mut hashes)?;
    let idempotency = generation >= 4 && idempotent_producers(source)?;
    // A stream without entries is a key nevertheless.
    Ok(Value { digest: hashes.whole.finish(), elements: elements.max(1), idempotency, ..Value::default() })
}

/// What a stream is hashed with: one part at a time, the names of an entry beside its values, and all parts in order.
struct Hashes<'a> {
    part: &'a mut Part,
    names: Part,
    whole: Part,
}

impl Hashes<'_> {
    /// Ends the part and puts it behind those before it.
    fn push(&mut self) {
        self.whole.bytes(&self.part.finish().to_le_bytes());
    }
}

fn id_at(first: [u8; 16], milliseconds: i64, sequence: i64) -> [u8; 16] {
    let base = u128::from_be_bytes(first);
    let (ms, seq) = ((base >> 64) as u64, base as u64);
    let id = u128::from(ms.wrapping_add_signed(milliseconds)) << 64 | u128::from(seq.wrapping_add_signed(sequence));
    id.to_be_bytes()
}

/// One listpack: the count of live and of deleted entries, the fields of the first entry, 0, then the entries.
fn node<R: Read>(mut packed: Packed<'_, R>, first: [u8; 16], hashes: &mut Hashes<'_>) -> Result<u64, RdbError> {
    let (live, deleted) = (packed.integer()?, packed.integer()?);
    let shared_count = packed.integer()?;
    for _ in 0..shared_count {
        let field = packed.expect()?;
        packed.hash(field, &mut hashes.names)?;
    }
    let shared = hashes.names.finish();
    if packed.integer()? != 0 {
        return Err(packed.malformed("a stream's node whose first entry does not end"));
    }
    let (mut seen_live, mut seen_deleted) = (0, 0);
    for _ in 0..live.saturating_add(deleted) {
        let flags = packed.integer()?;
        let id = id_at(first, packed.integer()?, packed.integer()?);
        let kept = flags & DELETED == 0;
        let count = if flags & SAME_FIELDS == 0 { packed.integer()? } else { shared_count };
        let content = if flags & SAME_FIELDS == 0 {
            own_fields(&mut packed, count, hashes)?
        } else {
            (shared, values(&mut packed, count, hashes.part)?)
        };
        let _entries_back = packed.integer()?;
        if kept {
            seen_live += 1;
            entry(id, count, content, hashes);
        } else {
            seen_deleted += 1;
        }
    }
    if packed.next()?.is_some() || (seen_live, seen_deleted) != (live, deleted) {
        return Err(packed.malformed("a stream's node has other entries than it says"));
    }
    Ok(u64::try_from(live).unwrap_or(0))
}

/// Names and values are hashed apart, so that an entry has the same digest whether its names are its own or shared.
fn entry(id: [u8; 16], count: i64, (fields, values): (u128, u128), hashes: &mut Hashes<'_>) {
    hashes.part.bytes(&id);
    hashes.part.bytes(&count.to_le_bytes());
    hashes.part.bytes(&fields.to_le_bytes());
    hashes.part.bytes(&values.to_le_bytes());
    hashes.push();
}

fn values<R: Read>(packed: &mut Packed<'_, R>, count: i64, part: &mut Part) -> Result<u128, RdbError> {
    for _ in 0..count {
        let item = packed.expect()?;
        packed.hash(item, part)?;
    }
    Ok(part.finish())
}

fn own_fields<R: Read>(
    packed: &mut Packed<'_, R>,
    count: i64,
    hashes: &mut Hashes<'_>,
) -> Result<(u128, u128), RdbError> {
    for _ in 0..count {
        let name = packed.expect()?;
        packed.hash(name, &mut hashes.names)?;
        let content = packed.expect()?;
        packed.hash(content, hashes.part)?;
    }
    Ok((hashes.names.finish(), hashes.part.finish()))
}

fn groups<R: Read>(
    source: &mut Source<R>,
    generation: u8,
    settings: &Settings,
    hashes: &mut Hashes<'_>,
) -> Result<(), RdbError> {
    let groups = source.length()?;
    hashes.whole.number(groups);
    for _ in 0..groups {
        source.hash_string(hashes.part)?;
        hashes.part.number(source.length()?); // the last delivered id
        hashes.part.number(source.length()?);
        if generation >= 2 {
            let entries_read = source.length()?;
            if settings.streams >= 2 {
                hashes.part.number(entries_read);
            }
        }
        hashes.push();
        let pending = source.length()?;
        for _ in 0..pending {
            hashes.part.bytes(&source.array::<16>()?);
            hashes.part.bytes(&source.array::<8>()?); // when it was delivered
            hashes.part.number(source.length()?); // and how often
            hashes.push();
        }
        consumers(source, generation, settings, hashes)?;
    }
    Ok(())
}

fn consumers<R: Read>(
    source: &mut Source<R>,
    generation: u8,
    settings: &Settings,
    hashes: &mut Hashes<'_>,
) -> Result<(), RdbError> {
    let consumers = source.length()?;
    hashes.whole.number(consumers);
    for _ in 0..consumers {
        source.hash_string(hashes.part)?;
        hashes.part.bytes(&source.array::<8>()?); // when it was seen
        if generation >= 3 {
            let active = source.array::<8>()?;
            if settings.streams >= 3 {
                hashes.part.bytes(&active);
            }
        }
        let pending = source.length()?;
        hashes.part.number(pending);
        for _ in 0..pending {
            hashes.part.bytes(&source.array::<16>()?);
        }
        hashes.push();
    }
    Ok(())
}

/// Passes what a stream remembers of its producers; whether there is any.
fn idempotent_producers<R: Read>(source: &mut Source<R>) -> Result<bool, RdbError> {
    let (_duration, _limit) = (source.length()?, source.length()?);
    let producers = source.length()?;
    for _ in 0..producers {
        source.skip_string()?;
        for _ in 0..source.length()? {
            source.skip_string()?;
            source.length()?;
            source.length()?;
        }
    }
    let (_added, _duplicates) = (source.length()?, source.length()?);
    Ok(producers > 0)
}

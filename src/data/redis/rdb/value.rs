//! A key's value: which encoding a type byte stands for, and what of it goes into the digest.
//! Source: redis `src/rdb.c` (`rdbLoadObject`) of 7.2 and its documented successors; valkey `src/rdb.c` of 9.0.

use std::io::Read;

use super::digest::Part;
use super::packed::{Packed, parse_score};
use super::source::Source;
use super::{Flavor, RdbError, Settings, stream};

/// What a client's `TYPE` says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyType {
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
    /// Belongs to a module; its content is passed over.
    Module,
}

impl std::fmt::Display for KeyType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::Module => "module",
        })
    }
}

/// A value that was read.
#[derive(Debug, Default)]
pub(super) struct Value {
    /// Of everything a client can see; what a module keeps is not in it.
    pub(super) digest: u128,
    /// Members, fields, elements or entries that are left; a collection without any is no key to Redis.
    pub(super) elements: u64,
    /// Fields whose time to live has passed at the cut-off, left out of the above.
    pub(super) passed_fields: u64,
    /// Fields that have a time to live, passed or not.
    pub(super) expiring_fields: u64,
    /// Which module it belongs to.
    pub(super) module: Option<String>,
    /// A stream with ids that make its producers idempotent: they expire by themselves and are not compared.
    pub(super) idempotency: bool,
}

/// The type that `code` stands for, or `None` where this reader does not know it.
pub(super) fn key_type(code: u8, flavor: Flavor) -> Option<KeyType> {
    Some(match code {
        0 => KeyType::String,
        1 | 10 | 14 | 18 => KeyType::List,
        2 | 11 | 20 => KeyType::Set,
        3 | 5 | 12 | 17 => KeyType::SortedSet,
        4 | 9 | 13 | 16 => KeyType::Hash,
        15 | 19 | 21 => KeyType::Stream,
        7 => KeyType::Module,
        22 => KeyType::Hash, // Redis 7.4's release candidates; Valkey 9: fields with a time to live
        23..=25 if flavor == Flavor::Redis => KeyType::Hash,
        26 if flavor == Flavor::Redis => KeyType::Stream,
        _ => return None,
    })
}

pub(super) fn read<R: Read>(
    source: &mut Source<R>,
    code: u8,
    flavor: Flavor,
    settings: &Settings,
    part: &mut Part,
) -> Result<Value, RdbError> {
    match code {
        0 => {
            source.hash_string(part)?;
            Ok(Value { digest: part.finish(), elements: 1, ..Value::default() })
        }
        1 => plain_list(source, part),
        10 => list_nodes(source, part, Nodes::One),
        14 => list_nodes(source, part, Nodes::ZipLists),
        18 => list_nodes(source, part, Nodes::Tagged),
        2 => plain_set(source, part),
        11 => packed_set(Packed::intset(source.string()?)?, part),
        20 => packed_set(Packed::listpack(source.string()?)?, part),
        3 => plain_sorted_set(source, part, text_score),
        5 => plain_sorted_set(source, part, |source| Ok(f64::from_le_bytes(source.array()?))),
        12 => packed_sorted_set(Packed::ziplist(source.string()?)?, part),
        17 => packed_sorted_set(Packed::listpack(source.string()?)?, part),
        4 => plain_hash(source, part, settings, FieldExpiry::None),
        22 if flavor == Flavor::Valkey => plain_hash(source, part, settings, FieldExpiry::After),
        22 => plain_hash(source, part, settings, FieldExpiry::Before { from: None }),
        24 => {
            let from = Some(u64::from_le_bytes(source.array()?));
            plain_hash(source, part, settings, FieldExpiry::Before { from })
        }
        9 => packed_hash(Packed::zipmap(source.string()?)?, part, settings, false),
        13 => packed_hash(Packed::ziplist(source.string()?)?, part, settings, false),
        16 => packed_hash(Packed::listpack(source.string()?)?, part, settings, false),
        23 => packed_hash(Packed::listpack(source.string()?)?, part, settings, true),
        25 => {
            source.skip(8)?; // the earliest of its expiries
            packed_hash(Packed::listpack(source.string()?)?, part, settings, true)
        }
        15 => stream::read(source, 1, settings, part),
        19 => stream::read(source, 2, settings, part),
        21 => stream::read(source, 3, settings, part),
        26 => stream::read(source, 4, settings, part),
        7 => module(source),
        _ => Err(RdbError::UnknownType { offset: source.offset(), code }),
    }
}

fn plain_list<R: Read>(source: &mut Source<R>, part: &mut Part) -> Result<Value, RdbError> {
    let elements = source.length()?;
    for _ in 0..elements {
        source.hash_string(part)?;
    }
    Ok(Value { digest: part.finish(), elements, ..Value::default() })
}

enum Nodes {
    One,
    ZipLists,
    /// Each says whether it is packed or one large element.
    Tagged,
}

fn list_nodes<R: Read>(source: &mut Source<R>, part: &mut Part, nodes: Nodes) -> Result<Value, RdbError> {
    let mut elements = 0;
    let count = if matches!(nodes, Nodes::One) { 1 } else { source.length()? };
    for _ in 0..count {
        let mut packed = match nodes {
            Nodes::One | Nodes::ZipLists => Packed::ziplist(source.string()?)?,
            Nodes::Tagged => match source.length()? {
                1 => {
                    source.hash_string(part)?;
                    elements += 1;
                    continue;
                }
                2 => Packed::listpack(source.string()?)?,
                other => return Err(source.malformed(format!("a list node of kind {other}"))),
            },
        };
        while let Some(item) = packed.next()? {
            packed.hash(item, part)?;
            elements += 1;
        }
    }
    Ok(Value { digest: part.finish(), elements, ..Value::default() })
}

fn plain_set<R: Read>(source: &mut Source<R>, part: &mut Part) -> Result<Value, RdbError> {
    let elements = source.length()?;
    let mut digest = 0u128;
    for _ in 0..elements {
        source.hash_string(part)?;
        digest = digest.wrapping_add(part.finish());
    }
    Ok(Value { digest, elements, ..Value::default() })
}

fn packed_set<R: Read>(mut packed: Packed<'_, R>, part: &mut Part) -> Result<Value, RdbError> {
    let mut value = Value::default();
    while let Some(item) = packed.next()? {
        packed.hash(item, part)?;
        value.digest = value.digest.wrapping_add(part.finish());
        value.elements += 1;
    }
    Ok(value)
}

/// The digest of a score: −0 is 0 to Redis, and some versions lose the sign.
fn hash_score(score: f64, part: &mut Part) {
    part.number(if score == 0.0 { 0 } else { score.to_bits() });
}

/// Scores before RDB 8: a length byte and text, or one of three marks.
fn text_score<R: Read>(source: &mut Source<R>) -> Result<f64, RdbError> {
    let length = match source.byte()? {
        253 => return Ok(f64::NAN),
        254 => return Ok(f64::INFINITY),
        255 => return Ok(f64::NEG_INFINITY),
        length => usize::from(length),
    };
    let mut digits = [0; 252];
    source.fill(&mut digits[..length])?;
    parse_score(&digits[..length]).ok_or_else(|| source.malformed("a score that is no number"))
}

fn plain_sorted_set<R: Read>(
    source: &mut Source<R>,
    part: &mut Part,
    score: impl Fn(&mut Source<R>) -> Result<f64, RdbError>,
) -> Result<Value, RdbError> {
    let elements = source.length()?;
    let mut digest = 0u128;
    for _ in 0..elements {
        source.hash_string(part)?;
        let score = score(source)?;
        if score.is_nan() {
            return Err(source.malformed("a sorted set with a score that is not a number"));
        }
        hash_score(score, part);
        digest = digest.wrapping_add(part.finish());
    }
    Ok(Value { digest, elements, ..Value::default() })
}

fn packed_sorted_set<R: Read>(mut packed: Packed<'_, R>, part: &mut Part) -> Result<Value, RdbError> {
    let mut value = Value::default();
    while let Some(member) = packed.next()? {
        packed.hash(member, part)?;
        let score = packed.expect()?;
        let score = packed.score(score)?;
        if score.is_nan() {
            return Err(packed.malformed("a sorted set with a score that is not a number"));
        }
        hash_score(score, part);
        value.digest = value.digest.wrapping_add(part.finish());
        value.elements += 1;
    }
    Ok(value)
}

/// Where a hash keeps its fields' times to live.
#[derive(Clone, Copy)]
enum FieldExpiry {
    None,
    /// Before each field, in milliseconds after `from` less one, 0 for none; absolute where there is no `from`.
    Before {
        from: Option<u64>,
    },
    /// Behind each value, absolute, −1 for none.
    After,
}

impl Value {
    /// Adds one field, or leaves it out when its time has passed. `expiry` 0 is none.
    fn add_field(&mut self, expiry: u64, settings: &Settings, part: &mut Part) {
        part.number(expiry);
        let hash = part.finish();
        self.expiring_fields += u64::from(expiry != 0);
        if expiry != 0 && settings.has_passed(expiry) {
            self.passed_fields += 1;
        } else {
            self.digest = self.digest.wrapping_add(hash);
            self.elements += 1;
        }
    }
}

fn plain_hash<R: Read>(
    source: &mut Source<R>,
    part: &mut Part,
    settings: &Settings,
    form: FieldExpiry,
) -> Result<Value, RdbError> {
    let mut value = Value::default();
    for _ in 0..source.length()? {
        let mut expiry = 0;
        if let FieldExpiry::Before { from } = form {
            expiry = match (source.length()?, from) {
                (0, _) => 0,
                (relative, Some(from)) => relative.wrapping_add(from).wrapping_sub(1),
                (absolute, None) => absolute,
            };
        }
        source.hash_string(part)?;
        source.hash_string(part)?;
        if let FieldExpiry::After = form {
            expiry = u64::try_from(i64::from_le_bytes(source.array()?)).unwrap_or(0);
        }
        value.add_field(expiry, settings, part);
    }
    Ok(value)
}

fn packed_hash<R: Read>(
    mut packed: Packed<'_, R>,
    part: &mut Part,
    settings: &Settings,
    with_expiry: bool,
) -> Result<Value, RdbError> {
    let mut value = Value::default();
    while let Some(field) = packed.next()? {
        packed.hash(field, part)?;
        let content = packed.expect()?;
        packed.hash(content, part)?;
        let expiry = if with_expiry { packed.integer()? } else { 0 };
        let expiry = u64::try_from(expiry).map_err(|_| packed.malformed("a field with a negative time to live"))?;
        value.add_field(expiry, settings, part);
    }
    Ok(value)
}

fn module<R: Read>(source: &mut Source<R>) -> Result<Value, RdbError> {
    let module = Some(module_name(source.length()?));
    skip_module(source)?;
    Ok(Value { elements: 1, module, ..Value::default() })
}

/// Passes a module's data, which says of each piece how long it is (`rdbLoadCheckModuleValue`).
pub(super) fn skip_module<R: Read>(source: &mut Source<R>) -> Result<(), RdbError> {
    loop {
        match source.length()? {
            0 => return Ok(()),
            1 | 2 => _ = source.length()?,
            3 => source.skip(4)?,
            4 => source.skip(8)?,
            5 => source.skip_string()?,
            other => return Err(source.malformed(format!("unknown piece {other} in a module's data"))),
        }
    }
}

/// Nine letters of six bits each, above ten bits of version. Source: redis `src/module.c` (`moduleTypeNameByID`).
pub(super) fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|i| char::from(LETTERS[(id >> (58 - 6 * i) & 63) as usize])).collect()
}

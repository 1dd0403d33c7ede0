//! The file as a whole: header, opcodes, keys, end mark. Source: redis `src/rdb.c` (`rdbLoadRioWithLoadingCtx`).

use std::collections::BTreeMap;
use std::io::Read;

use super::digest::Part;
use super::source::Source;
use super::value::{self, Value, key_type, module_name, skip_module};
use super::{Checksum, Flavor, KeyType, RdbError, Settings, Version};

/// Servers write a dozen; more than these are passed over.
const AUX_FIELDS: usize = 64;
/// Longer ones (scripts in the `lua` fields of Redis 4 to 6) are passed over.
const AUX_LENGTH: u64 = 1024;
/// Databases with keys in them; `databases` is 16 unless set otherwise, and each costs memory here.
const DATABASES: usize = 100_000;
/// Kinds of modules in one file.
const MODULES: usize = 1_000;

/// What is in an RDB file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub version: Version,
    pub checksum: Checksum,
    pub bytes: u64,
    /// What the server says of itself: `redis-ver`, `ctime`, `used-mem` …
    pub aux: BTreeMap<String, String>,
    pub functions: Functions,
    /// By number, only those that have keys.
    pub databases: BTreeMap<u64, Database>,
    /// Keys by module, and modules that keep data beside the keys (0); neither can be compared.
    pub modules: BTreeMap<String, u64>,
    /// Keys left out because their time has passed at [`Settings::passed_at_ms`].
    pub passed_keys: u64,
    /// Fields of hashes left out for the same reason.
    pub passed_fields: u64,
    /// Collections without elements: servers drop them when they load.
    pub empty_keys: u64,
    /// Streams that remember producers' ids, which expire by themselves and are not compared.
    pub idempotent_streams: u64,
}

impl Contents {
    /// One digest of all keys and functions.
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.databases.values().fold(self.functions.digest, |sum, database| sum.wrapping_add(database.digest))
    }

    #[must_use]
    pub fn keys(&self) -> u64 {
        self.databases.values().map(|database| database.keys).sum()
    }
}

/// Libraries of functions (Redis 7.0 and later).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Functions {
    pub libraries: u64,
    pub digest: u128,
}

/// One numbered database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    pub keys: u64,
    /// Keys with a time to live.
    pub expiring: u64,
    /// Hash fields with a time to live of their own.
    pub expiring_fields: u64,
    pub types: BTreeMap<KeyType, u64>,
    /// The sum modulo 2^128 of the keys' hashes.
    pub digest: u128,
}

/// Reads a whole file, to its last byte.
///
/// # Errors
/// [`RdbError`] with the place in the file.
pub fn read<R: Read>(input: R, settings: &Settings) -> Result<Contents, RdbError> {
    let mut source = Source::new(input);
    let header = source.array()?;
    let version =
        Version::parse(header).ok_or_else(|| RdbError::NoRdb(String::from_utf8_lossy(&header).into_owned()))?;
    if !version.is_known() {
        return Err(RdbError::Newer(version));
    }
    let mut settings = *settings;
    if settings.streams == 0 {
        settings.streams = version.streams();
    }
    let mut file = File {
        source,
        settings,
        part: Part::new(),
        database: 0,
        expiry: None,
        contents: Contents {
            version,
            checksum: Checksum::Absent,
            bytes: 0,
            aux: BTreeMap::new(),
            functions: Functions::default(),
            databases: BTreeMap::new(),
            modules: BTreeMap::new(),
            passed_keys: 0,
            passed_fields: 0,
            empty_keys: 0,
            idempotent_streams: 0,
        },
    };
    while file.step()? {}
    file.end()
}

struct File<R> {
    source: Source<R>,
    settings: Settings,
    part: Part,
    database: u64,
    /// Of the next key.
    expiry: Option<u64>,
    contents: Contents,
}

impl<R: Read> File<R> {
    /// One opcode or key; false at the end mark.
    fn step(&mut self) -> Result<bool, RdbError> {
        let flavor = self.contents.version.flavor;
        match self.source.byte()? {
            255 => return Ok(false),
            254 => self.database = self.source.length()?,
            253 => self.expiry = Some(u64::from(u32::from_le_bytes(self.source.array()?)) * 1000),
            // An expiry before 1970 is in the past like any other.
            252 => self.expiry = Some(u64::try_from(i64::from_le_bytes(self.source.array()?)).unwrap_or(0)),
            251 => self.source.lengths(2)?,
            250 => self.aux()?,
            249 => self.source.skip(1)?,
            248 => self.source.lengths(1)?,
            247 => self.module_aux()?,
            245 => self.function()?,
            244 => self.source.lengths(3)?,
            243 if flavor == Flavor::Redis => self.key_meta()?,
            243 => self.slot_import()?,
            code => self.key(code)?,
        }
        Ok(true)
    }

    fn end(mut self) -> Result<Contents, RdbError> {
        if self.contents.version.number >= 5 {
            self.contents.checksum = self.source.check_sum()?;
        }
        self.contents.bytes = self.source.offset();
        self.source.expect_end()?;
        Ok(self.contents)
    }

    fn aux(&mut self) -> Result<(), RdbError> {
        let name = self.aux_text()?;
        let value = self.aux_text()?;
        if let (Some(name), Some(value)) = (name, value)
            && self.contents.aux.len() < AUX_FIELDS
        {
            self.contents.aux.insert(name, value);
        }
        Ok(())
    }

    fn aux_text(&mut self) -> Result<Option<String>, RdbError> {
        let mut text = self.source.string()?;
        if text.left() > AUX_LENGTH {
            let left = text.left();
            text.skip(left)?;
            return Ok(None);
        }
        let mut whole = Vec::new();
        while text.left() > 0 {
            whole.extend_from_slice(text.piece(u64::MAX)?);
        }
        Ok(Some(String::from_utf8_lossy(&whole).into_owned()))
    }

    fn module_aux(&mut self) -> Result<(), RdbError> {
        let name = module_name(self.source.length()?);
        self.source.lengths(2)?; // when it is loaded: before or after the keys
        skip_module(&mut self.source)?;
        self.count_module(name, 0)
    }

    fn count_module(&mut self, name: String, keys: u64) -> Result<(), RdbError> {
        if self.contents.modules.len() >= MODULES {
            return Err(self.source.malformed("data of more than a thousand modules"));
        }
        *self.contents.modules.entry(name).or_default() += keys;
        Ok(())
    }

    fn function(&mut self) -> Result<(), RdbError> {
        self.part.string(b"function");
        self.source.hash_string(&mut self.part)?;
        let functions = &mut self.contents.functions;
        functions.libraries += 1;
        functions.digest = functions.digest.wrapping_add(self.part.finish());
        Ok(())
    }

    /// What modules attach to the next key (Redis 8.6), which is as opaque as their own types.
    fn key_meta(&mut self) -> Result<(), RdbError> {
        for _ in 0..self.source.length()? {
            self.source.skip(4)?;
            skip_module(&mut self.source)?;
        }
        self.count_module("key metadata".to_owned(), 1)
    }

    /// A slot on its way between nodes (Valkey 9); a server outside a cluster has none.
    fn slot_import(&mut self) -> Result<(), RdbError> {
        self.source.skip_string()?;
        for _ in 0..self.source.length()? {
            self.source.lengths(2)?;
        }
        Ok(())
    }

    fn key(&mut self, code: u8) -> Result<(), RdbError> {
        let flavor = self.contents.version.flavor;
        let Some(kind) = key_type(code, flavor) else {
            return Err(RdbError::UnknownType { offset: self.source.offset(), code });
        };
        self.source.hash_string(&mut self.part)?;
        let name = self.part.finish();
        let value = value::read(&mut self.source, code, flavor, &self.settings, &mut self.part)?;
        let expiry = self.expiry.take();
        self.contents.passed_fields += value.passed_fields;
        self.contents.idempotent_streams += u64::from(value.idempotency);
        if expiry.is_some_and(|at| self.settings.has_passed(at)) || (value.elements == 0 && value.passed_fields > 0) {
            self.contents.passed_keys += 1;
        } else if value.elements == 0 {
            self.contents.empty_keys += 1;
        } else {
            self.count(kind, name, expiry, value)?;
        }
        Ok(())
    }

    fn count(&mut self, kind: KeyType, name: u128, expiry: Option<u64>, value: Value) -> Result<(), RdbError> {
        if let Some(module) = &value.module {
            self.count_module(module.clone(), 1)?;
        }
        let hash = key_hash(self.database, kind, name, expiry, &value, &mut self.part);
        let databases = &mut self.contents.databases;
        if databases.len() >= DATABASES && !databases.contains_key(&self.database) {
            return Err(self.source.malformed("more than 100,000 databases"));
        }
        let database = databases.entry(self.database).or_default();
        database.keys += 1;
        database.expiring += u64::from(expiry.is_some());
        database.expiring_fields += value.expiring_fields - value.passed_fields;
        *database.types.entry(kind).or_default() += 1;
        database.digest = database.digest.wrapping_add(hash);
        Ok(())
    }
}

/// A key's share of its database's digest: database, type, name, expiry (all ones = none), content.
fn key_hash(database: u64, kind: KeyType, name: u128, expiry: Option<u64>, value: &Value, part: &mut Part) -> u128 {
    part.number(database);
    part.number(match kind {
        KeyType::String => 0,
        KeyType::List => 1,
        KeyType::Set => 2,
        KeyType::SortedSet => 3,
        KeyType::Hash => 4,
        KeyType::Stream => 5,
        KeyType::Module => 6,
    });
    part.bytes(&name.to_le_bytes());
    part.number(expiry.unwrap_or(u64::MAX));
    part.number(value.elements);
    part.bytes(&value.digest.to_le_bytes());
    part.string(value.module.as_deref().unwrap_or_default().as_bytes());
    part.finish()
}

impl<R: Read> Source<R> {
    /// Passes `count` numbers.
    fn lengths(&mut self, count: usize) -> Result<(), RdbError> {
        for _ in 0..count {
            self.length()?;
        }
        Ok(())
    }
}

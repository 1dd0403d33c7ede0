//! `manifest.json` beside `dump.rdb`: what was in it when it was taken. `docs/formats.md` describes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rdb::{Checksum, Contents, KeyType, Settings, Version};

/// The format that this program writes and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    pub format_version: u32,
    /// `redis 7.0.15`, `valkey 8.1.0`.
    pub server: String,
    /// Where it was taken: `10.0.0.5:6379 (primary)`.
    pub taken_from: String,
    pub instant: Timestamp,
    pub rdb: RdbFile,
    /// Memory that the server used for its data then; 0 = it did not say.
    pub used_memory_bytes: u64,
    pub databases: Vec<DatabaseRecord>,
    pub functions: FunctionsRecord,
    /// Of all keys and functions.
    pub digest: Digest,
    /// What the server wrote into the file about itself.
    pub aux: BTreeMap<String, String>,
    /// Lines of `acl.txt`; none where the server did not tell or has no users.
    pub acl_users: Option<u64>,
    /// What the digest does not cover, and why.
    pub not_comparable: Vec<String>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RdbFile {
    pub version: Version,
    pub bytes: u64,
    pub checksum: Checksum,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseRecord {
    pub number: u64,
    pub keys: u64,
    pub expiring_keys: u64,
    pub expiring_fields: u64,
    pub types: BTreeMap<KeyType, u64>,
    pub digest: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FunctionsRecord {
    pub libraries: u64,
    pub digest: Digest,
}

/// 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub u128);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = (text.len() == 32).then(|| u128::from_str_radix(&text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not 32 hexadecimal digits")))
    }
}

impl Manifest {
    /// What `contents` says, without what only the server knows.
    #[must_use]
    pub fn of(contents: &Contents, server: String, taken_from: String, instant: Timestamp) -> Self {
        let databases = contents.databases.iter().map(|(number, database)| DatabaseRecord {
            number: *number,
            keys: database.keys,
            expiring_keys: database.expiring,
            expiring_fields: database.expiring_fields,
            types: database.types.clone(),
            digest: Digest(database.digest),
        });
        Self {
            format_version: FORMAT_VERSION,
            server,
            taken_from,
            instant,
            rdb: RdbFile { version: contents.version, bytes: contents.bytes, checksum: contents.checksum },
            used_memory_bytes: contents.aux.get("used-mem").and_then(|n| n.parse().ok()).unwrap_or(0),
            databases: databases.collect(),
            functions: FunctionsRecord {
                libraries: contents.functions.libraries,
                digest: Digest(contents.functions.digest),
            },
            digest: Digest(contents.digest()),
            aux: contents.aux.clone(),
            acl_users: None,
            not_comparable: not_comparable(contents),
            notes: Vec::new(),
        }
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// What is wrong with them, as a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            format_version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|e| format!("manifest.json: {e}"))?;
        if head.format_version > FORMAT_VERSION {
            let (found, known) = (head.format_version, FORMAT_VERSION);
            return Err(format!("manifest.json has format version {found}; this program reads up to {known}"));
        }
        serde_json::from_slice(bytes).map_err(|e| format!("manifest.json: {e}"))
    }

    #[must_use]
    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|database| database.keys).sum()
    }

    /// Whether time alone can change what is there.
    #[must_use]
    pub fn expires(&self) -> bool {
        self.databases.iter().any(|database| database.expiring_keys + database.expiring_fields > 0)
    }

    /// How another file must be looked at to be compared with this one.
    #[must_use]
    pub fn settings(&self, passed_at_ms: Option<u64>) -> Settings {
        Settings { passed_at_ms, streams: self.rdb.version.streams() }
    }
}

/// What the digest leaves out of this file.
fn not_comparable(contents: &Contents) -> Vec<String> {
    let mut list: Vec<String> = contents
        .modules
        .iter()
        .map(|(module, keys)| match keys {
            0 => format!("data that the module {module} keeps beside the keys"),
            keys => format!("the content of {keys} keys of the module {module}"),
        })
        .collect();
    if contents.idempotent_streams > 0 {
        list.push(format!("the producers' ids of {} streams, which expire by themselves", contents.idempotent_streams));
    }
    list
}

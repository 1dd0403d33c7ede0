//! Reads RDB files of Redis (versions 1 to 13: up to 8.6) and of Valkey (11 and 80), as a stream in bounded memory, and
//! says what is in them: keys by database and type, expiries, and a digest of the content that depends neither on
//! encoding nor on order. Owns the format and refuses to guess: what it does not know is an error.

mod digest;
mod file;
mod packed;
mod source;
mod stream;
mod string;
mod value;

#[cfg(test)]
mod tests;

use crate::failure::{Category, Failure};

pub use file::{Contents, Database, Functions, read};
pub use source::Checksum;
pub use value::KeyType;

/// Whose format it is: since Valkey 9 the two go apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavor {
    Redis,
    Valkey,
}

/// The format's version, as the first nine bytes say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Version {
    pub flavor: Flavor,
    pub number: u32,
}

impl Version {
    /// The newest that this reader knows: Redis 8.6.
    const NEWEST_REDIS: u32 = 13;
    /// Valkey 9.0. Below it Valkey writes Redis' version 11.
    const VALKEY: u32 = 80;

    /// `REDIS0010`, `VALKEY080`.
    fn parse(header: [u8; 9]) -> Option<Self> {
        let text = std::str::from_utf8(&header).ok()?;
        let (flavor, digits) = match text.strip_prefix("REDIS") {
            Some(digits) => (Flavor::Redis, digits),
            None => (Flavor::Valkey, text.strip_prefix("VALKEY")?),
        };
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(Self { flavor, number: digits.parse().ok()? })
    }

    fn is_known(self) -> bool {
        match self.flavor {
            Flavor::Redis => (1..=Self::NEWEST_REDIS).contains(&self.number),
            Flavor::Valkey => self.number == Self::VALKEY,
        }
    }

    /// Whether a server that itself writes `self` loads a file of `other`: older ones yes; Valkey none of Redis 7.4's
    /// and later, Redis none of Valkey 9's. Source: valkey `src/rdb.h` (`RDB_FOREIGN_VERSION_MIN`).
    #[must_use]
    pub fn loads(self, other: Self) -> bool {
        match (self.flavor, other.flavor) {
            (Flavor::Redis, Flavor::Redis) | (Flavor::Valkey, Flavor::Valkey) => other.number <= self.number,
            (Flavor::Valkey, Flavor::Redis) => other.number <= 11,
            (Flavor::Redis, Flavor::Valkey) => false,
        }
    }

    /// How much of a stream a file of this version holds: see [`Settings::streams`].
    #[must_use]
    pub fn streams(self) -> u8 {
        match self.number {
            0..=9 => 1,
            10 => 2,
            _ => 3,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.flavor {
            Flavor::Redis => write!(f, "RDB version {}", self.number),
            Flavor::Valkey => write!(f, "Valkey's RDB version {}", self.number),
        }
    }
}

/// How a file is looked at, so that two files of different servers and times can be compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Keys and fields whose time to live has passed at this instant (milliseconds since the epoch) are counted and
    /// otherwise left out, because a server may or may not have dropped them already.
    pub passed_at_ms: Option<u64>,
    /// Leave out of streams what servers before 7.0 (1) or 7.2 (2) do not have and newer ones make up when they load
    /// it; 0 = what the file's own version has.
    pub streams: u8,
}

impl Settings {
    fn has_passed(&self, expiry_ms: u64) -> bool {
        self.passed_at_ms.is_some_and(|at| expiry_ms <= at)
    }
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RdbError {
    #[error("cannot read the RDB at byte {offset}")]
    Read { offset: u64, source: std::io::Error },
    #[error("the RDB ends at byte {offset}, before its end mark")]
    Truncated { offset: u64 },
    #[error("this is no RDB file: it begins with {0:?}")]
    NoRdb(String),
    #[error("{0} is newer than what this program reads (Redis up to 13, Valkey 80)")]
    Newer(Version),
    #[error("the RDB is damaged before byte {offset}: {what}")]
    Malformed { offset: u64, what: String },
    #[error("the RDB holds something of the unknown type {code} before byte {offset}")]
    UnknownType { offset: u64, code: u8 },
    #[error("the RDB's checksum is {stored:016x} where its bytes give {computed:016x}")]
    Checksum { stored: u64, computed: u64 },
}

impl Failure for RdbError {
    fn category(&self) -> Category {
        match self {
            Self::Read { .. } => Category::Unavailable,
            Self::Truncated { .. } | Self::NoRdb(_) | Self::Malformed { .. } | Self::Checksum { .. } => {
                Category::Integrity
            }
            Self::Newer(_) | Self::UnknownType { .. } => Category::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Newer(_) | Self::UnknownType { .. } => Some("use a newer drydock for this server".into()),
            _ => None,
        }
    }
}

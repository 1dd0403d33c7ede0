//! The kinds of data that must survive, each read, written back and compared by what was recorded.
//! Owns what the kinds share: what a capture yields and what a comparison says. Refuses to know
//! recovery points: those are the verbs'.

mod error;
pub mod postgres;
mod process;
pub mod redis;
pub mod references;
pub mod tls;
pub mod volume;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::repository::{Node, TreeId};

pub use error::DataError;

/// One data set, read into the repository; not a snapshot until the verb saves one.
#[derive(Debug, Clone)]
pub struct Captured {
    /// The folder's content.
    pub tree: TreeId,
    /// The folder's own metadata where the source is one (a volume): the verb gives it the data set's name and makes it
    /// the one entry of the snapshot's tree. None for the others: the verb makes a plain folder.
    pub root: Option<Node>,
    /// The instant that the bytes stand for: the exported snapshot's, the RDB's, the walk's start.
    pub instant: Timestamp,
    /// Bytes read from the source.
    pub bytes: u64,
    /// Files, tables or keys.
    pub items: u64,
    /// What a person should know although the snapshot is whole; the verb exits 3 where there are any.
    pub warnings: Vec<String>,
    /// What could not be kept and is said so in the manifest (foreign tables' rows, logical slots …); no failure.
    pub notes: Vec<String>,
    /// The content digest over all of the data set where the kind has one, as hex.
    pub digest: Option<String>,
    /// What wrote the data: `postgresql 15.8`, `redis 7.0.15`, `volume`.
    pub source_version: String,
}

/// What a capture is expected to read, by the source's own figures; shown before it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Estimate {
    pub bytes: u64,
    /// Files, tables or keys.
    pub items: u64,
}

/// Memory that this machine can give without swapping; `None` where the kernel does not say.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok())?;
    Some(kib * 1024)
}

/// What was compared with what was recorded; never just "ok".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Comparison {
    /// How many of each kind of thing were compared: `tables` 12, `rows` 40000, `files` 7, `sequences` 3 …
    pub compared: std::collections::BTreeMap<String, u64>,
    /// What is not as recorded; the first [`Comparison::MAX_LISTED`] of them.
    pub differences: Vec<Difference>,
    /// How many there are in all.
    pub difference_count: u64,
    /// What could not be compared and why: module types, floats across server 12.
    pub not_comparable: Vec<String>,
    /// What could not be brought back and is no difference of content: ownership as a non-root user …
    pub notes: Vec<String>,
}

/// One thing that is not as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Difference {
    /// `table public.messages`, `file avatars/7.png`, `sequence public.users_id_seq`, `database 0`.
    pub what: String,
    pub expected: String,
    pub found: String,
    /// What helps to understand it: `1,000 rows, as recorded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, expected, found, detail } = self;
        write!(f, "{what}: {found} where {expected} was recorded")?;
        detail.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

impl Comparison {
    /// Memory stays bounded when everything differs.
    pub const MAX_LISTED: usize = 1_000;

    pub fn count(&mut self, kind: &str, number: u64) {
        *self.compared.entry(kind.to_owned()).or_default() += number;
    }

    pub fn differs(&mut self, what: impl Into<String>, expected: impl ToString, found: impl ToString) {
        let (expected, found) = (expected.to_string(), found.to_string());
        self.add(Difference { what: what.into(), expected, found, detail: None });
    }

    pub fn add(&mut self, difference: Difference) {
        self.difference_count += 1;
        if self.differences.len() < Self::MAX_LISTED {
            self.differences.push(difference);
        }
    }

    #[must_use]
    pub fn holds(&self) -> bool {
        self.difference_count == 0
    }

    pub fn absorb(&mut self, other: Self) {
        for (kind, number) in other.compared {
            self.count(&kind, number);
        }
        self.difference_count += other.difference_count;
        let room = Self::MAX_LISTED.saturating_sub(self.differences.len());
        self.differences.extend(other.differences.into_iter().take(room));
        self.not_comparable.extend(other.not_comparable);
        self.notes.extend(other.notes);
    }
}

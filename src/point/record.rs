//! `point.json`: what a recovery point holds. Format version 1; fields are never reused, new ones raise the version.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PointError, PointId, versioned};
use crate::data::references::{Gap, Summary};
use crate::repository::{SnapshotId, TreeId, WriteStats};
use crate::stack::{Name, Reference};

/// One recovery point, as it was when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PointRecord {
    pub format_version: u32,
    pub id: PointId,
    pub stack: Name,
    /// When the first data set's snapshot was begun; also the time of all its repository snapshots.
    pub time: Timestamp,
    /// `drydock 0.1.0`.
    pub tool: String,
    /// Why it was taken, where that is not the usual: `safety before restore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub members: Vec<Member>,
    /// The stack's data sets that were left out; a point with any is partial, never `latest`.
    pub omitted: Vec<Name>,
    /// Between the oldest and the newest instant of its members.
    pub largest_distance_ms: u64,
    /// The stack's references that could be compared: both of their data sets are members.
    pub references: Vec<ReferenceRecord>,
    pub stats: WriteStats,
    pub took_ms: u64,
}

/// One data set in a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Member {
    pub data: Name,
    pub kind: DataWord,
    pub snapshot: SnapshotId,
    /// The data set's own folder: what lies below `/<data>` in the snapshot.
    pub tree: TreeId,
    /// The instant that the bytes stand for.
    pub instant: Timestamp,
    /// How large the data set was.
    pub bytes: u64,
    /// How much of it was read: unchanged files are taken over unread.
    pub read_bytes: u64,
    /// Files, tables or keys.
    pub items: u64,
    /// Over all of the data set, where the kind has one.
    pub digest: Option<String>,
    /// `postgresql 15.8`, `redis 7.0.15`, `volume`.
    pub source: String,
    pub warnings: Vec<String>,
    /// What could not be kept, and is no warning.
    pub notes: Vec<String>,
    pub took_ms: u64,
}

/// What a data set is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataWord {
    Postgres,
    Redis,
    Volume,
}

/// What comparing rows with their files found when the point was taken; a restore is held to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceRecord {
    /// `activeStorage`.
    pub reference: String,
    pub database: Name,
    pub volume: Name,
    pub summary: Summary,
    /// The first 10,000 rows whose file was not there, or not as they say.
    pub gaps: Vec<Gap>,
    pub gap_count: u64,
}

impl PointRecord {
    /// How the reason of a safety point begins; the run follows.
    pub const SAFETY: &str = "safety before ";
    pub const FORMAT_VERSION: u32 = 1;
    /// Its name in the point's snapshot.
    pub const FILE: &str = "point.json";
    /// The `Stack` document that the point was taken with, beside it.
    pub const STACK_FILE: &str = "stack.yaml";
    /// Which files' checksums were verified against their rows, so that the next point need not compute them again.
    pub const CHECKED_FILE: &str = "verified-checksums";

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// As [`versioned::read`].
    pub fn from_json(what: &str, json: &[u8]) -> Result<Self, PointError> {
        versioned::read(what, json, Self::FORMAT_VERSION)
    }

    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("names, numbers and texts are JSON")
    }

    /// Taken by a restore, of what it was about to replace.
    #[must_use]
    pub fn is_safety(&self) -> bool {
        self.reason.as_ref().is_some_and(|reason| reason.starts_with(Self::SAFETY))
    }

    /// Whether every data set of the stack is in it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.omitted.is_empty()
    }

    /// How large the data sets were together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.members.iter().map(|member| member.bytes).sum()
    }

    /// How many things a person should know although the point is whole: gaps and warnings.
    #[must_use]
    pub fn warning_count(&self) -> u64 {
        let gaps: u64 = self.references.iter().map(|reference| reference.gap_count).sum();
        gaps + self.members.iter().map(|member| member.warnings.len() as u64).sum::<u64>()
    }

    /// What was recorded for the same kind of reference between the same data sets.
    #[must_use]
    pub fn reference(&self, reference: &Reference) -> Option<&ReferenceRecord> {
        let pair = reference.pair();
        let same = |record: &&ReferenceRecord| {
            record.reference == reference.word() && record.database == pair.database && record.volume == pair.volume
        };
        self.references.iter().find(same)
    }

    /// The oldest instant that a member stands for: what the achieved RPO counts from.
    #[must_use]
    pub fn oldest_instant(&self) -> Timestamp {
        self.members.iter().map(|member| member.instant).min().unwrap_or(self.time)
    }
}

impl DataWord {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Volume => "volume",
        }
    }
}

impl From<&crate::stack::DataKind> for DataWord {
    fn from(kind: &crate::stack::DataKind) -> Self {
        match kind {
            crate::stack::DataKind::Postgres(_) => Self::Postgres,
            crate::stack::DataKind::Redis(_) => Self::Redis,
            crate::stack::DataKind::Volume(_) => Self::Volume,
        }
    }
}

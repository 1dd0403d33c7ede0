//! What one drill, restore or upgrade has shown. Format version 1; fields are never reused, new ones raise the version.
//!
//! It lies outside the encrypted repository: names, counts, digests and categories. Every text in it is [`Disclosed`],
//! and the verb that fills it reduces what it has there: `data`'s difference is a name ([`Disclosed::name`]) with two
//! measures ([`Disclosed::measure`]), its notes are cut ([`Disclosed::note`]), an assertion is its name and how it went,
//! never what the query returned.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Disclosed;
use crate::stack::{Name, duration};

/// One proof, as it was when it was made. Its place in the chain is not its own: see [`super::Chain::append`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    pub format_version: u32,
    pub kind: Kind,
    /// The run's id; a run leaves one record, however often it is resumed.
    pub run: String,
    pub stack: Name,
    pub point: ProvenPoint,
    pub started: Timestamp,
    pub finished: Timestamp,
    /// `drydock 0.1.0`.
    pub tool: String,
    pub data: Vec<DataProof>,
    /// Rows held against their files.
    pub references: Vec<ReferenceProof>,
    pub assertions: Vec<AssertionProof>,
    /// As the stack's document had them at the time.
    pub objectives: Objectives,
    pub achieved: Achieved,
    pub outcome: Outcome,
    /// Why it is not `passed`; empty where it is.
    pub reasons: Vec<Reason>,
}

/// What left the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Drill,
    Restore,
    Upgrade,
}

/// The recovery point that was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProvenPoint {
    /// Sixteen hexadecimal digits.
    pub id: String,
    /// The id of the repository's snapshot that holds `point.json`: the SHA-256 of its file, 64 hexadecimal digits.
    pub snapshot: String,
    /// When it was taken.
    pub time: Timestamp,
    /// The oldest and the newest instant that its data stand for.
    pub oldest_instant: Timestamp,
    pub newest_instant: Timestamp,
}

/// One data set that was brought back and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataProof {
    pub data: Name,
    /// `postgres`, `redis`, `volume`.
    pub kind: Disclosed,
    /// The repository's snapshot that it came from, 64 hexadecimal digits.
    pub snapshot: String,
    /// The instant that its bytes stand for.
    pub instant: Timestamp,
    pub bytes: u64,
    /// Over all of it as it was recorded, where the kind has one.
    pub digest: Option<Disclosed>,
    pub comparison: Comparison,
}

/// One reference from rows to files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceProof {
    /// `activeStorage`.
    pub reference: Disclosed,
    pub database: Name,
    pub volume: Name,
    pub comparison: Comparison,
}

/// What was held against what was recorded when the point was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Comparison {
    /// How many of each kind of thing: `tables` 12, `rows` 40000.
    pub compared: BTreeMap<String, u64>,
    /// The first [`Comparison::MAX_LISTED`].
    pub differences: Vec<Difference>,
    /// How many there are in all.
    pub difference_count: u64,
    pub not_comparable: Vec<Disclosed>,
    pub notes: Vec<Disclosed>,
}

impl Comparison {
    /// A record is read by people and kept for ever; a hundred differences say what went wrong.
    pub const MAX_LISTED: usize = 100;

    #[must_use]
    pub fn holds(&self) -> bool {
        self.difference_count == 0
    }
}

/// One thing that is not as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Difference {
    pub what: Disclosed,
    pub expected: Disclosed,
    pub found: Disclosed,
}

/// What a user's assertion came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssertionProof {
    pub name: Disclosed,
    /// The data set that was asked, where it was one.
    pub data: Option<Name>,
    pub outcome: AssertionOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertionOutcome {
    Passed,
    Failed,
    /// It could not be asked: what it says is not known, so the drill has failed.
    Errored,
}

/// What the document promises, in milliseconds; none where it promises nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objectives {
    pub rpo_ms: Option<u64>,
    pub rto_ms: Option<u64>,
    pub proven_ms: Option<u64>,
}

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Achieved {
    /// From the oldest instant in the newest complete point to the start: what would have been lost.
    pub rpo_ms: Option<u64>,
    /// From the start to verified.
    pub rto_ms: Option<u64>,
    /// What the time went into, in order; parts that ran at once may add up to more than the whole.
    pub parts: Vec<Part>,
    /// What was brought back.
    pub bytes: u64,
    pub bytes_per_second: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// `chatwoot-db: fill`.
    pub name: Disclosed,
    pub ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything is as recorded, and in time.
    Passed,
    Failed,
    /// Everything is as recorded, but an objective was missed.
    Late,
}

/// Why a record is not `passed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "category", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Reason {
    /// A data set is not as it was recorded.
    Differs {
        data: Name,
        count: u64,
    },
    /// Rows whose file is not as they say, beyond those known when the point was taken.
    ReferenceDiffers {
        reference: Disclosed,
        database: Name,
        count: u64,
    },
    Assertion {
        name: Disclosed,
        outcome: AssertionOutcome,
    },
    /// The point is older than the RPO allows.
    PointTooOld {
        age_ms: u64,
        objective_ms: u64,
    },
    /// It took longer than the RTO allows.
    TooSlow {
        took_ms: u64,
        objective_ms: u64,
    },
    /// It could not be brought back at all, so nothing was compared.
    NotRestored {
        data: Option<Name>,
        why: Disclosed,
    },
}

impl Record {
    pub const FORMAT_VERSION: u32 = 1;

    /// How long it took.
    #[must_use]
    pub fn took_ms(&self) -> u64 {
        u64::try_from(self.finished.duration_since(self.started).as_millis()).unwrap_or(0)
    }

    /// How many things of all kinds were compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.comparisons().flat_map(|comparison| comparison.compared.values()).fold(0, |sum, n| sum.saturating_add(*n))
    }

    #[must_use]
    pub fn differences(&self) -> u64 {
        self.comparisons().fold(0, |sum, comparison| sum.saturating_add(comparison.difference_count))
    }

    fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.data.iter().map(|set| &set.comparison).chain(self.references.iter().map(|one| &one.comparison))
    }

    /// What is wrong with the ids that others rely on, before anything is signed.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let is_digest = |text: &str| text.len() == 64 && is_hex(text);
        let later_version = self.format_version != Self::FORMAT_VERSION;
        let faults = [
            (later_version, "its format version is not this program's"),
            (self.run.is_empty(), "it has no run"),
            (!(self.point.id.len() == 16 && is_hex(&self.point.id)), "its point's id is not 16 hexadecimal digits"),
            (!is_digest(&self.point.snapshot), "its point's snapshot is not 64 hexadecimal digits"),
            (
                !self.data.iter().all(|set| is_digest(&set.snapshot)),
                "a data set's snapshot is not 64 hexadecimal digits",
            ),
            (self.finished < self.started, "it finished before it started"),
            (self.outcome == Outcome::Passed && self.differences() > 0, "it passed, with differences"),
            ((self.outcome == Outcome::Passed) != self.reasons.is_empty(), "its outcome and its reasons disagree"),
        ];
        faults.into_iter().find(|(wrong, _)| *wrong).map(|(_, what)| what)
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Kind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Drill => "drill",
            Self::Restore => "restore",
            Self::Upgrade => "upgrade",
        }
    }
}

impl Outcome {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Late => "late",
        }
    }
}

impl AssertionOutcome {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "could not be asked",
        }
    }
}

/// For people.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: &u64| duration::human(std::time::Duration::from_millis(*ms));
        let things = |n: &u64| if *n == 1 { "1 difference".to_owned() } else { format!("{n} differences") };
        match self {
            Self::Differs { data, count } => write!(f, "{data}: {} from what was recorded", things(count)),
            Self::ReferenceDiffers { reference, database, count } => {
                write!(f, "{reference} of {database}: {} from what was recorded", things(count))
            }
            Self::Assertion { name, outcome } => write!(f, "assertion `{name}` {}", outcome.word()),
            Self::PointTooOld { age_ms, objective_ms } => {
                write!(f, "the point was {} old; the RPO is {}", time(age_ms), time(objective_ms))
            }
            Self::TooSlow { took_ms, objective_ms } => {
                write!(f, "it took {}; the RTO is {}", time(took_ms), time(objective_ms))
            }
            Self::NotRestored { data: Some(data), why } => write!(f, "{data} could not be brought back: {why}"),
            Self::NotRestored { data: None, why } => write!(f, "nothing could be brought back: {why}"),
        }
    }
}

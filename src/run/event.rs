//! What a journal says: one entry for everything that is about to happen or has happened.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::Plan;
use crate::failure::Category;

/// What is written; what is newer is refused. Version 1 was the in-place restore's own.
pub const FORMAT_VERSION: u32 = 2;

/// One entry. It counts once it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    pub format_version: u32,
    /// From 0, without a gap.
    pub number: u64,
    pub time: Timestamp,
    /// Random: when an answer is lost on the way, the content is how the writer knows its own entry.
    pub nonce: String,
    #[serde(rename = "entry")]
    pub event: Event,
}

impl Entry {
    #[must_use]
    pub fn new(number: u64, time: Timestamp, event: Event) -> Self {
        Self { format_version: FORMAT_VERSION, number, time, nonce: format!("{:016x}", rand::random::<u64>()), event }
    }
}

/// What is true, or about to be, when the entry is stored. Names, numbers and categories; no row, no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Event {
    /// The first: what is going to be done, who or what asked for it, and the program that begins.
    Accepted {
        plan: Plan,
        digest: String,
        by: String,
        tool: String,
    },
    /// A process takes the run over; entries of earlier ones cannot follow.
    Adopted {
        holder: String,
        token: u64,
        tool: String,
    },
    /// The step is about to be applied, or may have been already.
    Intended {
        step: String,
        attempt: u32,
    },
    Applied {
        step: String,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        output: Value,
    },
    Verified {
        step: String,
    },
    Failed {
        step: String,
        failure: Failed,
    },
    /// Somebody wants the run to end and what it did to be taken back.
    Abandoned {
        by: String,
    },
    UndoIntended {
        step: String,
    },
    Undone {
        step: String,
    },
    UndoFailed {
        step: String,
        failure: Failed,
    },
    /// The last.
    Finished {
        outcome: Outcome,
    },
}

/// Why a step did not do as it was told, without what only the repository may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failed {
    pub category: Category,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step was verified.
    Succeeded,
    /// A step failed; what was done before is undone.
    Failed,
    /// Somebody wanted it to end; what was done is undone.
    Abandoned,
}

impl Outcome {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

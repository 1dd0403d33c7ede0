//! What a schedule consists of, read and checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Operation, Timing};
use crate::stack::Name;

/// A schedule's `spec`.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub operation: Operation,
    /// Which stacks; all that there are where none is named.
    pub stacks: Option<Vec<Name>>,
    /// `cron` and `timeZone`.
    pub timing: Timing,
    /// Starts are spread over this; zero for none.
    pub jitter: Duration,
    pub concurrency_policy: ConcurrencyPolicy,
    /// What is later than this after its start is given up; none: the newest that was missed is made up for whenever the
    /// daemon is there again.
    pub starting_deadline: Option<Duration>,
    pub suspend: bool,
    pub history: History,
}

/// What happens to an instant that comes while the schedule's former run on the same stack is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConcurrencyPolicy {
    /// It is left out.
    #[default]
    Forbid,
    /// It waits for the run's end. One waits; a newer one takes its place.
    Queue,
    /// The run is cancelled for it.
    Replace,
}

/// How many ended runs of the schedule stay listed on each stack. Evidence stays whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct History {
    pub successful: u32,
    pub failed: u32,
}

impl Default for History {
    /// Three months of nightly runs.
    fn default() -> Self {
        Self { successful: 100, failed: 100 }
    }
}

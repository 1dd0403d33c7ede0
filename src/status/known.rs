//! What is known of a stack when it is judged. Whoever keeps it in memory may judge it again at any time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::evidence::Link;
use crate::point::Points;
use crate::run::{Leader, RunId, State};
use crate::schedule::{Schedule, ScheduleName};
use crate::stack::Stack;

/// Everything that [`status`](super::status) goes by.
#[derive(Debug, Clone)]
pub struct Known {
    pub stack: Stack,
    /// Since when the stack has a place in the store.
    pub since: Timestamp,
    pub points: Points,
    /// The newest verified records, in any order.
    pub evidence: Vec<Link>,
    /// What does not verify among them, in words.
    pub evidence_faults: Vec<String>,
    /// The newest runs of each kind and those that are not over.
    pub runs: Vec<KnownRun>,
    /// Who has, or had last, the right to act.
    pub leaders: Vec<Leader>,
    /// Runs that somebody wants to end, and who that is.
    pub ends_asked: BTreeMap<RunId, String>,
    /// `None` where none were given.
    pub schedules: Option<Vec<KnownSchedule>>,
    /// What is wrong with the schedules' documents; the ones that were read before still count.
    pub schedule_problems: Vec<String>,
}

/// A run and what its journal adds up to.
#[derive(Debug, Clone)]
pub struct KnownRun {
    pub run: RunId,
    /// Or why its journal cannot be understood.
    pub state: Result<State, String>,
}

/// A schedule and from when on it counts.
#[derive(Debug, Clone)]
pub struct KnownSchedule {
    pub schedule: Schedule,
    /// When it was first seen with this expression and zone, where somebody remembers that.
    pub since: Option<Timestamp>,
}

impl KnownSchedule {
    /// `schedules`, each with the time that `since` has for it.
    #[must_use]
    pub fn all(schedules: Vec<Schedule>, since: &BTreeMap<ScheduleName, Timestamp>) -> Vec<Self> {
        let known = |schedule: Schedule| Self { since: since.get(&schedule.name).copied(), schedule };
        schedules.into_iter().map(known).collect()
    }
}

//! What drills have shown: the newest of them, how long a recovery takes, and whether that grows. Three witnesses tell of a
//! drill, and not each of every one: signed evidence (where the stack has a key), the mark on the point that it proved
//! (where it passed), and its run's journal (where it is among the newest). They are put together by the run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::known::Known;
use crate::drill::{Past, Trend, trend};
use crate::evidence;
use crate::failure::Category;
use crate::run::{Outcome, State};

/// How many drills are shown; the trend sees all that are known.
const LISTED: usize = 20;

/// A stack's drills.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drills {
    /// What the newest one of all data sets took from its start to verified.
    pub rto_ms: Option<u64>,
    /// Of that one among those before it.
    pub trend: Option<Trend>,
    /// A drill that failed, and no later one of all data sets passed: the newest of such.
    pub failed: Option<Drill>,
    /// The newest, newest first.
    pub newest: Vec<Drill>,
}

/// One drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    pub run: String,
    /// When it ended.
    pub time: Timestamp,
    /// The recovery point's id, where a witness tells.
    pub point: Option<String>,
    pub outcome: DrillOutcome,
    /// Of all data sets.
    pub is_whole: bool,
    pub rto_ms: Option<u64>,
    pub bytes: Option<u64>,
    /// Why it is not passed.
    pub reasons: Vec<String>,
    pub source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillOutcome {
    Passed,
    /// Everything is as recorded, but an objective was missed.
    Late,
    Failed,
    /// It came to no verdict: no room, no server programs, a store that did not answer.
    NoVerdict,
}

/// Who tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Evidence,
    Mark,
    Journal,
}

impl DrillOutcome {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Late => "late",
            Self::Failed => "FAILED",
            Self::NoVerdict => "no verdict",
        }
    }

    fn is_verified(self) -> bool {
        matches!(self, Self::Passed | Self::Late)
    }
}

impl Drills {
    pub(super) fn of(known: &Known, objective_rto_ms: Option<u64>) -> Self {
        let mut drills = all(known);
        drills.sort_by(|a, b| (b.time, &b.run).cmp(&(a.time, &a.run)));
        let measured = |drill: &&Drill| drill.is_whole && drill.outcome.is_verified() && drill.rto_ms.is_some();
        let past: Vec<Past> = drills.iter().filter(measured).filter_map(Drill::past).collect();
        let passed = drills.iter().position(|drill| drill.is_whole && drill.outcome.is_verified());
        let failed = drills.iter().position(|drill| drill.outcome == DrillOutcome::Failed);
        let stands = failed.filter(|failed| passed.is_none_or(|passed| *failed < passed));
        let failed = stands.map(|at| drills[at].clone());
        let (rto_ms, trend) = match past.split_first() {
            Some((newest, before)) => (Some(newest.rto_ms), trend(before, *newest, objective_rto_ms)),
            None => (None, None),
        };
        drills.truncate(LISTED);
        Self { rto_ms, trend, failed, newest: drills }
    }
}

impl Drill {
    fn past(&self) -> Option<Past> {
        Some(Past { time: self.time, rto_ms: self.rto_ms?, bytes: self.bytes.unwrap_or(0) })
    }
}

/// Every drill that a witness tells of, once: evidence before marks before journals.
fn all(known: &Known) -> Vec<Drill> {
    let journals = known.runs.iter().filter_map(|one| of_journal(one.run.as_str(), one.state.as_ref().ok()?));
    let marks = known.points.points.iter().filter_map(|point| {
        let proven = point.proven.as_ref()?;
        Some(Drill {
            run: proven.run.clone(),
            time: proven.time,
            point: Some(point.id.to_string()),
            outcome: DrillOutcome::Passed,
            is_whole: true, // nothing less proves a point
            rto_ms: Some(proven.rto_ms),
            bytes: Some(proven.bytes),
            reasons: Vec::new(),
            source: Source::Mark,
        })
    });
    let evidence = known.evidence.iter().filter_map(|link| of_record(known, &link.record));
    let mut drills: BTreeMap<String, Drill> = BTreeMap::new();
    for drill in journals.chain(marks).chain(evidence) {
        drills.insert(drill.run.clone(), drill);
    }
    drills.into_values().collect()
}

fn of_journal(run: &str, state: &State) -> Option<Drill> {
    if state.plan.operation != "drill" {
        return None;
    }
    let outcome = match (state.outcome?, state.failure().map(|failure| failure.category)) {
        (Outcome::Succeeded, _) => DrillOutcome::Passed,
        (Outcome::Failed, Some(Category::DrillFailed | Category::Integrity)) => DrillOutcome::Failed,
        (Outcome::Failed, Some(Category::ObjectiveMissed)) => DrillOutcome::Late,
        (Outcome::Failed, _) => DrillOutcome::NoVerdict,
        (Outcome::Abandoned, _) => return None, // somebody did not want it
    };
    // As its steps were told, and as they told: `operation::drill`.
    let told = state.plan.steps().map(|step| &step.parameters).find(|told| told.is_object());
    let point = told.and_then(|told| told["point"].as_str()).map(str::to_owned);
    let is_whole = told.and_then(|told| told["data"].as_array()).is_some_and(Vec::is_empty);
    let rto_ms = state.steps.iter().filter_map(|step| step.output.as_ref()?["rtoMs"].as_u64()).next_back();
    Some(Drill {
        run: run.to_owned(),
        time: state.changed,
        point,
        outcome,
        is_whole,
        rto_ms,
        bytes: None,
        reasons: state.failure().iter().map(|failure| failure.message.clone()).collect(),
        source: Source::Journal,
    })
}

fn of_record(known: &Known, record: &evidence::Record) -> Option<Drill> {
    if record.kind != evidence::Kind::Drill {
        return None;
    }
    // Its point's data sets where it is still there, else those that the stack has now.
    let point = known.points.points.iter().find(|point| point.id.to_string() == record.point.id);
    let is_drilled = |data: &crate::stack::Name| record.data.iter().any(|proof| proof.data == *data);
    let is_whole = match point.and_then(|point| point.record().ok()) {
        Some(point) => point.members.iter().all(|member| is_drilled(&member.data)),
        None => known.stack.spec.data.iter().all(|set| is_drilled(&set.name)),
    };
    Some(Drill {
        run: record.run.clone(),
        time: record.finished,
        point: Some(record.point.id.clone()),
        outcome: match record.outcome {
            evidence::Outcome::Passed => DrillOutcome::Passed,
            evidence::Outcome::Late => DrillOutcome::Late,
            evidence::Outcome::Failed => DrillOutcome::Failed,
        },
        is_whole,
        rto_ms: record.achieved.rto_ms,
        bytes: Some(record.achieved.bytes),
        reasons: record.reasons.iter().map(ToString::to_string).collect(),
        source: Source::Evidence,
    })
}

//! How a stack stands: what would be lost, what is proven, what runs, what is wrong and what to type. Owns the one judgement
//! that the command, the daemon's page, its JSON and its metrics show ([`status`], pure) and what it is made from
//! ([`Known`], gathered by [`load`]). Refuses to change anything: whoever looks takes no lock and no lease.

mod drills;
mod exit;
mod finding;
mod findings;
mod known;
mod load;
mod points;
mod recent;
mod run;
mod runs;
mod schedules;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

use crate::stack::{Name, Objectives};

pub use drills::{Drill, DrillOutcome, Drills, Source};
pub use exit::worst;
pub use finding::{Code, Finding};
pub use known::{Known, KnownRun, KnownSchedule};
pub use load::{StatusError, load, read as read_runs, recent as recent_runs};
pub use points::{PointLine, ProvenLine, RecoveryPoints};
pub use recent::{instant_of, newest_first};
pub use run::{PhaseView, Progress, RunLine, RunView, Standing, StepView};
pub use runs::{Damaged, MayHoldBack, Runs};
pub use schedules::{LastRun, ScheduleLine, past};

/// All that there is to know of a stack on one screen. What `status -o json` prints and the daemon serves;
/// `docs/formats.md` describes it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// [`Status::FORMAT_VERSION`]: raised when a field goes or changes its meaning, not when one comes.
    pub format_version: u32,
    pub stack: Name,
    /// When it was judged.
    pub time: Timestamp,
    pub tool: &'static str,
    /// What `--fail` ends with: that of the worst finding.
    pub exit_code: u8,
    pub objectives: ObjectivesLine,
    pub achieved: Achieved,
    pub recovery_points: RecoveryPoints,
    pub drills: Drills,
    pub runs: Runs,
    /// `None` where no schedules were given.
    pub schedules: Option<Vec<ScheduleLine>>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
}

impl Status {
    pub const FORMAT_VERSION: u32 = 1;
}

/// What the document promises, in milliseconds; `None` where it promises nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectivesLine {
    pub rpo_ms: Option<u64>,
    pub rto_ms: Option<u64>,
    pub proven_ms: Option<u64>,
}

/// What is so, beside what the document promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Achieved {
    /// The age of the oldest member's instant in the newest complete recovery point.
    pub rpo: Measure,
    /// The age of the oldest member's instant in the newest proven recovery point.
    pub proven: Measure,
    /// What the newest drill of all data sets took from its start to verified.
    pub rto: Measure,
}

/// One figure against its objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// `None`: there is nothing to measure yet.
    pub achieved_ms: Option<u64>,
    pub objective_ms: Option<u64>,
    pub goal: Goal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    Met,
    Missed,
    /// There is an objective, and nothing that could have missed it yet.
    NotYet,
    /// The document promises nothing.
    None,
}

impl Measure {
    /// `achieved` against `objective`; `unmeasured` is what nothing to measure is worth where there is an objective.
    fn of(achieved_ms: Option<u64>, objective_ms: Option<u64>, unmeasured: Goal) -> Self {
        let goal = match (achieved_ms, objective_ms) {
            (_, None) => Goal::None,
            (None, Some(_)) => unmeasured,
            (Some(achieved), Some(objective)) if achieved <= objective => Goal::Met,
            (Some(_), Some(_)) => Goal::Missed,
        };
        Self { achieved_ms, objective_ms, goal }
    }
}

impl ObjectivesLine {
    fn of(objectives: &Objectives) -> Self {
        Self {
            rpo_ms: objectives.rpo.map(milliseconds),
            rto_ms: objectives.rto.map(milliseconds),
            proven_ms: objectives.proven.map(milliseconds),
        }
    }
}

/// How `known` stands at `now`. Pure: no clock, no I/O, so that whoever keeps `known` in memory asks again for nothing.
#[must_use]
pub fn status(known: &Known, now: Timestamp) -> Status {
    let objectives = ObjectivesLine::of(&known.stack.spec.objectives);
    let recovery_points = RecoveryPoints::of(&known.points, now);
    let drills = Drills::of(known, objectives.rto_ms);
    let runs = Runs::of(known, now);
    let schedules = known.schedules.as_ref().map(|schedules| schedules::lines(known, schedules, now));
    let complete = recovery_points.complete.as_ref().map(|point| point.age_ms);
    let proven = recovery_points.proven.as_ref().map(|proven| proven.point.age_ms);
    // A stack that is younger than the objective cannot have missed it yet, unless what it has says so.
    let young = objectives.proven_ms.is_some_and(|objective| age(known.since, now) <= objective);
    let achieved = Achieved {
        // Where there is nothing to restore, everything would be lost.
        rpo: Measure::of(complete, objectives.rpo_ms, Goal::Missed),
        proven: Measure::of(proven, objectives.proven_ms, if young { Goal::NotYet } else { Goal::Missed }),
        rto: Measure::of(drills.rto_ms, objectives.rto_ms, Goal::NotYet),
    };
    let mut status = Status {
        format_version: Status::FORMAT_VERSION,
        stack: known.stack.name.clone(),
        time: now,
        tool: crate::TOOL,
        exit_code: 0,
        objectives,
        achieved,
        recovery_points,
        drills,
        runs,
        schedules,
        findings: Vec::new(),
    };
    status.findings = findings::findings(known, &status);
    status.exit_code = worst(&status.findings).map_or(0, crate::failure::Category::exit_code);
    status
}

/// How long ago `then` was; nothing of what lies in the future.
fn age(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(then).as_millis()).unwrap_or(0)
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

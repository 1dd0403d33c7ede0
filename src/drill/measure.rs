//! What a drill achieved against the stack's objectives. Pure.

use serde::Serialize;

use super::plan::DrillPlan;
use super::report::{Outcome, Report};
use super::trend::{Past, trend};
use crate::point::{Point, Points};

/// A drill's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The age of the oldest member's instant in the newest *complete* point when the drill began, whichever point was
    /// drilled: what a disaster at that moment would have lost. `None` while there is none.
    pub rpo: Option<Objective>,
    /// From the beginning of the work to all of it verified. Of a part of a point it is no recovery's, but it misses the
    /// objective all the same when it alone takes longer.
    pub rto: Objective,
    pub bytes: u64,
    pub bytes_per_second: u64,
    /// Whether the scratch server flushed to disk as production does; without it a real recovery takes longer.
    pub fsync: bool,
}

/// What was achieved and what was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    pub achieved_ms: u64,
    pub objective_ms: Option<u64>,
    pub goal: Goal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    Met,
    Missed,
    /// The document says nothing.
    None,
}

impl Objective {
    fn of(achieved_ms: u64, objective: Option<std::time::Duration>) -> Self {
        let objective_ms = objective.map(super::report::ms);
        let goal = match objective_ms {
            None => Goal::None,
            Some(objective) if achieved_ms <= objective => Goal::Met,
            Some(_) => Goal::Missed,
        };
        Self { achieved_ms, objective_ms, goal }
    }
}

/// Fills in the figures, the trend, and the outcome.
pub fn measure(plan: &DrillPlan, points: &Points, report: &mut Report) {
    let bytes = plan.parts.iter().map(|part| part.member.bytes).sum();
    if let Some(rto_ms) = report.rto_ms {
        let bytes_per_second = u128::from(bytes) * 1_000 / u128::from(rto_ms.max(1));
        let newest = points.newest_complete().and_then(Point::record).ok();
        let age = newest.map(|record| report.begun.duration_since(record.oldest_instant()));
        report.measured = Some(Measured {
            rpo: age.map(|age| {
                let age = if age.is_negative() { 0 } else { super::report::ms(age.unsigned_abs()) };
                Objective::of(age, plan.objectives.rpo)
            }),
            rto: Objective::of(rto_ms, plan.objectives.rto),
            bytes,
            bytes_per_second: u64::try_from(bytes_per_second).unwrap_or(u64::MAX),
            fsync: plan.fsync,
        });
        if plan.is_whole && report.holds() {
            let now = Past { time: report.begun, rto_ms, bytes };
            let objective_ms = plan.objectives.rto.map(super::report::ms);
            report.trend = trend(&past(points), now, objective_ms);
        }
    }
    report.outcome = outcome(report);
}

fn past(points: &Points) -> Vec<Past> {
    let proven = points.points.iter().filter_map(|point| point.proven.as_ref());
    proven.map(|proven| Past { time: proven.time, rto_ms: proven.rto_ms, bytes: proven.bytes }).collect()
}

fn outcome(report: &Report) -> Outcome {
    let missed = |measured: &Measured| {
        measured.rto.goal == Goal::Missed || measured.rpo.is_some_and(|rpo| rpo.goal == Goal::Missed)
    };
    match (report.holds(), report.measured.as_ref().is_some_and(missed)) {
        (false, _) => Outcome::NotVerified,
        (true, true) => Outcome::Late,
        (true, false) => Outcome::Verified,
    }
}

//! What runs next on the stack by its schedules, and why not now.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::known::{Known, KnownRun, KnownSchedule};
use super::run::{RunLine, Standing};
use crate::run::{Leader, RunId};
use crate::schedule::{Due, LatestRun, Past, Schedule, ScheduleName, ScheduledRun, Wait, Why, due};
use crate::stack::Name;

/// A daemon looks at its schedules far more often; what is due for longer is not being looked at.
pub(super) const OVERDUE: SignedDuration = SignedDuration::from_mins(5);

/// A schedule on the stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleLine {
    pub schedule: ScheduleName,
    /// The kind of its runs: `snapshot`, `drill`, `check`, `forget`.
    pub kind: String,
    /// The command that does the same.
    pub does: String,
    pub cron: String,
    pub time_zone: String,
    /// The start after now, jitter included; `None`: never by itself.
    pub next: Option<Timestamp>,
    pub now: Due,
    /// Why nothing begins now, as a sentence.
    pub why: String,
    /// How long ago it should have begun, where it should have.
    pub lag_ms: Option<u64>,
    /// The run of the newest instant that there is a run of.
    pub last: Option<LastRun>,
}

/// The newest run of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    pub run: RunId,
    /// The instant that the expression named.
    pub scheduled: Timestamp,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub standing: Standing,
}

impl ScheduleLine {
    /// Not before one of the two documents is changed.
    #[must_use]
    pub fn cannot_run(&self) -> bool {
        matches!(&self.now, Due::Wait(Wait { why: Why::Misfit { .. }, .. }))
    }
}

/// Those of `schedules` that are for the stack.
pub(super) fn lines(known: &Known, schedules: &[KnownSchedule], now: Timestamp) -> Vec<ScheduleLine> {
    let covers = |known_schedule: &&KnownSchedule| known_schedule.schedule.covers(&known.stack.name);
    schedules.iter().filter(covers).map(|schedule| line(known, schedule, now)).collect()
}

fn line(known: &Known, one: &KnownSchedule, now: Timestamp) -> ScheduleLine {
    let (schedule, stack) = (&one.schedule, &known.stack);
    let (spec, zone) = (&schedule.spec, &schedule.spec.timing.zone);
    let last = LastRun::of(schedule, &stack.name, &known.runs, &known.leaders, now);
    let misfits = spec.operation.misfits(stack);
    let due = if misfits.is_empty() {
        due(schedule, &stack.name, &past(one, last.as_ref(), now), now)
    } else {
        Due::Wait(Wait { why: Why::Misfit { problems: misfits }, next: None })
    };
    let (next, why, lag) = match &due {
        Due::Run(start) => {
            let from = start.scheduled.checked_add(schedule.offset(&stack.name)).unwrap_or(start.scheduled);
            (Some(now), "it is due".to_owned(), Some(super::age(from, now)))
        }
        Due::Wait(wait) => (wait.next, wait.why.sentence(zone).to_string(), None),
    };
    ScheduleLine {
        schedule: schedule.name.clone(),
        kind: spec.operation.word().to_owned(),
        does: spec.operation.to_string(),
        cron: spec.timing.cron.to_string(),
        time_zone: zone.to_string(),
        next,
        now: due,
        why,
        lag_ms: lag,
        last,
    }
}

/// What is known of a schedule's runs on the stack. Whoever does not know since when it counts says nothing of what was
/// missed before its newest run.
#[must_use]
pub fn past(one: &KnownSchedule, last: Option<&LastRun>, now: Timestamp) -> Past {
    let since = one.since.or(last.map(|last| last.scheduled)).unwrap_or(now);
    Past { since, newest: last.map(|last| LatestRun { scheduled: last.scheduled, ended: last.ended }) }
}

impl LastRun {
    /// Of the newest instant that one of `runs` has in its id.
    #[must_use]
    pub fn of(
        schedule: &Schedule,
        stack: &Name,
        runs: &[KnownRun],
        leaders: &[Leader],
        now: Timestamp,
    ) -> Option<Self> {
        let of_this = |run: &RunId| {
            let scheduled = run.as_str().parse::<ScheduledRun>().ok()?;
            let is_this = scheduled.schedule == schedule.name
                && scheduled.stack == *stack
                && scheduled.operation.as_str() == schedule.spec.operation.word();
            is_this.then_some(scheduled.scheduled)
        };
        let found = runs.iter().filter_map(|run| Some((of_this(&run.run)?, run)));
        let (scheduled, run) = found.max_by_key(|(scheduled, _)| *scheduled)?;
        let line = RunLine::of(&run.run, run.state.as_ref().ok()?, leaders, now);
        let RunLine { run, started, ended, standing, .. } = line;
        Some(Self { run, scheduled, started, ended, standing })
    }
}

//! What a schedule does on a stack now, or why nothing. Pure: what is known of earlier runs and the time come in.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{ConcurrencyPolicy, Schedule, Zone};
use crate::stack::{Name, duration};

/// What is known of a schedule's runs on one stack. All of it is in their journals, so nothing else must be remembered
/// for an instant to happen once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// From when on the schedule counts: when it was first seen with this expression and zone. Earlier instants are not
    /// made up for.
    pub since: Timestamp,
    pub newest: Option<LatestRun>,
}

/// The run of the newest instant that there is a run of, whatever came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatestRun {
    pub scheduled: Timestamp,
    /// None while it is going on; a run that waits for a person is going on.
    pub ended: Option<Timestamp>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "camelCase")]
pub enum Due {
    Run(Start),
    Wait(Wait),
}

/// A run that begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The instant that the expression names: the run's identity.
    pub scheduled: Timestamp,
    /// The first of the earlier instants that this run stands for too, where some were missed.
    pub missed_since: Option<Timestamp>,
    /// The instant of the run that is cancelled for it.
    pub replaces: Option<Timestamp>,
}

/// Nothing begins now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    #[serde(flatten)]
    pub why: Why,
    /// The start after this, jitter included; until then the answer changes only when a run ends. None: never by itself.
    pub next: Option<Timestamp>,
}

/// Why nothing begins now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Why {
    Suspended,
    /// Its time has not come.
    NotYet,
    /// The newest instant is too long ago.
    DeadlineMissed {
        scheduled: Timestamp,
        late_seconds: u64,
        deadline_seconds: u64,
    },
    /// The run of `going_on` goes on; `scheduled` is left out.
    Forbidden {
        scheduled: Timestamp,
        going_on: Timestamp,
    },
    /// The run of `going_on` goes on; `scheduled` comes after it.
    Queued {
        scheduled: Timestamp,
        going_on: Timestamp,
    },
    /// The expression names no instant any more.
    Over,
    /// Whoever asks knows no such stack (yet).
    NoStack {
        stack: Name,
    },
    /// The stack is there, but does not have what the operation needs.
    Misfit {
        problems: Vec<String>,
    },
}

/// Says what `schedule` does on `stack` at `now`.
///
/// Of several instants that were missed the newest runs, the others never do: one run after a downtime, not a burst. While
/// the former run goes on the policy decides; an instant that came meanwhile under `forbid` stays left out after its end.
/// The answer depends on nothing else, so that asking twice, late, or from two processes gives the same runs.
#[must_use]
pub fn due(schedule: &Schedule, stack: &Name, past: &Past, now: Timestamp) -> Due {
    let spec = &schedule.spec;
    if spec.suspend {
        return Due::Wait(Wait { why: Why::Suspended, next: None });
    }
    let (timing, offset) = (&spec.timing, schedule.offset(stack));
    let done = done(schedule, past, offset);
    let Some(scheduled) = timing.newest(before(now, offset)).filter(|newest| *newest > done) else {
        let next = timing.next(done.max(before(now, offset))).map(|next| after(next, offset));
        return Due::Wait(Wait { why: if next.is_some() { Why::NotYet } else { Why::Over }, next });
    };
    let wait = |why| Due::Wait(Wait { why, next: timing.next(scheduled).map(|next| after(next, offset)) });
    let late = now.duration_since(after(scheduled, offset)).unsigned_abs();
    if let Some(deadline) = spec.starting_deadline.filter(|deadline| late > *deadline) {
        return wait(Why::DeadlineMissed {
            scheduled,
            late_seconds: late.as_secs(),
            deadline_seconds: deadline.as_secs(),
        });
    }
    let going_on = past.newest.filter(|run| run.ended.is_none()).map(|run| run.scheduled);
    let missed_since = timing.next(done).filter(|first| *first < scheduled);
    match (going_on, spec.concurrency_policy) {
        (Some(going_on), ConcurrencyPolicy::Forbid) => wait(Why::Forbidden { scheduled, going_on }),
        (Some(going_on), ConcurrencyPolicy::Queue) => wait(Why::Queued { scheduled, going_on }),
        (replaces, _) => Due::Run(Start { scheduled, missed_since, replaces }),
    }
}

/// The newest instant that needs nothing any more: it has its run, came before the schedule counted, or was left out
/// because a run went on.
fn done(schedule: &Schedule, past: &Past, offset: SignedDuration) -> Timestamp {
    let ran = past.newest.map_or(past.since, |run| run.scheduled.max(past.since));
    let ended = past.newest.and_then(|run| run.ended);
    if schedule.spec.concurrency_policy != ConcurrencyPolicy::Forbid {
        return ran;
    }
    // One whose start is the very end of the run did not come while it went on.
    let left_out = ended.and_then(|ended| {
        schedule.spec.timing.newest(before(ended, offset.saturating_add(SignedDuration::from_nanos(1))))
    });
    left_out.map_or(ran, |left_out| left_out.max(ran))
}

/// Beyond what can be counted there are no instants either, so the ends of time do.
fn before(instant: Timestamp, offset: SignedDuration) -> Timestamp {
    instant.checked_sub(offset).unwrap_or(Timestamp::MIN)
}

fn after(instant: Timestamp, offset: SignedDuration) -> Timestamp {
    instant.checked_add(offset).unwrap_or(Timestamp::MAX)
}

impl Why {
    /// The reason as a sentence, instants on the walls of `zone`.
    #[must_use]
    pub fn sentence(&self, zone: &Zone) -> impl fmt::Display {
        let seconds = |n: u64| duration::human(std::time::Duration::from_secs(n));
        match self {
            Self::Suspended => "suspended".to_owned(),
            Self::NotYet => "its time has not come".to_owned(),
            Self::DeadlineMissed { scheduled, late_seconds, deadline_seconds } => format!(
                "{} was missed by {}, more than startingDeadline ({})",
                zone.show(*scheduled),
                seconds(*late_seconds),
                seconds(*deadline_seconds)
            ),
            Self::Forbidden { scheduled, going_on } => format!(
                "the run of {} is going on and the policy is forbid: {} is left out",
                zone.show(*going_on),
                zone.show(*scheduled)
            ),
            Self::Queued { scheduled, going_on } => {
                format!("the run of {} is going on: {} waits for its end", zone.show(*going_on), zone.show(*scheduled))
            }
            Self::Over => "it has no instant any more".to_owned(),
            Self::NoStack { stack } => format!("there is no stack `{stack}`; it waits for one"),
            Self::Misfit { problems } => problems.join("; "),
        }
    }
}

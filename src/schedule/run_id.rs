//! What a scheduled run is called: `<operation>-<stack>-<instant>-<schedule>`, the instant in UTC as `20261124t021500z`.
//! The same instant of the same schedule on the same stack has the same id everywhere, so that the first entry of its
//! journal, created only if absent, makes it happen once, also with two daemons.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::ScheduleName;
use crate::stack::Name;

const FORMAT: &str = "%Y%m%dt%H%M%Sz";

/// A scheduled run by what makes it the one that it is. Its text is a DNS label but for its length (at most
/// [`Self::MAX_LENGTH`]): safe in object keys, file names and names of Kubernetes' objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduledRun {
    /// [`Operation::word`](super::Operation::word).
    pub operation: Name,
    pub stack: Name,
    /// The instant that the expression names, before jitter: it stays the same when the jitter is changed.
    pub scheduled: Timestamp,
    pub schedule: ScheduleName,
}

impl ScheduledRun {
    /// Two names of 63, an operation's word of at most that, an instant, three dashes: below the 253 of a Kubernetes name
    /// and the 255 of a file's.
    pub const MAX_LENGTH: usize = 3 * 63 + 16 + 3;
}

impl fmt::Display for ScheduledRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = self.scheduled.to_zoned(TimeZone::UTC).strftime(FORMAT).to_string();
        write!(f, "{}-{}-{instant}-{}", self.operation, self.stack, self.schedule)
    }
}

/// A text that is no scheduled run's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id of a scheduled run: expected `<operation>-<stack>-<20261124t021500z>-<schedule>`")]
pub struct NotScheduled(pub String);

impl FromStr for ScheduledRun {
    type Err = NotScheduled;

    /// Takes an id apart. No part of a schedule's name looks like an instant and no operation's word has a dash, so the
    /// last instant is the run's, whatever the stack is called.
    fn from_str(text: &str) -> Result<Self, NotScheduled> {
        take_apart(text).ok_or_else(|| NotScheduled(text.to_owned()))
    }
}

fn take_apart(text: &str) -> Option<ScheduledRun> {
    let parts: Vec<&str> = text.split('-').collect();
    let at = parts.iter().rposition(|part| instant(part).is_some())?;
    let (operation, stack) = parts[..at].split_first()?;
    Some(ScheduledRun {
        operation: operation.parse().ok()?,
        stack: stack.join("-").parse().ok()?,
        scheduled: instant(parts[at])?,
        schedule: parts[at + 1..].join("-").parse().ok()?,
    })
}

/// `20261124t021500z` as an instant.
pub fn instant(text: &str) -> Option<Timestamp> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape != "00000000t000000z" {
        return None;
    }
    DateTime::strptime(FORMAT, text).ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(operation: &str, stack: &str, scheduled: &str, schedule: &str) -> ScheduledRun {
        ScheduledRun {
            operation: operation.parse().unwrap(),
            stack: stack.parse().unwrap(),
            scheduled: scheduled.parse().unwrap(),
            schedule: schedule.parse().unwrap(),
        }
    }

    #[test]
    fn an_id_says_what_runs_where_and_when() {
        let run = run("snapshot", "papg", "2026-11-24T02:15:00Z", "nightly-snapshot");
        assert_eq!(run.to_string(), "snapshot-papg-20261124t021500z-nightly-snapshot");
        assert_eq!("snapshot-papg-20261124t021500z-nightly-snapshot".parse(), Ok(run));
    }

    #[test]
    fn the_longest_fits_where_names_must_fit() {
        let (a, b) = ("a".repeat(63), "b".repeat(63));
        let id = run("snapshot", &a, "9999-12-30T21:59:59Z", &b).to_string();
        assert!(id.len() <= ScheduledRun::MAX_LENGTH && ScheduledRun::MAX_LENGTH <= 253, "{}", id.len());
        assert!(id.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'), "{id}");
    }

    #[test]
    fn names_that_would_collide_do_not() {
        let one = run("snapshot", "a", "2026-11-24T02:15:00Z", "b-c");
        let other = run("snapshot", "a-20261124t021500z-b", "2026-11-25T02:15:00Z", "c");
        assert_ne!(one.to_string(), other.to_string());
        assert_eq!(other.to_string().parse(), Ok(other));
        // what would be `one` at another instant with the instants exchanged
        let refused = "20261125t021500z-c".parse::<ScheduleName>().unwrap_err();
        assert!(refused.contains("`20261125t021500z` looks like the instant of a run"), "{refused}");
        "20261399t021500z-c".parse::<ScheduleName>().expect("no such month, so no instant");
    }

    #[test]
    fn what_is_no_scheduled_run_is_none() {
        for text in
            ["", "snapshot", "snapshot-20261124t021500z-x", "restore-shop-20261124T021500Z-x", "a-b-20261124t021500z"]
        {
            assert_eq!(text.parse::<ScheduledRun>(), Err(NotScheduled(text.into())));
        }
    }

    fn names() -> impl Strategy<Value = String> {
        // parts that look like instants on purpose
        prop::collection::vec(prop_oneof!["[a-z0-9]{1,3}", Just("20261124t021500z".to_owned())], 1..4)
            .prop_map(|parts| parts.join("-"))
    }

    proptest! {
        #[test]
        fn every_id_is_taken_apart_as_it_was_put_together(
            stack in names(), schedule in names(), second in 0_i64..4_000_000_000,
        ) {
            let Ok(schedule) = schedule.parse::<ScheduleName>() else { return Ok(()) };
            let scheduled = Timestamp::from_second(second).unwrap();
            let run = ScheduledRun { operation: "drill".parse().unwrap(), stack: stack.parse().unwrap(), scheduled, schedule };
            prop_assert_eq!(run.to_string().parse(), Ok(run));
        }
    }
}

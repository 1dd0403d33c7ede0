//! Which recovery point a drill restores. Pure; the random number comes in.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::DrillError;
use crate::point::{Point, Points};
use crate::stack::random_within;

/// What `--point` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// `latest`, `latest-proven`, or the beginning of an id.
    Named(String),
    /// `random:30d`: one of those at most so old, so that old points are proved too.
    Random(Duration),
}

impl FromStr for Choice {
    type Err = DrillError;

    fn from_str(text: &str) -> Result<Self, DrillError> {
        let window = random_within(text).map_err(|why| DrillError::Choice { text: text.to_owned(), why })?;
        Ok(window.map_or_else(|| Self::Named(text.to_owned()), Self::Random))
    }
}

/// The chosen point. Among random ones those that no drill has restored come first, then the third that was proven
/// longest ago; `random(n)` yields a number below `n`.
///
/// # Errors
/// When there is none.
pub fn choose<'a>(
    points: &'a Points,
    choice: &Choice,
    now: Timestamp,
    random: impl FnOnce(usize) -> usize,
) -> Result<&'a Point, DrillError> {
    let window = match choice {
        Choice::Named(name) => return Ok(points.find(name, now)?),
        Choice::Random(window) => *window,
    };
    let wanted = |point: &&Point| {
        let age = now.duration_since(point.time).unsigned_abs();
        point.is_complete() && !point.is_safety() && !point.is_ahead_of(now) && age <= window
    };
    let within: Vec<&Point> = points.points.iter().filter(wanted).collect();
    let mut candidates: Vec<&Point> = within.iter().copied().filter(|point| point.proven.is_none()).collect();
    if candidates.is_empty() {
        candidates = within;
        candidates.sort_by_key(|point| point.proven.as_ref().map(|proven| proven.time));
        candidates.truncate(candidates.len().div_ceil(3));
    }
    match candidates.len() {
        0 => Err(DrillError::NoneWithin { window }),
        n => Ok(candidates[random(n).min(n - 1)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::point::testing::{point, points, proven};

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn on(day: u8) -> Point {
        point(&format!("2026-11-{day:02}T03:00:00Z"), None)
    }

    /// The days of all that can be drawn.
    fn drawn(points: &Points, window: &str) -> Vec<i8> {
        let choice: Choice = format!("random:{window}").parse().unwrap();
        let mut among = 0;
        choose(points, &choice, now(), |n| {
            among = n;
            0
        })
        .unwrap();
        let day = |i| jiff::tz::TimeZone::UTC.to_datetime(choose(points, &choice, now(), |_| i).unwrap().time).day();
        (0..among).map(day).collect()
    }

    #[test]
    fn a_random_point_is_one_that_no_drill_has_restored_else_one_that_was_proven_longest_ago() {
        let drilled = |day, at: &str| proven(on(day), at);
        let mixed = points(vec![on(22), drilled(21, NOW), on(20), on(1)]);
        assert_eq!(drawn(&mixed, "7d"), [22, 20], "the first is too old, one is proven");
        assert_eq!(drawn(&mixed, "60d"), [22, 20, 1]);
        let all = points(vec![
            drilled(22, "2026-11-22T12:00:00Z"),
            drilled(21, "2026-11-21T12:00:00Z"),
            drilled(20, "2026-11-22T13:00:00Z"),
            drilled(19, "2026-11-19T12:00:00Z"),
        ]);
        assert_eq!(drawn(&all, "30d"), [19, 21], "the third of four, rounded up");
    }

    #[test]
    fn what_is_partial_from_the_future_or_a_safety_point_is_never_drawn() {
        let mut partial = on(22);
        partial.state = crate::point::State::Partial;
        let safety = point("2026-11-22T04:00:00Z", Some("safety before restore-shop"));
        let ahead = point("2026-12-24T04:00:00Z", None);
        let none = points(vec![partial, safety, ahead]);
        let error = choose(&none, &Choice::Random(Duration::from_secs(30 * 86_400)), now(), |_| 0).unwrap_err();
        assert!(error.to_string().contains("the last 30d") && error.hint().is_some(), "{error}");
    }

    #[test]
    fn words_are_read_and_wrong_ones_refused_with_what_was_expected() {
        assert_eq!("random:30d".parse::<Choice>().unwrap(), Choice::Random(Duration::from_secs(30 * 86_400)));
        assert_eq!("3f9a".parse::<Choice>().unwrap(), Choice::Named("3f9a".into()));
        for wrong in ["random", "random:", "random:x", "random:0s", "newest:3d"] {
            let error = wrong.parse::<Choice>().unwrap_err();
            assert!(error.hint().unwrap().contains("random:30d"), "{wrong}: {error}");
        }
    }
}

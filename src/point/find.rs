//! From what a person types to one recovery point.

use jiff::{SignedDuration, Timestamp};

use super::{Point, PointError, Points, State};

/// How far ahead of this machine's clock a point may be dated before `latest` passes it over: machines that keep their
/// clocks by NTP differ by seconds; S3 refuses requests from 15 minutes on.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

impl Point {
    /// Dated later than any right clock could say at `now`: it was taken while a clock was wrong, or this one is.
    #[must_use]
    pub fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.time.duration_since(now) > CLOCK_TOLERANCE
    }

    /// Taken by a restore, of what it was about to replace.
    #[must_use]
    pub fn is_safety(&self) -> bool {
        self.record().is_ok_and(|record| record.is_safety())
    }
}

impl Points {
    /// `latest`, `latest-proven`, or the beginning of an id.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, wanted: &str, now: Timestamp) -> Result<&Point, PointError> {
        if wanted == "latest" {
            return self.latest(now);
        }
        if wanted == "latest-proven" {
            return self.latest_proven(now);
        }
        let missing = || PointError::NotFound { wanted: wanted.to_owned(), stack: self.stack.clone() };
        let wanted = wanted.to_ascii_lowercase();
        let found: Vec<&Point> = self
            .points
            .iter()
            .filter(|point| !wanted.is_empty() && point.id.to_string().starts_with(&wanted))
            .collect();
        match found.as_slice() {
            [] => Err(missing()),
            [point] => Ok(point),
            several => {
                let found = several.iter().map(|point| point.id.to_string()).collect();
                Err(PointError::Ambiguous { wanted, found })
            }
        }
    }

    /// What a person means by `latest`: the newest complete one. Not a safety point, which holds what somebody wanted to
    /// get rid of: the same in-place restore, run again, would bring that back. Not one that is dated in the future.
    ///
    /// # Errors
    /// As [`Self::newest_complete`]; `OnlySafety` and `AllAhead` name what there is.
    pub fn latest(&self, now: Timestamp) -> Result<&Point, PointError> {
        let newest = self.newest_complete()?;
        let mut wanted = self.points.iter().filter(|point| point.is_complete() && !point.is_safety());
        if let Some(point) = wanted.clone().find(|point| !point.is_ahead_of(now)) {
            return Ok(point);
        }
        Err(match wanted.next() {
            Some(ahead) => PointError::AllAhead { id: ahead.id.to_string(), time: ahead.time, now },
            None => PointError::OnlySafety { id: newest.id.to_string() },
        })
    }

    /// The newest complete one that a drill restored; as [`Self::latest`], no safety point and none from the future.
    ///
    /// # Errors
    /// [`PointError::NoneProven`].
    pub fn latest_proven(&self, now: Timestamp) -> Result<&Point, PointError> {
        let wanted = |point: &&Point| point.is_proven() && !point.is_safety() && !point.is_ahead_of(now);
        self.points.iter().find(wanted).ok_or_else(|| PointError::NoneProven { stack: self.stack.clone() })
    }

    /// The newest complete one, whatever it was taken for and whatever it is dated.
    ///
    /// # Errors
    /// [`PointError::NoneComplete`], or [`PointError::AllBroken`] where there was one once.
    pub fn newest_complete(&self) -> Result<&Point, PointError> {
        let broken = self.points.iter().find_map(|point| match &point.state {
            State::Broken(why) => Some(why.clone()),
            State::Complete | State::Partial | State::Newer(_) => None,
        });
        let stack = self.stack.clone();
        let none = || match broken {
            Some(why) => PointError::AllBroken { stack, why },
            None => PointError::NoneComplete { stack },
        };
        self.points.iter().find(|point| point.is_complete()).ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::point::testing::{point, points, proven};

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn latest(points: &Points) -> Result<Timestamp, PointError> {
        points.find("latest", NOW.parse().unwrap()).map(|point| point.time)
    }

    #[test]
    fn latest_passes_over_what_a_restore_took_before_it_and_what_is_dated_in_the_future() {
        let wanted = "2026-11-23T10:00:00Z";
        let safety = || point("2026-11-23T11:00:00Z", Some("safety before restore-shop-20261123"));
        let ahead = || point("2036-01-01T00:00:00Z", None);
        let all = points(vec![ahead(), safety(), point(wanted, None), point("2026-11-22T10:00:00Z", None)]);
        assert_eq!(latest(&all).unwrap(), wanted.parse().unwrap());
        assert_eq!(all.newest_complete().unwrap().id, all.points[0].id);
        let near = points(vec![point("2026-11-23T12:09:00Z", None), point(wanted, None)]);
        assert_eq!(latest(&near).unwrap(), near.points[0].time, "clocks may differ a little");

        let error = latest(&points(vec![safety()])).unwrap_err();
        assert!(error.to_string().contains("safety point"), "{error}");
        let error = latest(&points(vec![ahead(), safety()])).unwrap_err();
        assert!(error.to_string().contains("dated 2036-01-01") && error.hint().is_some(), "{error}");
        assert!(matches!(latest(&points(vec![])), Err(PointError::NoneComplete { .. })));
    }

    #[test]
    fn latest_proven_is_the_newest_complete_one_that_a_drill_restored() {
        let now = NOW.parse().unwrap();
        let drilled = |time| proven(point(time, None), "2026-11-23T11:30:00Z");
        let mut broken = drilled("2026-11-23T10:30:00Z");
        broken.state = State::Broken("a member is missing".into());
        let safety = proven(point("2026-11-23T11:00:00Z", Some("safety before restore-shop")), NOW);
        let wanted = "2026-11-22T10:00:00Z";
        let unproven = point("2026-11-23T10:00:00Z", None);
        let all = points(vec![safety, broken, unproven, drilled(wanted), drilled("2026-11-21T10:00:00Z")]);
        assert_eq!(all.find("latest-proven", now).unwrap().time, wanted.parse().unwrap());
        let error = points(vec![point(wanted, None)]).find("latest-proven", now).unwrap_err();
        assert!(error.hint().unwrap().contains("drydock drill"), "{error}");
    }
}

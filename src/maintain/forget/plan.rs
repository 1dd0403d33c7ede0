//! Which recovery points go, and why. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::point::{Point, PointId, Points, State};
use crate::repository::SnapshotId;
use crate::repository::forget::{Candidate, Policy, decide};
use crate::run::RunId;
use crate::stack::{Name, Retention, Tags};

/// The fate of every recovery point and leftover.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForgetPlan {
    /// Newest first.
    pub points: Vec<Fate>,
    /// Snapshots of runs that were cut off.
    pub strays: Vec<StrayFate>,
    /// Keeps and drills' marks of points that are gone.
    pub lost_keeps: Vec<SnapshotId>,
    /// Damaged snapshots; while there are any, leftovers stay, because one of these may be their point.
    pub unreadable: Vec<SnapshotId>,
    /// Runs that are over long since, and whose journals go.
    pub journals: Vec<RunId>,
}

/// What becomes of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fate {
    pub id: PointId,
    pub time: Timestamp,
    pub state: &'static str,
    pub keep: bool,
    pub reasons: Vec<String>,
    /// Older than `maxAge` and kept all the same: a duty that is not done.
    pub overdue: bool,
    /// The point's own snapshot, then its members', then its keeps' and drills': the order in which they go.
    #[serde(skip)]
    pub snapshots: Vec<SnapshotId>,
}

/// A leftover and whether it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StrayFate {
    pub snapshot: SnapshotId,
    pub data: Name,
    pub time: Timestamp,
    pub keep: bool,
}

/// The document's rules as the repository knows them.
#[must_use]
pub fn policy(retention: &Retention) -> Policy {
    Policy {
        last: retention.keep_last,
        hourly: retention.keep_hourly,
        daily: retention.keep_daily,
        weekly: retention.keep_weekly,
        monthly: retention.keep_monthly,
        yearly: retention.keep_yearly,
        within: retention.keep_within.map(Into::into),
        tags: retention.keep_tags.iter().map(Tags::texts).collect(),
        max_age: retention.max_age,
        ..Policy::default()
    }
}

/// Decides at `now`, with days and weeks as `zone` has them; `needed` are the points of runs that are not over.
#[must_use]
pub fn plan(
    points: &Points,
    needed: &BTreeMap<PointId, RunId>,
    policy: &Policy,
    now: Timestamp,
    zone: &TimeZone,
) -> ForgetPlan {
    let latest = [points.newest_complete(), points.latest(now)];
    let latest: BTreeSet<PointId> = latest.into_iter().flatten().map(|point| point.id).collect();
    // By the point's time: what proves the newest data is worth most. One from the future proves nothing newer.
    let proven = points.latest_proven(now).ok().map(|point| point.id);
    let (complete, others): (Vec<&Point>, Vec<&Point>) = points.points.iter().partition(|point| point.is_complete());
    let by_id: BTreeMap<PointId, &Point> = points.points.iter().map(|point| (point.id, point)).collect();
    let mut fates = Vec::new();
    for series in [complete, others] {
        let candidates: Vec<_> = series.iter().map(|point| candidate(point, &latest, proven, needed, now)).collect();
        for decision in decide(policy, &candidates, now, zone) {
            let point = by_id[&decision.id];
            fates.push(Fate {
                id: point.id,
                time: point.time,
                state: point.state.word(),
                keep: decision.keep,
                reasons: decision.reasons.iter().map(ToString::to_string).collect(),
                overdue: decision.overdue,
                snapshots: snapshots(point),
            });
        }
    }
    fates.sort_by_key(|fate| std::cmp::Reverse((fate.time, fate.id)));
    let keep = !points.unreadable.is_empty();
    let strays = points.strays.iter().map(|stray| StrayFate {
        snapshot: stray.snapshot,
        data: stray.data.clone(),
        time: stray.time,
        keep,
    });
    ForgetPlan {
        points: fates,
        strays: strays.collect(),
        lost_keeps: if keep { Vec::new() } else { points.lost_keeps.clone() },
        unreadable: points.unreadable.iter().map(|(id, _)| *id).collect(),
        journals: Vec::new(),
    }
}

fn candidate(
    point: &Point,
    latest: &BTreeSet<PointId>,
    proven: Option<PointId>,
    needed: &BTreeMap<PointId, RunId>,
    now: Timestamp,
) -> Candidate<PointId> {
    let mut protected = Vec::new();
    if latest.contains(&point.id) {
        protected.push("last complete".to_owned());
    }
    if proven == Some(point.id) {
        protected.push("newest proven".to_owned());
    }
    if let Some(keep) = point.keep.as_ref().filter(|keep| keep.holds(now)) {
        protected.push(format!("kept by {}: {}", keep.by, keep.reason));
    }
    if let Some(run) = needed.get(&point.id) {
        protected.push(format!("needed by {run}"));
    }
    if let State::Newer(_) = point.state {
        protected.push("written by a newer drydock".to_owned());
    }
    Candidate { id: point.id, time: point.time, tags: point.tags.clone(), protected }
}

fn snapshots(point: &Point) -> Vec<SnapshotId> {
    std::iter::once(point.snapshot)
        .chain(point.members.values().copied())
        .chain(point.keeps.iter().chain(&point.proofs).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::testing::{point, points, proven};
    use crate::point::{Keep, Stray};

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn on(day: u8) -> Point {
        point(&format!("2026-11-{day:02}T03:00:00Z"), None)
    }

    fn in_state(state: State, day: u8) -> Point {
        let mut point = on(day);
        point.state = state;
        point
    }

    fn partial(day: u8) -> Point {
        in_state(State::Partial, day)
    }

    fn tagged(day: u8, tags: &[&str]) -> Point {
        let mut point = on(day);
        point.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        point
    }

    fn kept(day: u8, until: Option<&str>) -> Point {
        let mut point = on(day);
        let (reason, by) = ("audit".to_owned(), "root@papg".to_owned());
        let until = until.map(|until| until.parse().unwrap());
        let keep = Keep { format_version: 1, point: point.id, reason, until, time: point.time, by };
        (point.keep, point.keeps) = (Some(keep), vec![SnapshotId([7; 32])]);
        point
    }

    fn decide_on(points: &Points, policy: &Policy) -> Vec<(i8, bool, bool)> {
        let plan = plan(points, &BTreeMap::new(), policy, NOW.parse().unwrap(), &TimeZone::UTC);
        let day = |fate: &Fate| TimeZone::UTC.to_datetime(fate.time).day();
        plan.points.iter().map(|fate| (day(fate), fate.keep, fate.overdue)).collect()
    }

    fn last(n: u32) -> Policy {
        Policy { last: n, ..Policy::default() }
    }

    /// Day, whether it stays, whether it is overdue: newest first.
    #[test]
    fn what_stays_and_what_goes() {
        const KEPT: bool = true;
        const GONE: bool = false;
        let eight_days = Policy { max_age: Some(std::time::Duration::from_hours(8 * 24)), ..last(1) };
        for (what, policy, found, expected) in [
            (
                "the rules count",
                last(2),
                vec![on(20), on(21), on(22)],
                vec![(22, KEPT, false), (21, KEPT, false), (20, GONE, false)],
            ),
            (
                "a partial one takes no complete one's place",
                last(1),
                vec![on(20), partial(21), partial(22)],
                vec![(22, KEPT, false), (21, GONE, false), (20, KEPT, false)],
            ),
            (
                "a keep that holds",
                last(1),
                vec![kept(10, None), kept(11, Some("2026-11-24T00:00:00Z")), on(22)],
                vec![(22, KEPT, false), (11, KEPT, false), (10, KEPT, false)],
            ),
            (
                "a keep that has expired",
                last(1),
                vec![kept(11, Some(NOW)), on(22)],
                vec![(22, KEPT, false), (11, GONE, false)],
            ),
            (
                "what has all the tags of a rule",
                Policy { tags: vec![vec!["a".into(), "b".into()], vec!["c".into()]], ..last(1) },
                vec![tagged(10, &["a", "b"]), tagged(11, &["a"]), tagged(12, &["c", "d"]), on(13), on(22)],
                vec![(22, KEPT, false), (13, GONE, false), (12, KEPT, false), (11, GONE, false), (10, KEPT, false)],
            ),
            (
                "the duty to erase wins over a tag",
                Policy { tags: vec![vec!["a".into()]], ..eight_days.clone() },
                vec![tagged(10, &["a"]), tagged(20, &["a"]), on(22)],
                vec![(22, KEPT, false), (20, KEPT, false), (10, GONE, false)],
            ),
            (
                "the duty to erase spares what is kept, and says so",
                eight_days.clone(),
                vec![on(10), kept(11, None), on(22)],
                vec![(22, KEPT, false), (11, KEPT, true), (10, GONE, false)],
            ),
            (
                "nor the last complete one",
                eight_days,
                vec![on(10), partial(22)],
                vec![(22, KEPT, false), (10, KEPT, true)],
            ),
            (
                "one of a newer drydock is not judged",
                last(1),
                vec![in_state(State::Newer("it has format version 2".into()), 10), partial(11), on(22)],
                vec![(22, KEPT, false), (11, KEPT, false), (10, KEPT, false)],
            ),
            (
                "a broken one goes by the rules of those that are not complete",
                last(1),
                vec![in_state(State::Broken("a member is missing".into()), 10), partial(11), on(22)],
                vec![(22, KEPT, false), (11, KEPT, false), (10, GONE, false)],
            ),
            (
                "the newest that a drill restored, and that one alone",
                last(1),
                vec![proven(on(10), NOW), proven(on(11), "2026-11-12T00:00:00Z"), on(22)],
                vec![(22, KEPT, false), (11, KEPT, false), (10, GONE, false)],
            ),
            (
                "beside a safety point the last that a person would restore stays",
                last(1),
                vec![on(10), on(11), point("2026-11-22T03:00:00Z", Some("safety before restore-shop"))],
                vec![(22, KEPT, false), (11, KEPT, false), (10, GONE, false)],
            ),
        ] {
            assert_eq!(decide_on(&points(found), &policy), expected, "{what}");
        }
    }

    #[test]
    fn what_a_run_needs_that_is_not_over_stays_even_beyond_the_duty_to_erase() {
        let found = points(vec![on(10), on(11), on(22)]);
        let needed: BTreeMap<PointId, RunId> = [(found.points[1].id, "drill-shop-1".parse().unwrap())].into();
        let policy = Policy { max_age: Some(std::time::Duration::from_hours(8 * 24)), ..last(1) };
        let plan = plan(&found, &needed, &policy, NOW.parse().unwrap(), &TimeZone::UTC);
        let kept: Vec<_> = plan.points.iter().filter(|fate| fate.keep).collect();
        assert_eq!(kept.iter().map(|fate| fate.id).collect::<Vec<_>>(), [0, 1].map(|n| found.points[n].id));
        assert_eq!((kept[1].overdue, &kept[1].reasons), (true, &vec!["needed by drill-shop-1".to_owned()]));
    }

    /// R4 the other way round.
    #[test]
    fn a_point_goes_before_its_members_and_what_is_said_of_it_last() {
        let gone = proven(kept(10, Some(NOW)), NOW);
        let found = points(vec![gone.clone(), proven(on(22), NOW)]);
        let plan = plan(&found, &BTreeMap::new(), &last(1), NOW.parse().unwrap(), &TimeZone::UTC);
        let fate = plan.points.iter().find(|fate| !fate.keep).unwrap();
        assert_eq!(
            fate.snapshots,
            [gone.snapshot, *gone.members.values().next().unwrap(), gone.keeps[0], gone.proofs[0]]
        );
    }

    #[test]
    fn while_a_snapshot_cannot_be_read_no_leftover_goes() {
        let stray = Stray {
            snapshot: SnapshotId([1; 32]),
            point: PointId::random(),
            data: "files".parse().unwrap(),
            time: "2026-11-01T00:00:00Z".parse().unwrap(),
        };
        let mut found = points(vec![on(22)]);
        (found.strays, found.lost_keeps) = (vec![stray], vec![SnapshotId([2; 32])]);
        let decided = |found: &Points| plan(found, &BTreeMap::new(), &last(1), NOW.parse().unwrap(), &TimeZone::UTC);
        let whole = decided(&found);
        assert!(!whole.strays[0].keep && whole.lost_keeps == found.lost_keeps);
        found.unreadable.push((SnapshotId([3; 32]), "its MAC does not fit".into()));
        let damaged = decided(&found);
        assert!(damaged.strays[0].keep && damaged.lost_keeps.is_empty());
        assert_eq!(damaged.unreadable, [SnapshotId([3; 32])]);
    }
}

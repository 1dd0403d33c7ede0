//! Which recovery points go, and why. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::point::{Point, PointId, Points, State};
use crate::repository::SnapshotId;
use crate::repository::forget::{Candidate, Policy, decide};
use crate::stack::{Name, Retention};

/// The fate of every recovery point and leftover.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForgetPlan {
    /// Newest first.
    pub points: Vec<Fate>,
    /// Snapshots of runs that were cut off.
    pub strays: Vec<StrayFate>,
    /// Keeps of points that are gone.
    pub lost_keeps: Vec<SnapshotId>,
    /// Damaged snapshots; while there are any, leftovers stay, because one of these may be their point.
    pub unreadable: Vec<SnapshotId>,
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
    /// The point's own snapshot, then its members', then its keeps': the order in which they go.
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
        max_age: retention.max_age,
        ..Policy::default()
    }
}

/// Decides at `now`, with days and weeks as `zone` has them.
#[must_use]
pub fn plan(points: &Points, policy: &Policy, now: Timestamp, zone: &TimeZone) -> ForgetPlan {
    let latest = [points.newest_complete(), points.latest(now)];
    let latest: BTreeSet<PointId> = latest.into_iter().flatten().map(|point| point.id).collect();
    let (complete, others): (Vec<&Point>, Vec<&Point>) = points.points.iter().partition(|point| point.is_complete());
    let by_id: BTreeMap<PointId, &Point> = points.points.iter().map(|point| (point.id, point)).collect();
    let mut fates = Vec::new();
    for series in [complete, others] {
        let candidates: Vec<_> = series.iter().map(|point| candidate(point, &latest, now)).collect();
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
    }
}

fn candidate(point: &Point, latest: &BTreeSet<PointId>, now: Timestamp) -> Candidate<PointId> {
    let mut protected = Vec::new();
    if latest.contains(&point.id) {
        protected.push("last complete".to_owned());
    }
    if let Some(keep) = point.keep.as_ref().filter(|keep| keep.holds(now)) {
        protected.push(format!("kept by {}: {}", keep.by, keep.reason));
    }
    if let State::Newer(_) = point.state {
        protected.push("written by a newer drydock".to_owned());
    }
    Candidate { id: point.id, time: point.time, tags: Vec::new(), protected }
}

fn snapshots(point: &Point) -> Vec<SnapshotId> {
    std::iter::once(point.snapshot).chain(point.members.values().copied()).chain(point.keeps.iter().copied()).collect()
}

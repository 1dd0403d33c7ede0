//! What there is to restore: the newest complete and the newest proven recovery point, and how many of each worth.

use jiff::Timestamp;
use serde::Serialize;

use super::age;
use crate::point::{Point, PointId, Points, State};

/// A stack's recovery points in a few lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryPoints {
    /// The newest complete one that is not dated in the future.
    pub complete: Option<PointLine>,
    /// The newest of these that a drill has restored.
    pub proven: Option<ProvenLine>,
    pub complete_count: u64,
    pub partial_count: u64,
    pub broken: Vec<PointId>,
    /// Written by a newer drydock, not judged.
    pub newer_count: u64,
    /// Complete ones that are dated later than any right clock could say.
    pub ahead: Vec<PointId>,
    /// Snapshots of runs that were cut off or are under way.
    pub stray_count: u64,
    /// Damaged snapshots of which nobody knows whose they are.
    pub unreadable_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PointLine {
    pub id: PointId,
    /// When it was begun.
    pub time: Timestamp,
    /// The oldest instant that a member stands for.
    pub instant: Timestamp,
    /// How old that is.
    pub age_ms: u64,
    pub bytes: u64,
    /// Gaps and warnings that it recorded.
    pub warnings: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenLine {
    #[serde(flatten)]
    pub point: PointLine,
    /// The drill's run.
    pub run: String,
    /// When it was verified.
    pub proven: Timestamp,
}

impl RecoveryPoints {
    pub(super) fn of(points: &Points, now: Timestamp) -> Self {
        let count =
            |wanted: fn(&State) -> bool| points.points.iter().filter(|point| wanted(&point.state)).count() as u64;
        let ids = |wanted: &dyn Fn(&Point) -> bool| points.points.iter().filter(|p| wanted(p)).map(|p| p.id).collect();
        let mut usable = points.points.iter().filter(|point| point.is_complete() && !point.is_ahead_of(now));
        let complete = usable.clone().find_map(|point| PointLine::of(point, now));
        let proven = usable.find_map(|point| {
            let (line, proven) = (PointLine::of(point, now)?, point.proven.as_ref()?);
            Some(ProvenLine { point: line, run: proven.run.clone(), proven: proven.time })
        });
        Self {
            complete,
            proven,
            complete_count: count(|state| *state == State::Complete),
            partial_count: count(|state| *state == State::Partial),
            broken: ids(&|point| matches!(point.state, State::Broken(_))),
            newer_count: count(|state| matches!(state, State::Newer(_))),
            ahead: ids(&|point| point.is_complete() && point.is_ahead_of(now)),
            stray_count: points.strays.len() as u64,
            unreadable_count: points.unreadable.len() as u64,
        }
    }
}

impl PointLine {
    fn of(point: &Point, now: Timestamp) -> Option<Self> {
        let record = point.record().ok()?;
        Some(Self {
            id: point.id,
            time: point.time,
            instant: record.oldest_instant(),
            age_ms: age(record.oldest_instant(), now),
            bytes: record.bytes(),
            warnings: record.warning_count(),
        })
    }
}

//! Recovery points that were never stored, for tests of who judges them.

use std::collections::BTreeMap;

use super::{Point, PointId, PointRecord, Points, State};
use crate::repository::SnapshotId;

/// A complete point of the time, taken for the reason.
pub fn point(time: &str, reason: Option<&str>) -> Point {
    let json = include_str!("../../tests/fixtures/formats/point-1.json");
    let mut record = PointRecord::from_json("the fixture", json.as_bytes()).unwrap();
    record.reason = reason.map(str::to_owned);
    record.omitted.clear();
    Point {
        id: PointId::random(),
        snapshot: SnapshotId(rand::random()),
        time: time.parse().unwrap(),
        state: State::Complete,
        record: Some(record),
        members: BTreeMap::from([("files".parse().unwrap(), SnapshotId(rand::random()))]),
        tags: Vec::new(),
        keep: None,
        keeps: Vec::new(),
        proven: None,
        proofs: Vec::new(),
    }
}

/// As [`super::load`] returns them: newest first.
pub fn points(mut points: Vec<Point>) -> Points {
    points.sort_by_key(|point| std::cmp::Reverse((point.time, point.id)));
    Points { stack: "shop".parse().unwrap(), points, strays: vec![], lost_keeps: vec![], unreadable: vec![] }
}

/// `point`, restored by a drill at `time`.
pub fn proven(mut point: Point, time: &str) -> Point {
    let json = include_str!("../../tests/fixtures/formats/proven-1.json");
    let mut proven: super::Proven = serde_json::from_str(json).unwrap();
    (proven.point, proven.time) = (point.id, time.parse().unwrap());
    point.proven = Some(proven);
    point.proofs = vec![SnapshotId(rand::random())];
    point
}

/// A complete point called `id` whose members all stand for `time`.
pub fn named(id: &str, time: &str) -> Point {
    let mut point = point(time, None);
    (point.id, point.snapshot) = (id.parse().unwrap(), SnapshotId([7; 32]));
    for member in point.record.iter_mut().flat_map(|record| &mut record.members) {
        member.instant = point.time;
    }
    point
}

/// `point`, restored by the drill `run` within `rto_ms`, which ended at `time`.
pub fn drilled(point: Point, run: &str, time: &str, rto_ms: u64) -> Point {
    let mut point = proven(point, time);
    let proven = point.proven.as_mut().unwrap();
    (proven.run, proven.rto_ms) = (run.to_owned(), rto_ms);
    point
}

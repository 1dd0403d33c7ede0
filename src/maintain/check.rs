//! `check`: what the repository says of itself, in terms of recovery points: which of them, and which of their data
//! sets, cannot be restored whole.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Category;
use crate::point::{Home, Point, PointError, PointId, Points, State, load};
use crate::repository::check::{CheckOptions, CheckReport};
use crate::repository::{RepositoryError, SnapshotId};
use crate::stack::Name;

/// What was checked and what of it is damaged.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Recovery points that cannot be restored whole, newest first.
    pub points: Vec<Touched>,
    /// Recovery points that can.
    pub whole_points: usize,
    /// Damaged snapshots that belong to no recovery point of this stack, or of which nobody knows whose they are.
    pub other_snapshots: Vec<SnapshotId>,
    pub repository: CheckReport,
}

/// A recovery point that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Touched {
    pub id: PointId,
    pub time: Timestamp,
    /// The data sets that cannot be restored whole; the others can.
    pub data: BTreeSet<Name>,
    /// Why it was broken already before any byte of it was looked at, or that its own record is damaged.
    pub why: Option<String>,
}

impl Checked {
    /// Damage weighs more than what could not be read.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        if self.points.is_empty() { self.repository.category() } else { Some(Category::Integrity) }
    }
}

/// Checks the repository and says which recovery points are touched. The caller holds a shared lock.
///
/// # Errors
/// When the store cannot be asked at all; damage is in the answer.
pub async fn check(home: &Home, options: &CheckOptions, cx: &Context) -> Result<Checked, PointError> {
    let report = home.repository.check(options, cx).await?;
    let points = match load(&home.repository, &home.stack.name).await {
        Err(PointError::Repository(RepositoryError::Cancelled)) => return Err(RepositoryError::Cancelled.into()),
        other => other?,
    };
    Ok(judge(report, &points))
}

/// Puts the report's snapshots down to their recovery points. Pure.
fn judge(report: CheckReport, points: &Points) -> Checked {
    let mut others: BTreeSet<SnapshotId> = report.damaged_snapshots.clone();
    others.extend(points.unreadable.iter().map(|(id, _)| *id));
    let mut touched = Vec::new();
    for point in &points.points {
        let one = touch(point, &report.damaged_snapshots);
        others.remove(&point.snapshot);
        point.members.values().chain(&point.keeps).for_each(|id| {
            others.remove(id);
        });
        touched.extend(one);
    }
    let whole_points = points.points.len() - touched.len();
    Checked { points: touched, whole_points, other_snapshots: others.into_iter().collect(), repository: report }
}

fn touch(point: &Point, damaged: &BTreeSet<SnapshotId>) -> Option<Touched> {
    let is_damaged = |(_, id): &(&Name, &SnapshotId)| damaged.contains(id);
    let mut data: BTreeSet<Name> = point.members.iter().filter(is_damaged).map(|(name, _)| name.clone()).collect();
    let mut why = match &point.state {
        State::Broken(why) => Some(why.clone()),
        State::Complete | State::Partial | State::Newer(_) => None,
    };
    if damaged.contains(&point.snapshot) {
        why.get_or_insert_with(|| "its own record is damaged".into());
    }
    if let (State::Broken(_), Ok(record)) = (&point.state, point.record()) {
        let there: BTreeMap<_, _> = point.members.iter().collect();
        let gone = record.members.iter().filter(|m| there.get(&m.data) != Some(&&m.snapshot));
        data.extend(gone.map(|member| member.data.clone()));
    }
    (why.is_some() || !data.is_empty()).then_some(Touched { id: point.id, time: point.time, data, why })
}

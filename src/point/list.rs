//! All recovery points of a stack, each with what it is worth now: a point whose member is missing is broken, however
//! whole it once was.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{Keep, PointError, PointId, PointRecord, Proven, Role, document, tags_of_people};
use crate::failure::{Category, Failure};
use crate::repository::{Repository, Snapshot, SnapshotId};
use crate::stack::Name;

/// Points asked for at once: hides a store's latency and stays far below its limits.
const LOADS: usize = 8;

/// What a recovery point is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All of the stack's data sets.
    Complete,
    /// Some of them, on purpose.
    Partial,
    /// A member or the record itself is missing or damaged.
    Broken(String),
    /// Written by a newer drydock; not judged.
    Newer(String),
}

impl State {
    /// One word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Broken(_) => "broken",
            Self::Newer(_) => "newer",
        }
    }
}

/// A recovery point in the repository.
#[derive(Debug, Clone)]
pub struct Point {
    pub id: PointId,
    pub snapshot: SnapshotId,
    pub time: Timestamp,
    pub state: State,
    /// `None` only when it is broken or newer.
    pub(super) record: Option<PointRecord>,
    /// The members' snapshots that are there, by data set.
    pub members: BTreeMap<Name, SnapshotId>,
    /// What people have tagged it with.
    pub tags: Vec<String>,
    pub keep: Option<Keep>,
    /// The keep's own snapshots: more than one when two people kept it at once.
    pub keeps: Vec<SnapshotId>,
    /// The newest drill that restored it.
    pub proven: Option<Proven>,
    /// The marks' own snapshots.
    pub proofs: Vec<SnapshotId>,
}

impl Point {
    /// What it recorded.
    ///
    /// # Errors
    /// [`PointError::Broken`] when that cannot be read.
    pub fn record(&self) -> Result<&PointRecord, PointError> {
        self.record.as_ref().ok_or_else(|| {
            let (State::Broken(why) | State::Newer(why)) = &self.state else {
                unreachable!("a point that is not broken has its record")
            };
            PointError::Broken { id: self.id.to_string(), why: why.clone() }
        })
    }

    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// A drill has restored it, and it is whole still.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.is_complete() && self.proven.is_some()
    }
}

/// A member's snapshot that belongs to no point: a run that was cut off, or that is under way.
#[derive(Debug, Clone)]
pub struct Stray {
    pub snapshot: SnapshotId,
    pub point: PointId,
    pub data: Name,
    pub time: Timestamp,
}

/// A stack's recovery points, newest first, and what belongs to none.
#[derive(Debug, Clone)]
pub struct Points {
    pub stack: Name,
    pub points: Vec<Point>,
    pub strays: Vec<Stray>,
    /// Keeps and drills' marks of points that are gone.
    pub lost_keeps: Vec<SnapshotId>,
    /// Snapshots that cannot be read, and why: nobody knows whose they are.
    pub unreadable: Vec<(SnapshotId, String)>,
}

/// Reads every recovery point of `stack`.
///
/// # Errors
/// When the repository cannot be asked; a point that is damaged is in the list as broken.
pub async fn load(repository: &Repository, stack: &Name) -> Result<Points, PointError> {
    let snapshots = repository.readable_snapshots().await?;
    let unreadable = snapshots.damaged.iter().map(|(id, error)| (*id, error.to_string())).collect();
    let mut found = Found { unreadable, ..Found::default() };
    for (id, snapshot) in snapshots.readable {
        match Role::of(&snapshot, stack) {
            Some(Role::Member { point, data }) => {
                found.members.entry(point).or_default().push((data, id, snapshot.time))
            }
            Some(Role::Point(point)) => found.points.push((point, id, snapshot)),
            Some(Role::Keep(point)) => found.keeps.entry(point).or_default().push((id, snapshot)),
            Some(Role::Proven(point)) => found.proofs.entry(point).or_default().push((id, snapshot)),
            None => {}
        }
    }
    found.judge(repository, stack).await
}

/// The snapshots of one kind that say something of a point.
type Marks = HashMap<PointId, Vec<(SnapshotId, Snapshot)>>;

#[derive(Default)]
struct Found {
    members: HashMap<PointId, Vec<(Name, SnapshotId, Timestamp)>>,
    points: Vec<(PointId, SnapshotId, Snapshot)>,
    keeps: Marks,
    proofs: Marks,
    unreadable: Vec<(SnapshotId, String)>,
}

impl Found {
    async fn judge(mut self, repository: &Repository, stack: &Name) -> Result<Points, PointError> {
        let parts: Vec<_> = std::mem::take(&mut self.points)
            .into_iter()
            .map(|(id, snapshot_id, snapshot)| {
                let members = self.members.remove(&id).unwrap_or_default();
                let members = members.into_iter().map(|(data, id, _)| (data, id)).collect();
                let marks = [&mut self.keeps, &mut self.proofs].map(|marks| marks.remove(&id).unwrap_or_default());
                (id, snapshot_id, snapshot, members, marks)
            })
            .collect();
        let mut points: Vec<Point> = stream::iter(parts)
            .map(|(id, snapshot_id, snapshot, members, marks)| {
                point(repository, id, snapshot_id, snapshot, members, marks)
            })
            .buffer_unordered(LOADS)
            .try_collect()
            .await?;
        points.sort_by_key(|point| std::cmp::Reverse((point.time, point.id)));
        let strays = self.members.into_iter().flat_map(|(point, members)| {
            members.into_iter().map(move |(data, snapshot, time)| Stray { snapshot, point, data, time })
        });
        let lost = self.keeps.into_values().chain(self.proofs.into_values());
        let lost_keeps = lost.flatten().map(|(id, _)| id).collect();
        let (stack, strays) = (stack.clone(), strays.collect());
        Ok(Points { stack, points, strays, lost_keeps, unreadable: self.unreadable })
    }
}

async fn point(
    repository: &Repository,
    id: PointId,
    snapshot_id: SnapshotId,
    snapshot: Snapshot,
    members: BTreeMap<Name, SnapshotId>,
    [keeps, proofs]: [Vec<(SnapshotId, Snapshot)>; 2],
) -> Result<Point, PointError> {
    let what = format!("recovery point {id}");
    let read = async {
        let json = document(repository, &snapshot.tree, PointRecord::FILE, &what).await?;
        PointRecord::from_json(&what, &json)
    };
    let (record, state) = match read.await {
        Ok(record) => {
            let state = judge(&record, id, &members);
            (Some(record), state)
        }
        Err(error @ PointError::Newer { .. }) => (None, State::Newer(error.to_string())),
        // Damage is what this point is; anything else ("could not ask") is no verdict on it.
        Err(error) if error.category() == Category::Integrity => (None, State::Broken(chain(&error))),
        Err(error) => return Err(error),
    };
    let (keep, keeps) = strongest_keep(repository, id, keeps).await?;
    let (time, tags) = (snapshot.time, tags_of_people(&snapshot));
    let (proven, proofs) = newest_proof(repository, id, proofs).await?;
    Ok(Point { id, snapshot: snapshot_id, time, state, record, members, tags, keep, keeps, proven, proofs })
}

fn judge(record: &PointRecord, id: PointId, members: &BTreeMap<Name, SnapshotId>) -> State {
    if record.id != id {
        return State::Broken(format!("its record is that of {}", record.id));
    }
    let missing: Vec<&str> = record
        .members
        .iter()
        .filter(|member| members.get(&member.data) != Some(&member.snapshot))
        .map(|member| member.data.as_str())
        .collect();
    if !missing.is_empty() {
        return State::Broken(format!("the snapshot of {} is missing", missing.join(", ")));
    }
    if record.is_whole() { State::Complete } else { State::Partial }
}

fn chain(error: &PointError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The keep that holds longest, and all keeps' snapshots.
async fn strongest_keep(
    repository: &Repository,
    point: PointId,
    keeps: Vec<(SnapshotId, Snapshot)>,
) -> Result<(Option<Keep>, Vec<SnapshotId>), PointError> {
    let ids = keeps.iter().map(|(id, _)| *id).collect();
    let mut strongest: Option<Keep> = None;
    for (_, snapshot) in &keeps {
        let keep = match Keep::read(repository, snapshot, point).await {
            Ok(keep) => keep,
            // What cannot be read keeps for ever: dropping the point would be the worse mistake.
            Err(error) if matches!(error.category(), Category::Integrity | Category::Usage) => Keep {
                format_version: Keep::FORMAT_VERSION,
                point,
                reason: format!("unreadable: {}", chain(&error)),
                until: None,
                time: snapshot.time,
                by: snapshot.username.clone(),
            },
            Err(error) => return Err(error),
        };
        let longer = |former: &Keep| former.until.is_some_and(|a| keep.until.is_none_or(|b| b > a));
        if strongest.as_ref().is_none_or(longer) {
            strongest = Some(keep);
        }
    }
    Ok((strongest, ids))
}

/// The newest drill's mark, and all marks' snapshots.
async fn newest_proof(
    repository: &Repository,
    point: PointId,
    proofs: Vec<(SnapshotId, Snapshot)>,
) -> Result<(Option<Proven>, Vec<SnapshotId>), PointError> {
    let ids = proofs.iter().map(|(id, _)| *id).collect();
    let mut newest: Option<Proven> = None;
    for (id, snapshot) in &proofs {
        let proven = match Proven::read(repository, snapshot, point).await {
            Ok(proven) if proven.point == point => proven,
            // A proof that cannot be read proves nothing; the next drill makes another.
            Ok(_) => continue,
            Err(error) if matches!(error.category(), Category::Integrity | Category::Usage) => {
                tracing::warn!(%error, snapshot = %id, "a drill's mark is passed over");
                continue;
            }
            Err(error) => return Err(error),
        };
        if newest.as_ref().is_none_or(|former| former.time < proven.time) {
            newest = Some(proven);
        }
    }
    Ok((newest, ids))
}

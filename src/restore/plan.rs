//! What a restore brings back, from where, to where. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::RestoreError;
use crate::point::{DataWord, Member, Point, PointId, PointRecord};
use crate::repository::SnapshotId;
use crate::stack::{DataKind, DataSet, Name, Stack};

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every data set's files below `<folder>/<data set>`.
    Folder(PathBuf),
    /// Databases into their server: under their recorded names where the map is empty, else recorded → new name.
    Databases(BTreeMap<String, String>),
    /// In the place of what is live.
    InPlace,
}

/// How it is done.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Also set the roles and users that the server has; otherwise only missing ones are made.
    pub roles: bool,
    /// Go into something that is not empty.
    pub allow_not_empty: bool,
    /// Go live in place although rows point at files that are not there, which the point did not record.
    pub allow_gaps: bool,
}

/// All that a restore needs to know, decided before anything is asked or changed.
#[derive(Debug, Clone)]
pub struct RestorePlan {
    /// Names what the restore makes, for ever: what it keeps is found by it.
    pub run: String,
    pub point: PointId,
    /// The point's own snapshot.
    pub snapshot: SnapshotId,
    pub record: PointRecord,
    /// Databases, then volumes, then caches.
    pub parts: Vec<Part>,
    pub target: Target,
    pub options: Options,
}

/// One data set of the point.
#[derive(Debug, Clone)]
pub struct Part {
    pub member: Member,
    /// How the stack reaches it now; not needed for its files.
    pub set: Option<DataSet>,
}

impl Part {
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.member.data
    }

    /// The stack's data set; every target but a folder has one.
    pub(super) fn kind(&self) -> &DataKind {
        &self.set.as_ref().expect("the plan refuses what the stack does not have").kind
    }
}

/// Plans to bring back the data sets `wanted` of `point`, or all that the target takes.
///
/// # Errors
/// What the point or the stack does not have, and what does not fit the target.
pub fn plan(
    stack: &Stack,
    point: &Point,
    wanted: &[Name],
    target: Target,
    options: Options,
    run: String,
) -> Result<RestorePlan, RestoreError> {
    let record = point.record()?;
    let holds = || record.members.iter().map(|member| member.data.to_string()).collect::<Vec<_>>();
    if let Some(name) = wanted.iter().find(|name| !record.members.iter().any(|member| member.data == **name)) {
        return Err(RestoreError::NotInPoint { name: name.clone(), point: point.id, holds: holds() });
    }
    let fits = |member: &&Member| match (&target, wanted.is_empty()) {
        (Target::Databases(_), true) => member.kind == DataWord::Postgres,
        (_, true) => true,
        (_, false) => wanted.contains(&member.data),
    };
    let chosen = record.members.iter().filter(fits);
    let mut parts = chosen.map(|member| part(stack, point, member, &target)).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| turn(part.member.kind));
    let (id, record) = (point.id, record.clone());
    let plan = RestorePlan { run, point: id, snapshot: point.snapshot, record, parts, target, options };
    plan.refuse_misfits()?;
    Ok(plan)
}

fn part(stack: &Stack, point: &Point, member: &Member, target: &Target) -> Result<Part, RestoreError> {
    if point.members.get(&member.data) != Some(&member.snapshot) {
        return Err(RestoreError::MemberMissing { name: member.data.clone(), point: point.id });
    }
    let set = stack.spec.data.iter().find(|set| set.name == member.data).cloned();
    if matches!(target, Target::Folder(_)) {
        return Ok(Part { member: member.clone(), set });
    }
    match set {
        Some(set) if DataWord::from(&set.kind) == member.kind => Ok(Part { member: member.clone(), set: Some(set) }),
        Some(set) => Err(RestoreError::OtherKind { name: set.name, now: set.kind.word(), then: member.kind.as_str() }),
        None => Err(RestoreError::NotInStack { name: member.data.clone() }),
    }
}

impl RestorePlan {
    fn refuse_misfits(&self) -> Result<(), RestoreError> {
        let Target::Databases(names) = &self.target else { return Ok(()) };
        if let Some(part) = self.parts.iter().find(|part| part.member.kind != DataWord::Postgres) {
            return Err(RestoreError::NoDatabase { name: part.name().clone(), kind: part.member.kind.as_str() });
        }
        if self.parts.is_empty() {
            return Err(RestoreError::NoDatabases { point: self.point });
        }
        if !names.is_empty() && self.parts.len() > 1 {
            let data = self.parts.iter().map(|part| part.name().to_string()).collect();
            return Err(RestoreError::NamesForSeveral { data });
        }
        Ok(())
    }

    /// The data sets in order, by name.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.parts.iter().map(|part| part.name().as_str()).collect()
    }
}

/// Databases first, because they can wait, filled and verified, until all else is; caches last, because they cannot.
fn turn(kind: DataWord) -> u8 {
    match kind {
        DataWord::Postgres => 0,
        DataWord::Volume => 1,
        DataWord::Redis => 2,
    }
}

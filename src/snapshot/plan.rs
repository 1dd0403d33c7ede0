//! What a snapshot takes and in which order. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::SnapshotError;
use crate::point::{DataWord, Member, Point, PointId};
use crate::repository::SnapshotId;
use crate::stack::{DataKind, DataSet, Name, Stack, Tag};

/// What is to be taken.
#[derive(Debug, Clone)]
pub struct SnapshotPlan {
    pub stack: Name,
    /// Databases, then volumes, then caches: no row may point at a file that was not yet there when the files were read.
    pub sets: Vec<DataSet>,
    /// The stack's other data sets: with any, the point is partial.
    pub omitted: Vec<Name>,
    /// Why it is taken, where that is not the usual.
    pub reason: Option<String>,
    /// What people will find it by.
    pub tags: Vec<Tag>,
    /// What it will be called; drawn where nobody has.
    pub point: Option<PointId>,
    /// The run that it is part of, which hooks are told.
    pub run: Option<String>,
    /// What the newest complete point has of each: what is unchanged since is not read again.
    pub former: BTreeMap<Name, Member>,
    /// Read files again that look unchanged.
    pub reread: bool,
    /// That point's own snapshot.
    pub former_point: Option<SnapshotId>,
    /// When that point was taken, by the clock of then.
    pub former_time: Option<Timestamp>,
}

/// Plans a recovery point of the data sets `wanted`, or of all of `stack`'s.
///
/// # Errors
/// `UnknownData` for a name that the stack does not have.
pub fn plan(stack: &Stack, wanted: &[Name], latest: Option<&Point>) -> Result<SnapshotPlan, SnapshotError> {
    let all = &stack.spec.data;
    if let Some(name) = wanted.iter().find(|name| !all.iter().any(|set| set.name == **name)) {
        let known = all.iter().map(|set| set.name.to_string()).collect();
        return Err(SnapshotError::UnknownData { name: name.clone(), known });
    }
    let is_wanted = |set: &&DataSet| wanted.is_empty() || wanted.contains(&set.name);
    let mut sets: Vec<DataSet> = all.iter().filter(is_wanted).cloned().collect();
    sets.sort_by_key(|set| turn(&set.kind));
    let omitted = all.iter().filter(|set| !is_wanted(set)).map(|set| set.name.clone()).collect();
    let same_kind =
        |member: &&Member| sets.iter().any(|set| set.name == member.data && DataWord::from(&set.kind) == member.kind);
    let record = latest.and_then(|point| point.record().ok());
    let members = record.map(|record| record.members.as_slice()).unwrap_or_default();
    let former = members.iter().filter(same_kind).map(|member| (member.data.clone(), member.clone())).collect();
    Ok(SnapshotPlan {
        stack: stack.name.clone(),
        sets,
        omitted,
        reason: None,
        tags: Vec::new(),
        point: None,
        run: None,
        former,
        reread: false,
        former_point: latest.map(|point| point.snapshot),
        former_time: latest.map(|point| point.time),
    })
}

fn turn(kind: &DataKind) -> u8 {
    match kind {
        DataKind::Postgres(_) => 0,
        DataKind::Volume(_) => 1,
        DataKind::Redis(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn stack() -> Stack {
        let text = "{apiVersion: drydock.dev/v1alpha1, kind: Stack, metadata: {name: shop}, spec: {repository: {location: /b, \
            password: {fromFile: p}}, data: [{name: cache, redis: {host: h}}, {name: uploads, volume: {path: /u}}, \
            {name: db, postgres: {host: h, user: u, database: d}}]}}";
        Stack::parse(Path::new("stack.yaml"), Path::new("/"), text).unwrap()
    }

    fn names(sets: &[DataSet]) -> Vec<&str> {
        sets.iter().map(|set| set.name.as_str()).collect()
    }

    #[test]
    fn databases_come_before_files_and_caches_last() {
        let plan = plan(&stack(), &[], None).unwrap();
        assert_eq!(names(&plan.sets), ["db", "uploads", "cache"]);
        assert!(plan.omitted.is_empty());
    }

    #[test]
    fn a_selection_says_what_it_leaves_out() {
        let plan = plan(&stack(), &["cache".parse().unwrap(), "db".parse().unwrap()], None).unwrap();
        assert_eq!(names(&plan.sets), ["db", "cache"]);
        assert_eq!(plan.omitted, ["uploads".parse().unwrap()]);
    }

    #[test]
    fn a_name_that_is_not_there_is_refused_with_those_that_are() {
        let error = super::plan(&stack(), &["bd".parse().unwrap()], None).unwrap_err();
        assert_eq!(error.to_string(), "the stack has no data set `bd`; it has cache, uploads, db");
    }
}

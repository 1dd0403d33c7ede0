//! What a drill restores, where to, and what it asks there. Pure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::DrillError;
use crate::point::{DataWord, Member, Point, PointId, PointRecord};
use crate::repository::SnapshotId;
use crate::stack::{Assertion, DataKind, Name, Objectives, PostgresSpec, RedisSpec, Stack};

/// How sandboxes' folders begin; twelve hex digits of the run's SHA-256 follow.
pub(super) const FOLDER: &str = "drydock-drill-";
/// A query that takes longer than a minute is more than a look.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only these data sets; such a drill proves no point.
    pub data: Vec<Name>,
    /// Leave the sandbox for a person to look at.
    pub keep: bool,
}

/// All that a drill needs to know, decided before anything is asked or made.
#[derive(Debug, Clone)]
pub struct DrillPlan {
    pub run: String,
    pub stack: Name,
    pub point: PointId,
    /// The point's own snapshot.
    pub snapshot: SnapshotId,
    pub record: PointRecord,
    /// Databases, then volumes, then caches: as a restore takes them.
    pub parts: Vec<Part>,
    /// Every data set of a complete point: only such a drill proves it, and only its time is a recovery's.
    pub is_whole: bool,
    pub asked: Vec<Asked>,
    /// Assertions that are not asked, because their data set is not drilled, and why.
    pub not_asked: Vec<String>,
    /// Where sandboxes are made.
    pub root: PathBuf,
    pub keep: bool,
    pub fsync: bool,
    pub statement_timeout: Duration,
    pub objectives: Objectives,
}

/// One data set of the point.
#[derive(Debug, Clone)]
pub struct Part {
    pub member: Member,
    /// How the stack describes it now, where it still has it as what it was: which programs to use.
    pub kind: Option<DataKind>,
    /// Its folder's name in the sandbox: short, because a socket's path is.
    pub place: String,
}

/// One assertion to be asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub assertion: Assertion,
    /// The instant that the asked data stands for.
    pub instant: Timestamp,
}

impl Part {
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.member.data
    }

    pub(super) fn postgres(&self) -> Option<&PostgresSpec> {
        match &self.kind {
            Some(DataKind::Postgres(spec)) => Some(spec),
            _ => None,
        }
    }

    pub(super) fn redis(&self) -> Option<&RedisSpec> {
        match &self.kind {
            Some(DataKind::Redis(spec)) => Some(spec),
            _ => None,
        }
    }
}

impl DrillPlan {
    /// The sandbox's folder: whoever knows the run finds it.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        folder_of(&self.root, &self.run)
    }
}

pub(super) fn folder_of(root: &Path, run: &str) -> PathBuf {
    root.join(format!("{FOLDER}{}", &hex::encode(Sha256::digest(run))[..12]))
}

/// Plans to drill the data sets of `point` that `options` names, or all; `temporary` is where sandboxes are made unless
/// the document says otherwise.
///
/// # Errors
/// What the point does not have.
pub fn plan(
    stack: &Stack,
    point: &Point,
    options: Options,
    run: String,
    temporary: PathBuf,
) -> Result<DrillPlan, DrillError> {
    let record = point.record()?.clone();
    let holds = || record.members.iter().map(|member| member.data.to_string()).collect();
    if let Some(name) = options.data.iter().find(|name| !record.members.iter().any(|m| m.data == **name)) {
        return Err(DrillError::NotInPoint { name: name.clone(), point: point.id, holds: holds() });
    }
    let wanted = |member: &&Member| options.data.is_empty() || options.data.contains(&member.data);
    let mut members: Vec<&Member> = record.members.iter().filter(wanted).collect();
    members.sort_by_key(|member| turn(member.kind));
    if let Some(gone) = members.iter().find(|m| point.members.get(&m.data) != Some(&m.snapshot)) {
        return Err(DrillError::MemberMissing { name: gone.data.clone(), point: point.id });
    }
    let parts: Vec<Part> = members.iter().enumerate().map(|(n, member)| part(stack, member, n)).collect();
    let is_whole = point.is_complete() && parts.len() == record.members.len();
    let (asked, not_asked) = assertions(stack, &record, &parts, is_whole);
    let drill = &stack.spec.drill;
    Ok(DrillPlan {
        run,
        stack: stack.name.clone(),
        point: point.id,
        snapshot: point.snapshot,
        parts,
        is_whole,
        asked,
        not_asked,
        root: drill.folder.clone().unwrap_or(temporary),
        keep: options.keep,
        fsync: drill.fsync,
        statement_timeout: drill.statement_timeout.unwrap_or(STATEMENT_TIMEOUT),
        objectives: stack.spec.objectives,
        record,
    })
}

fn part(stack: &Stack, member: &Member, n: usize) -> Part {
    let now = stack.spec.data.iter().find(|set| set.name == member.data).map(|set| &set.kind);
    let kind = now.filter(|kind| DataWord::from(*kind) == member.kind).cloned();
    Part { member: member.clone(), kind, place: format!("{}{n}", member.kind.as_str()) }
}

fn assertions(stack: &Stack, record: &PointRecord, parts: &[Part], is_whole: bool) -> (Vec<Asked>, Vec<String>) {
    let (mut asked, mut not_asked) = (Vec::new(), Vec::new());
    for assertion in &stack.spec.drill.assertions {
        let instant = match assertion.data() {
            Some(name) => parts.iter().find(|part| part.name() == name).map(|part| part.member.instant),
            None => is_whole.then(|| record.oldest_instant()),
        };
        match (instant, assertion.data()) {
            (Some(instant), _) => asked.push(Asked { assertion: assertion.clone(), instant }),
            (None, Some(name)) => not_asked.push(format!("{} of {name}, which is not drilled", assertion.word())),
            (None, None) => not_asked.push(format!("{}, which needs all data sets", assertion.word())),
        }
    }
    (asked, not_asked)
}

/// As a restore takes them: databases first, caches last.
fn turn(kind: DataWord) -> u8 {
    match kind {
        DataWord::Postgres => 0,
        DataWord::Volume => 1,
        DataWord::Redis => 2,
    }
}

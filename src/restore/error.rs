use std::fmt;

use super::kept::Ended;
use super::report::SetAside;
use crate::data::DataError;
use crate::data::postgres::restore as postgres;
use crate::data::references::ReferenceError;
use crate::evidence::EvidenceError;
use crate::failure::{Category, Failure};
use crate::hook::HookError;
use crate::point::{PointError, PointId};
use crate::repository::RepositoryError;
use crate::run::RunError;
use crate::snapshot::SnapshotError;
use crate::stack::Name;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("recovery point {point} holds no data set `{name}`; it holds {}", holds.join(", "))]
    NotInPoint { name: Name, point: PointId, holds: Vec<String> },
    #[error("the snapshot of `{name}` in recovery point {point} is missing")]
    MemberMissing { name: Name, point: PointId },
    #[error("the stack has no data set `{name}` to restore into")]
    NotInStack { name: Name },
    #[error("the stack's data set `{name}` is a {now}, in the recovery point it was a {then}")]
    OtherKind { name: Name, now: &'static str, then: &'static str },
    #[error("the data set `{name}` is a {kind}, which is no database")]
    NoDatabase { name: Name, kind: &'static str },
    #[error("recovery point {point} holds no database")]
    NoDatabases { point: PointId },
    #[error("new database names are given for several data sets: {}", data.join(", "))]
    NamesForSeveral { data: Vec<String> },
    #[error("cannot restore the data set `{data}`; {left}")]
    Data { data: Name, run: String, safety_point: Option<PointId>, left: Left, source: Box<DataError> },
    #[error("the folder {folder} has a name that is no UTF-8, so no run can be told of it")]
    FolderName { folder: String },
    #[error("what the restore {run} had made of `{data}` is not there any more, or not its own")]
    CopyGone { data: Name, run: String },
    /// Something differs, and what was replaced before it could not be brought back.
    #[error("{what} differs from what was recorded; {left}")]
    Differs { what: String, run: String, safety_point: Option<PointId>, left: Left },
    #[error("cannot write the journal of the restore {run}; {left}")]
    Journal { run: String, safety_point: Option<PointId>, left: Left, source: Box<RunError> },
    #[error("cannot go on with the restore {run}; {left}")]
    Halted { run: String, safety_point: Option<PointId>, left: Left, source: Box<RestoreError> },
    #[error("the safety recovery point {point} is gone")]
    SafetyGone { point: PointId },
    #[error("the restore {run} was ended by {by}; {left}")]
    Abandoned { run: String, by: String, left: Left },
    #[error("what the restore {run} had made live of `{data}` is not live any more")]
    TakenBack { data: Name, run: String },
    #[error("the restore {run} cannot be understood: {reason}")]
    Unreadable { run: String, reason: String },
    #[error("the restore {run} was cut short, and what is live may be a mixture")]
    Unfinished { run: String },
    #[error("the cache `{data}` differs from what was recorded: {first}")]
    CacheDiffers { data: Name, first: String },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot look for what restores have left in `{data}`")]
    Look { data: Name, source: Box<DataError> },
    #[error("the restore of `{data}` would be refused")]
    Refused { data: Name, source: Box<DataError> },
    #[error("cannot undo what a killed restore has left in `{data}`")]
    Mend { data: Name, source: Box<DataError> },
    #[error("cannot take the safety recovery point; nothing was changed")]
    Safety(#[source] Box<SnapshotError>),
    #[error("cannot compare the rows of {reference} with their files; {left}")]
    References {
        reference: &'static str,
        run: String,
        safety_point: Option<PointId>,
        left: Left,
        source: Box<ReferenceError>,
    },
    #[error("no data set has anything of the run `{run}`")]
    NoSuchRun { run: String },
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// All else is done.
    #[error("all is restored and as recorded, but the evidence of the restore {run} could not be left")]
    NoEvidence { run: String, source: Box<EvidenceError> },
    #[error("all is restored and as recorded, but the restore {run} could not let go of it")]
    NotReleased { run: String, source: Box<DataError> },
}

/// What a restore that failed has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// It failed before the first data set was replaced.
    Untouched,
    /// What had been replaced was brought back.
    Back {
        run: String,
        /// What it had been replaced by, where that was live.
        set_aside: Vec<SetAside>,
    },
    /// All of it is live and as recorded; only its end could not be written down.
    Live,
    /// Something could not be brought back, and why.
    Open(String),
    /// Of one beside what is live: what it had made is gone again.
    Removed {
        /// It wrote into folders that held something, which nobody can tell apart any more.
        among: bool,
    },
    /// Of one beside what is live: something that it had made could not be removed, and why.
    Remains(String),
}

impl Left {
    pub(super) fn back(run: &str, ended: Vec<Ended>) -> Self {
        Self::Back { run: run.to_owned(), set_aside: ended.into_iter().flat_map(|one| one.set_aside).collect() }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untouched => f.write_str("nothing live was changed"),
            Self::Back { run, set_aside } => {
                f.write_str("what had been replaced before was brought back, all is as it was")?;
                if !set_aside.is_empty() {
                    let listed: Vec<String> = set_aside.iter().map(ToString::to_string).collect();
                    let listed = listed.join(", ");
                    write!(
                        f,
                        "; set aside, for applications may have written to it: {listed}; once nothing of it is needed: \
                         `drydock restore -f FILE --discard {run}`"
                    )?;
                }
                Ok(())
            }
            Self::Live => f.write_str("all of it is live and as recorded; the next command writes down that it is"),
            Self::Open(why) => write!(f, "what is live may be a mixture, which could not be brought back ({why})"),
            Self::Removed { among: false } => f.write_str("what it had made is removed again"),
            Self::Removed { among: true } => {
                f.write_str("what it had made is removed again, but for what it wrote among what was there before")
            }
            Self::Remains(why) => write!(f, "not all that it had made could be removed ({why})"),
        }
    }
}

/// A failure that leaves a mixture needs a person, whatever it was.
fn in_place_category(left: &Left, category: Category) -> Category {
    if matches!(left, Left::Open(_) | Left::Remains(_)) { Category::NeedsOperator } else { category }
}

fn in_place_hint(run: &str, safety_point: Option<&PointId>, left: &Left, hint: Option<String>) -> Option<String> {
    if matches!(left, Left::Remains(_)) {
        return Some(format!("when the cause is gone: `drydock runs undo {run} -f FILE` removes it"));
    }
    if !matches!(left, Left::Open(_)) {
        return hint;
    }
    let safety = safety_point.map(|point| format!("; what was live is also in recovery point {point}"));
    Some(format!(
        "when the cause is gone: `drydock restore -f FILE --undo {run}` brings what was live back, `--resume {run}` goes \
         on where everything was swapped already{}",
        safety.unwrap_or_default()
    ))
}

/// A database that went live and could not be proved is live no more: what its error says of that does not hold then, and
/// trying again is all that is to be done.
fn was_unproven(source: &DataError, left: &Left) -> bool {
    let is_unproven = |error: &postgres::RestoreError| matches!(error, postgres::RestoreError::Unproven { .. });
    match source {
        DataError::PostgresRestore(error) if matches!(left, Left::Back { .. }) => match error {
            postgres::RestoreError::Left { source, .. } => is_unproven(source),
            error => is_unproven(error),
        },
        _ => false,
    }
}

impl Failure for RestoreError {
    fn category(&self) -> Category {
        match self {
            Self::NotInPoint { .. }
            | Self::NotInStack { .. }
            | Self::OtherKind { .. }
            | Self::NoDatabase { .. }
            | Self::NoDatabases { .. }
            | Self::NamesForSeveral { .. }
            | Self::FolderName { .. }
            | Self::NoSuchRun { .. } => Category::Usage,
            Self::MemberMissing { .. } => Category::Integrity,
            Self::Refused { source, .. } | Self::Mend { source, .. } | Self::Look { source, .. } => source.category(),
            Self::Data { left, source, .. } if was_unproven(source, left) => Category::Unavailable,
            Self::Data { left, source, .. } => in_place_category(left, source.category()),
            Self::Differs { left, .. } => in_place_category(left, Category::Integrity),
            Self::Journal { left, source, .. } => in_place_category(left, source.category()),
            Self::Unfinished { .. } | Self::TakenBack { .. } | Self::Unreadable { .. } => Category::NeedsOperator,
            Self::CopyGone { .. } => Category::NeedsOperator,
            Self::SafetyGone { .. } => Category::Integrity,
            Self::Abandoned { left, .. } => in_place_category(left, Category::Interrupted),
            Self::Halted { left, source, .. } => in_place_category(left, source.category()),
            Self::CacheDiffers { .. } => Category::Integrity,
            Self::Run(error) => error.category(),
            Self::Safety(source) => source.category(),
            Self::References { left, source, .. } => in_place_category(left, source.category()),
            Self::Point(error) => error.category(),
            Self::Repository(error) => error.category(),
            Self::Hook(error) => error.category(),
            Self::Evidence(error) => error.category(),
            Self::NoEvidence { .. } | Self::NotReleased { .. } => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotInStack { .. } | Self::OtherKind { .. } => {
                Some("its files can be had with `drydock restore -f FILE --to DIR`".into())
            }
            Self::MemberMissing { .. } => Some("restore the others with --data, or choose another point".into()),
            Self::NoDatabase { .. } => Some("use --in-place, or --to DIR for its files".into()),
            Self::NamesForSeveral { .. } => Some("choose one with --data".into()),
            Self::References { run, safety_point, left, source, .. } => {
                in_place_hint(run, safety_point.as_ref(), left, source.hint())
            }
            Self::Data { run, safety_point, left, source, .. } => {
                let hint = if was_unproven(source, left) { None } else { source.hint() };
                in_place_hint(run, safety_point.as_ref(), left, hint)
            }
            Self::Differs { run, safety_point, left, .. } => in_place_hint(run, safety_point.as_ref(), left, None),
            Self::Journal { run, safety_point, left, source } => {
                in_place_hint(run, safety_point.as_ref(), left, source.hint())
            }
            Self::Halted { run, safety_point, left, source } => {
                in_place_hint(run, safety_point.as_ref(), left, source.hint())
            }
            Self::Unreadable { .. } => Some("a newer drydock began it: use that one to bring it to its end".into()),
            Self::TakenBack { .. } | Self::SafetyGone { .. } | Self::CopyGone { .. } => None,
            Self::FolderName { .. } => Some("choose another folder".into()),
            Self::Abandoned { run, left, .. } => in_place_hint(run, None, left, None),
            Self::Unfinished { run } => {
                Some(format!("bring it to its end first: `drydock restore -f FILE --resume {run}`, or `--undo {run}`"))
            }
            Self::Run(error) => error.hint(),
            Self::NoSuchRun { .. } => Some("see what there is with `drydock restore -f FILE --list`".into()),
            Self::Safety(source) => Some(source.hint().unwrap_or_else(|| {
                "restore beside what is live instead: `--to DIR`, or `--to-database NEW` for a database".into()
            })),
            Self::Refused { source, .. } | Self::Mend { source, .. } | Self::Look { source, .. } => source.hint(),
            Self::Point(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Hook(error) => error.hint(),
            Self::Evidence(error) => error.hint(),
            Self::NoEvidence { run, .. } | Self::NotReleased { run, .. } => {
                Some(format!("when the cause is gone: `drydock runs resume {run} -f FILE` brings it to its end"))
            }
            Self::NotInPoint { .. } | Self::NoDatabases { .. } | Self::CacheDiffers { .. } => None,
        }
    }
}

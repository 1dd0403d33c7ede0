use crate::data::DataError;
use crate::data::references::ReferenceError;
use crate::failure::{Category, Failure};
use crate::point::{PointError, PointId};
use crate::repository::RepositoryError;
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
    #[error("cannot restore the data set `{data}`; {}", state(done, *live))]
    Data {
        data: Name,
        /// What was restored before it.
        done: Vec<Name>,
        /// Whether `done` are live, or files and databases beside.
        live: bool,
        source: Box<DataError>,
    },
    #[error("the restore of `{data}` would be refused")]
    Refused { data: Name, source: Box<DataError> },
    #[error("cannot undo what a killed restore has left in `{data}`")]
    Mend { data: Name, source: Box<DataError> },
    #[error("cannot take the safety recovery point; nothing was changed")]
    Safety(#[source] Box<SnapshotError>),
    #[error("all is restored and live, but the rows of {reference} could not be compared with their files")]
    References { reference: &'static str, source: Box<ReferenceError> },
    #[error("no data set has anything of the run `{run}`")]
    NoSuchRun { run: String },
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

fn state(done: &[Name], live: bool) -> String {
    let names: Vec<&str> = done.iter().map(Name::as_str).collect();
    match (done.is_empty(), live) {
        (true, true) => "nothing live was changed".into(),
        (true, false) => "nothing else was restored before it".into(),
        (false, true) => format!("restored and live already: {}", names.join(", ")),
        (false, false) => format!("restored before it: {}", names.join(", ")),
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
            | Self::NoSuchRun { .. } => Category::Usage,
            Self::MemberMissing { .. } => Category::Integrity,
            Self::Data { source, .. } | Self::Refused { source, .. } | Self::Mend { source, .. } => source.category(),
            Self::Safety(source) => source.category(),
            Self::References { source, .. } => source.category(),
            Self::Point(error) => error.category(),
            Self::Repository(error) => error.category(),
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
            Self::References { source, .. } => source.hint(),
            Self::NoSuchRun { .. } => Some("see what there is with `drydock restore -f FILE --list`".into()),
            Self::Safety(source) => Some(source.hint().unwrap_or_else(|| {
                "restore beside what is live instead: `--to DIR`, or `--to-database NEW` for a database".into()
            })),
            Self::Data { source, .. } | Self::Refused { source, .. } | Self::Mend { source, .. } => source.hint(),
            Self::Point(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::NotInPoint { .. } | Self::NoDatabases { .. } => None,
        }
    }
}

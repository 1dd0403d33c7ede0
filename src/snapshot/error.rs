use jiff::Timestamp;

use crate::data::DataError;
use crate::data::references::ReferenceError;
use crate::failure::{Category, Failure};
use crate::hook::HookError;
use crate::point::PointError;
use crate::repository::RepositoryError;
use crate::run::RunError;
use crate::stack::Name;

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the stack has no data set `{name}`; it has {}", known.join(", "))]
    UnknownData { name: Name, known: Vec<String> },
    #[error("cannot take a snapshot of the data set `{data}`; there is no recovery point")]
    Data { data: Name, source: Box<DataError> },
    #[error("cannot estimate the data set `{data}`")]
    Estimate { data: Name, source: Box<DataError> },
    #[error("cannot compare the rows of {reference} with their files; there is no recovery point")]
    References { reference: &'static str, source: Box<ReferenceError> },
    #[error("the folder of `{data}` may be a mixture: the in-place restore {run} was cut short")]
    Unfinished { data: Name, run: String },
    #[error("what is live may be a mixture: the in-place restore {run} was cut short")]
    Mixture { run: String },
    #[error("{0}; there is no recovery point")]
    Hook(#[source] Box<HookError>),
    /// Something failed, and then a hook that was to put things right.
    #[error("{first}; besides, {hook}")]
    AlsoHook {
        #[source]
        first: Box<SnapshotError>,
        hook: Box<HookError>,
    },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(
        "this machine's clock says {machine:.0}, the store's {store:.0}; there is no recovery point, because its date would be wrong for ever"
    )]
    Clock { machine: Timestamp, store: Timestamp },
    #[error("{what} reads back other than it was written ({how}); there is no recovery point")]
    NotAsWritten { what: String, how: String },
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<HookError> for SnapshotError {
    fn from(error: HookError) -> Self {
        Self::Hook(Box::new(error))
    }
}

impl Failure for SnapshotError {
    fn category(&self) -> Category {
        match self {
            Self::UnknownData { .. } => Category::Usage,
            Self::Data { source, .. } | Self::Estimate { source, .. } => source.category(),
            Self::References { source, .. } => source.category(),
            Self::Unfinished { .. } | Self::Mixture { .. } => Category::NeedsOperator,
            Self::Hook(error) => error.category(),
            Self::AlsoHook { first, .. } => first.category(),
            Self::Run(error) => error.category(),
            Self::Clock { .. } => Category::Unavailable,
            Self::NotAsWritten { .. } => Category::Integrity,
            Self::Point(error) => error.category(),
            Self::Repository(error) => error.category(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownData { .. } => None,
            Self::Data { source, .. } | Self::Estimate { source, .. } => source.hint(),
            Self::References { source, .. } => source.hint(),
            Self::Hook(error) => error.hint(),
            Self::AlsoHook { first, hook } => first.hint().or_else(|| hook.hint()),
            Self::Run(error) => error.hint(),
            Self::Unfinished { run, .. } | Self::Mixture { run } => {
                Some(format!("bring it to its end first: `drydock restore -f FILE --resume {run}`, or `--undo {run}`"))
            }
            Self::Clock { .. } => {
                Some("set the clock that is wrong, best by NTP, and run the same command again".into())
            }
            Self::NotAsWritten { .. } => Some(
                "test this machine's memory and the store; then look with `drydock check -f FILE --read-data`".into(),
            ),
            Self::Point(error) => error.hint(),
            Self::Repository(error) => error.hint(),
        }
    }
}

//! The durable record of an operation that changes live data: append-only journals in the store, outside of what the
//! operation may damage. Owns what is written and what it adds up to; refuses to know how a step is done or undone:
//! those are the verbs'.

mod event;
mod journal;

use crate::failure::{Category, Failure};
use crate::storage::StorageError;

pub use event::{DatabaseRecord, Event, SetRecord, Stage, State, Swapped};
pub use journal::{Journal, all, open};

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot read or write the journal of the run {run}")]
    Store { run: String, source: StorageError },
    #[error("cannot list the journals of earlier runs")]
    List { source: StorageError },
    #[error("the journal of the run {run} cannot be understood: {reason}")]
    Damaged { run: String, reason: String },
    #[error("another process is at the run {run}")]
    Contended { run: String },
}

impl Failure for RunError {
    fn category(&self) -> Category {
        match self {
            Self::Store { source, .. } | Self::List { source } => source.category(),
            Self::Damaged { .. } => Category::NeedsOperator,
            Self::Contended { .. } => Category::Locked,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store { source, .. } | Self::List { source } => source.hint(),
            Self::Damaged { run, .. } => Some(format!("look at `runs/{run}/` in the store, beside `repository/`")),
            Self::Contended { .. } => Some("wait for it to end".into()),
        }
    }
}

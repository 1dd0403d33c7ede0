//! The durable engine: a frozen [`Plan`], an append-only journal, and what both add up to. Owns the order of record and
//! deed, and what follows a crash; refuses to know what a step does: steps are the verbs'.
//!
//! A run is led by [`decide`] alone, over a [`State`] that is folded from the journal; beginning and going on after a
//! crash are the same path.

pub mod cancel;
mod decide;
mod engine;
mod event;
pub mod journal;
mod leaders;
mod lease;
mod plan;
pub mod restores;
mod state;
mod step;
mod stop;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::failure::{Category, Failure};
use crate::storage::StorageError;

pub use decide::{Decision, decide};
pub use engine::{Engine, Left};
pub use event::{Entry, Event, FORMAT_VERSION, Failed, Outcome};
pub use journal::{Journal, Journals};
pub use leaders::{Leader, leaders};
pub use lease::{Held, Lease, Scope, TTL};
pub use plan::{ENGINE_VERSION, Phase, Plan, PlannedStep, RunId, StepKind};
pub use state::{Stage, State, StepState};
pub use step::{Probe, Step, StepError, Steps};
pub use stop::{Stop, Why};

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot read or write the journal of the run {run}")]
    Store { run: String, source: StorageError },
    #[error("cannot list the journals of earlier runs")]
    List { source: StorageError },
    #[error("cannot read or write the journal of the run {run}")]
    File { run: String, source: std::io::Error },
    #[error("cannot list the journals in {}", folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("the journal of the run {run} cannot be understood: {reason}")]
    Damaged { run: String, reason: String },
    #[error("another process is at the run {run}")]
    Contended { run: String },
    #[error("{holder} is at the run {run}")]
    Held { holder: String, run: String },
    #[error("cannot read or write who may act on the stack")]
    Lease { source: StorageError },
    #[error("cannot understand who may act on the stack: {key}: {reason}")]
    LeaseDamaged { key: String, reason: String },
    #[error("the right to act was lost: another process leads the run {run} now")]
    Lost { run: String },
}

impl Failure for RunError {
    fn category(&self) -> Category {
        match self {
            Self::Store { source, .. } | Self::List { source } | Self::Lease { source } => source.category(),
            Self::File { .. } | Self::Folder { .. } => Category::Unavailable,
            Self::Damaged { .. } | Self::LeaseDamaged { .. } => Category::NeedsOperator,
            Self::Lost { .. } => Category::LeaseLost,
            Self::Contended { .. } | Self::Held { .. } => Category::Locked,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store { source, .. } | Self::List { source } | Self::Lease { source } => source.hint(),
            Self::File { .. } | Self::Folder { .. } => Some("look at the disk's space and the folder's owner".into()),
            Self::Lost { .. } => None,
            Self::LeaseDamaged { key, .. } => Some(format!("look at `{key}` in the store, beside `repository/`")),
            Self::Damaged { run, .. } => Some(format!("look at `runs/{run}/` in the store, beside `repository/`")),
            Self::Contended { .. } | Self::Held { .. } => Some("wait for it to end".into()),
        }
    }
}

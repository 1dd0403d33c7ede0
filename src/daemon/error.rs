//! What ends the daemon, or keeps it from beginning.

use std::net::SocketAddr;

use crate::failure::{Category, Failure};
use crate::point::PointError;
use crate::schedule::LoadError;
use crate::stack::{DocumentError, Name};
use crate::storage::StorageError;

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Stack(#[from] DocumentError),
    #[error(transparent)]
    Schedules(#[from] LoadError),
    #[error("the document is of the stack `{found}`, this daemon serves `{serves}`")]
    OtherStack { found: Name, serves: Name },
    #[error("the document names another `location` than the one that this daemon serves")]
    OtherLocation,
    #[error(transparent)]
    Home(#[from] PointError),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot be told of signals")]
    Signals { source: std::io::Error },
    #[error("cannot find out whether the store keeps two daemons apart")]
    Probe { source: StorageError },
    #[error("{holder} runs a daemon on this stack, and the store does not keep two apart: {why}")]
    SecondDaemon { holder: String, why: &'static str },
    #[error("cannot read or write who runs the daemon of this stack")]
    Presence { source: StorageError },
    #[error("`{task}`, a part of the daemon, ended by itself: {why}")]
    TaskEnded { task: &'static str, why: String },
}

impl Failure for DaemonError {
    fn category(&self) -> Category {
        match self {
            Self::Stack(error) => error.category(),
            Self::Schedules(error) => error.category(),
            Self::Home(error) => error.category(),
            Self::OtherStack { .. } | Self::OtherLocation => Category::Usage,
            Self::Listen { .. } | Self::Signals { .. } => Category::Unavailable,
            Self::Probe { source } | Self::Presence { source } => source.category(),
            Self::SecondDaemon { .. } => Category::Locked,
            Self::TaskEnded { .. } => Category::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Stack(error) => error.hint(),
            Self::Schedules(error) => error.hint(),
            Self::Home(error) => error.hint(),
            Self::Probe { source } | Self::Presence { source } => source.hint(),
            Self::OtherStack { .. } => Some("start another daemon for the other stack".into()),
            Self::OtherLocation => Some("stop the daemon and start it with that document".into()),
            Self::Listen { .. } => Some("say another address: `--listen 127.0.0.1:9633`".into()),
            Self::SecondDaemon { .. } => Some(
                "stop that daemon first, or use a store that honours create-if-absent (`drydock doctor` tells)".into(),
            ),
            Self::Signals { .. } => None,
            Self::TaskEnded { .. } => {
                Some("start it again: runs that were cut off are taken up; and report this".into())
            }
        }
    }
}

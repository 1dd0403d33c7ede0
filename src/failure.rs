//! What kind of failure an error is: the one place that maps a category to exit code and retry.
//! Every module's error says its [`Category`] and, where there is one, the operator's next move.

use std::error::Error;

use serde::{Deserialize, Serialize};

/// The kinds of failure that operators, scripts and alerts tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// A defect of drydock itself.
    Bug,
    /// What the user wrote cannot be done: command line, document, target.
    Usage,
    /// Done, but something is to be known: recorded reference gaps, a file that never held still.
    Warnings,
    /// There is no repository at the location.
    RepositoryMissing,
    /// Another process holds a lock that excludes this one.
    Locked,
    /// No key of the repository opens with this password.
    WrongPassword,
    /// Bytes are not what was recorded: damage, tampering, or a restore that differs.
    Integrity,
    /// The drill's assertions or comparisons failed.
    DrillFailed,
    /// Verified, but later than the objective allows.
    ObjectiveMissed,
    /// A person has to decide.
    NeedsOperator,
    /// The right to act on the stack was lost.
    LeaseLost,
    /// A server, store or disk cannot serve now; the same command may work later.
    Unavailable,
    /// Cancelled by a signal or `--timeout`; safe to run again.
    Interrupted,
}

impl Category {
    /// The process's exit code; stable for ever.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Warnings => 3,
            Self::RepositoryMissing => 10,
            Self::Locked => 11,
            Self::WrongPassword => 12,
            Self::Integrity => 20,
            Self::DrillFailed => 21,
            Self::ObjectiveMissed => 22,
            Self::NeedsOperator => 30,
            Self::LeaseLost => 31,
            Self::Unavailable => 75,
            Self::Interrupted => 130,
        }
    }
}

/// An error that knows its three readers: the operator (Display and `hint`), the script and the cluster (`category`).
pub trait Failure: Error {
    fn category(&self) -> Category;

    /// The next move, as a command or a sentence; none where the message says it all.
    fn hint(&self) -> Option<String> {
        None
    }
}

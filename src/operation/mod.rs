//! Every operation as a run: request → right to act → what was cut off → plan → journal → engine. Owns that nothing is done
//! to a stack by two at once, that what a crash left is brought to its end first, and that whoever asks is told what came
//! of it; what an operation's steps do is its verb's.
//!
//! The command line and the daemon come in by the same door, [`lead`].

mod check;
mod deploy;
mod drill;
mod error;
mod forget;
mod lead;
mod prune;
mod request;
mod restore;
mod restore_end;
mod snapshot;
mod take_up;
mod work;

pub use crate::run::cancel::cancel;
pub use deploy::DeployRequest;
pub use error::OperationError;
pub use lead::{Led, Order, Said, lead};
pub use prune::Pruned;
pub use request::{DrillRequest, Request, RestoreRequest, SnapshotRequest};
pub use restore::learned;
pub use restore_end::{EndRestore, With, end_restore};
pub use take_up::{Found, TakenUp, take_up};
pub use work::{How, Report, Work, of as work};

use jiff::Timestamp;

use crate::point::{Home, PointId};
use crate::run::{Journals, RunId, journal};
use crate::stack::Name;

/// The journals of a stack's runs.
#[must_use]
pub fn journals(home: &Home) -> Box<dyn Journals> {
    journal::of(&home.stack, &home.store)
}

/// What a run that a person asks for is called: `<kind>-<stack>-<UTC>-<random>`.
///
/// # Panics
/// Never: names of stacks and operations are what ids are made of.
#[must_use]
pub fn run_id(operation: &str, stack: &Name, now: Timestamp) -> RunId {
    let id = format!("{operation}-{stack}-{}-{}", now.strftime("%Y%m%dt%H%M%Sz"), PointId::random().short());
    id.parse().expect("names of stacks and operations are lower-case letters, digits and dashes")
}

/// Who asks, for the journal: `root@papg-0`.
#[must_use]
pub fn asker() -> String {
    let process = crate::process::Process::this();
    format!("{}@{}", process.username, process.host)
}

#[cfg(test)]
mod tests;

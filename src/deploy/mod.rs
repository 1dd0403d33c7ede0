//! Brings a release into the cluster: read → order → check → apply a phase → migrate → roll → wait for it to be healthy → the
//! next → prune.
//! Owns what a release is and the order of all that; how an object is applied and when it is healthy is `cluster`'s. A step
//! that fails leaves what was applied: the next deploy, or a rollback, goes on from there.

mod apply;
mod error;
mod migrate;
mod migrating;
mod order;
mod others;
mod plan;
mod prune;
mod read;
mod release;
mod rephase;
mod stray;
mod wait;
mod work;

pub use error::DeployError;
pub use migrating::{Migrating, Need, judge, migrating};
pub use order::{bears_data, wave};
pub use others::leave_to_them;
pub use plan::{PhaseMigrations, Stage, Told, phases};
pub use read::{read_folder, read_stream};
pub use release::{Release, ReleasePhase};
pub use rephase::rephased;
pub use stray::{check, problems};
pub use work::{Deployed, MigrationDone, PhaseDone, Trouble, Work, acting};

#[cfg(test)]
mod tests;

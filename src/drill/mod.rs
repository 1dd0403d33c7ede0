//! Restores a recovery point into a throw-away sandbox, verifies and measures it, and throws the sandbox away. Owns the
//! order choose → room → provision → fill → verify → references → assert → measure → leave → discard; what each data set
//! does at each step lives in `data/`. Refuses to touch anything live: a drill reads the repository and its own sandbox.
//!
//! Every step can be called alone, and again: a sandbox's folder follows from the run, a file in it says whose it is, and
//! each step begins by making anew what an attempt before it may have left.

pub mod asserts;
mod choose;
mod discard;
mod error;
pub mod evidence;
mod fill;
mod leave;
mod measure;
mod owner;
mod plan;
mod preview;
mod process;
mod provision;
mod references;
mod report;
mod room;
mod sandbox;
mod stage;
mod trend;
mod verify;

pub use choose::{Choice, choose};
pub use discard::{Removed, discard, kept, remove, sweep};
pub use error::DrillError;
pub use fill::{Filled, fill};
pub use leave::mark_proven;
pub use measure::{Goal, Measured, Objective, measure};
pub use owner::Owner;
pub use plan::{Asked, DrillPlan, Options, Part, plan};
pub use preview::{PartPreview, Preview, preview};
pub use provision::provision;
pub use references::references;
pub use report::{
    Asserted, ComparedReference, DrilledSet, EvidenceLeft, KeptSandbox, Outcome, Refuted, Report, Verdict,
};
pub use room::{Room, room};
pub use sandbox::{Address, Sandbox};
pub use stage::{Drilling, Gist, Stage, stages};
pub use trend::{Past, Trend, trend};
pub use verify::verify;

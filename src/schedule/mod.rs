//! When which operation runs on which stack: the `Schedule` document and the time logic behind it. Owns cron expressions,
//! zones, daylight saving, jitter, deadlines and the ids of scheduled runs; pure but for [`load`], which reads a folder.
//! Refuses to know a clock, a journal or how an operation is done: whoever has those asks [`due`].
//!
//! `docs/formats.md` describes the document for people, `docs/decisions/0003-schedules.md` the rules and what was rejected.

mod cron;
mod document;
mod due;
mod jitter;
mod load;
mod name;
mod operation;
mod run_id;
mod spec;
mod timing;
mod zone;

pub use cron::Cron;
pub use document::{KIND, Schedule, Written};
pub use due::{Due, LatestRun, Past, Start, Wait, Why, due};
pub use load::{LoadError, load};
pub use name::ScheduleName;
pub use operation::{Check, Drill, DrillPoint, ForgetAndPrune, Operation, Snapshot};
pub use run_id::{NotScheduled, ScheduledRun};
pub use spec::{ConcurrencyPolicy, History, Spec};
pub use timing::{Shift, Timing};
pub use zone::Zone;

#[cfg(test)]
mod tests;

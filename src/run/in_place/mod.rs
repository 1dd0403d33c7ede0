//! The journal of an in-place restore: all of it becomes live, or none does.

mod event;
mod journal;

use super::RunError;

pub use event::{DatabaseRecord, Event, SetRecord, Stage, State, Swapped};
pub use journal::{Journal, PREFIX, all, history, open, remove};

//! Brings a recovery point back, or a part of it. Owns the order plan → provision → fill → verify → promote over all data
//! sets, and that what is live is replaced by what was verified only; what each kind does at each step lives in `data/`.
//! Refuses to touch live data before a complete recovery point of it is there.

mod after;
mod back;
mod beside;
mod database;
mod error;
mod folder;
mod gate;
mod in_place;
pub mod kept;
mod learned;
mod mend;
mod phases;
mod plan;
mod preview;
mod promote;
mod references;
mod report;
mod root;
mod safety;
mod trouble;
mod work;

use crate::context::Context;
use crate::point::Home;

pub use after::{After, AfterWork};
pub use error::{Left, RestoreError};
pub use in_place::phases;
pub use learned::{Learned, mended};
pub use plan::{Options, Part, RestorePlan, Target, plan};
pub use preview::{Action, PartPreview, Preview, preview};
pub use report::{ComparedReference, Former, Report, RestoredSet, SetAside};
pub(crate) use root::of as folder_of_member;
pub use work::Work;

/// Restores beside what is live, as `plan` says; returns what was compared, never just "ok". The caller holds a shared lock.
/// In place it is a run: [`phases`] and [`Work`].
///
/// # Panics
/// For a plan whose target is in place.
///
/// # Errors
/// The data set that could not be restored, and what that has left. One that differs from what was recorded is no error:
/// see [`Report::holds`] and [`RestoredSet::promoted`].
pub async fn restore(home: &Home, plan: &RestorePlan, cx: &Context) -> Result<Report, RestoreError> {
    if matches!(plan.target, Target::Databases(_)) {
        mend::refuse_unfinished(home).await?; // it would take the databases beside for its own leftovers
    }
    match &plan.target {
        Target::Folder(target) => folder::fill(home, plan, target, cx).await, // files, beside everything
        Target::Databases(names) => database::fill(home, plan, names, cx).await, // new databases, beside the live ones
        Target::InPlace => unreachable!("in place it is a run"),
    }
}

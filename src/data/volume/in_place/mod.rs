//! Exchanges a live folder's content with a restored one: fill beside → verify → plan → exchange → finish. Owns the rule
//! that the live folder is whole at every end: the former or the new, never a mixture, whatever instant the process or
//! the machine died at. A mount point cannot be exchanged itself, so its top-level entries are, one by one.
//!
//! All of it lies in `.drydock/<run>/` inside the volume, which no snapshot holds: `new/` is filled and verified,
//! `former/` gets what was live and is kept until [`discard_former`], `journal` says how far it got
//! (docs/formats.md, "Journal of an in-place restore").

mod disk;
mod exchange;
mod excluded;
mod journal;
mod place;
mod remove;
mod root;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::context::Context;
use crate::data::Comparison;
use crate::progress::Task;
use crate::repository::{Repository, TreeId};

use super::VolumeError;
use super::blocking::{Stop, blocking};
use super::exclude::Excludes;
use super::restore::{Merge, Restore, RestoreOptions};
use disk::{Disk, RealDisk};
use exchange::{Moves, Whole};
use journal::{Event, Journal};
use place::Place;

pub(super) use excluded::below_the_top as left_out;
pub(super) use remove::below as remove_below;

pub use journal::Stage;

/// A folder that holds the snapshot's content now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// Of the copy, before it went live, and of the folder itself afterwards.
    pub comparison: Comparison,
    /// Where what was live before is kept.
    pub former: PathBuf,
    /// Top-level entries that were exchanged, moved in or moved out.
    pub entries: u64,
}

/// A run that has left something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InPlaceRun {
    pub run: String,
    pub stage: Stage,
}

/// Which content a folder has, whole, after a run was resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    New,
    Former,
    /// What it had before the run was resumed: that had not begun to exchange, or was all but removed.
    Untouched,
}

/// A copy beside a live folder, as recorded; the folder is untouched. Nobody else may be at the folder's `.drydock` as long
/// as this lives; dropped, it leaves the copy to [`resume`] or [`undo`].
#[derive(Debug)]
pub struct Beside {
    place: Place,
    restore: Restore,
    options: RestoreOptions,
    comparison: Comparison,
}

/// Fills and verifies a copy of the tree in `.drydock/<run>/new/`; what follows is [`Beside::exchange`].
///
/// # Errors
/// `Unfinished` when another run was left half-done, `MountInside`, `NoSpace`, `Differs` when the copy is not what was
/// recorded; the copy is removed.
///
/// # Cancel safety
/// Cancelled it removes the copy.
pub async fn fill_beside(
    repository: &Repository,
    tree: &TreeId,
    folder: &Path,
    run: &str,
    options: &RestoreOptions,
    cx: &Context,
) -> Result<Beside, VolumeError> {
    let task = cx.progress.task(format!("write a copy beside {}", folder.display()), 0, 0);
    let checking = cx.progress.task(format!("verify the copy beside {}", folder.display()), 0, 0);
    let (repository, tree, folder, run, options) =
        (repository.clone(), *tree, folder.to_owned(), run.to_owned(), options.clone());
    let filled = blocking(cx, move |stop| {
        let restore = Restore::new(repository, tree, RestoreOptions { root: None, ..options.clone() }, stop.clone());
        let place = Place::create(&folder, &run)?;
        let excludes = Excludes::new(&options.exclude)?;
        let steps = Steps { place: &place, disk: Arc::new(RealDisk), stop, excludes: &excludes };
        let comparison = steps.fill_beside(&restore, &options, &task, &checking)?;
        Ok(Beside { place, restore, options, comparison })
    });
    filled.await
}

impl Beside {
    /// What was compared of the copy.
    #[must_use]
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// Exchanges the top-level entries, each journaled before and after; the former content is kept. Nobody else may
    /// write to the folder meanwhile: that is the fence's to see to.
    ///
    /// # Errors
    /// They leave the run to [`resume`] or [`undo`].
    ///
    /// # Cancel safety
    /// Once begun it goes on to its end.
    pub async fn exchange(self, cx: &Context) -> Result<Exchanged, VolumeError> {
        blocking(cx, move |stop| {
            let Self { place, restore, options, mut comparison } = self;
            let excludes = Excludes::new(&options.exclude)?;
            comparison.notes.extend(excluded::below_the_top(&place.live, &excludes, &stop)?);
            let steps = Steps { place: &place, disk: Arc::new(RealDisk), stop, excludes: &excludes };
            let mut journal = steps.journal()?;
            let entries = steps.plan(&mut journal)?;
            steps.forward(&mut journal)?;
            let comparison = steps.with_root(comparison, &restore, &options)?;
            Ok(Exchanged { comparison, former: place.former_path(), entries })
        })
        .await
    }
}

/// Replaces the content of `folder` by the tree's: [`fill_beside`], then [`Beside::exchange`].
///
/// # Errors
/// As both.
pub async fn restore_in_place(
    repository: &Repository,
    tree: &TreeId,
    folder: &Path,
    run: &str,
    options: &RestoreOptions,
    cx: &Context,
) -> Result<Exchanged, VolumeError> {
    fill_beside(repository, tree, folder, run, options, cx).await?.exchange(cx).await
}

/// Every run that has left something in the folder, also those that are finished and keep the former content.
///
/// # Errors
/// When `.drydock` or a journal cannot be read.
pub async fn runs(folder: &Path, cx: &Context) -> Result<Vec<InPlaceRun>, VolumeError> {
    let folder = folder.to_owned();
    blocking(cx, move |_| place::list(&folder)).await
}

/// The runs that were cut short: each must be resumed or undone.
///
/// # Errors
/// As [`runs`].
pub async fn unfinished(folder: &Path, cx: &Context) -> Result<Vec<InPlaceRun>, VolumeError> {
    let mut runs = runs(folder, cx).await?;
    runs.retain(|run| run.stage.is_unfinished());
    Ok(runs)
}

/// Brings a run to its end: forward where its copy was verified, otherwise back to the former content, which was never
/// touched. A run that was being undone is undone. `exclude` is what captures of the folder leave out.
///
/// # Errors
/// `NoSuchRun`; `Changed` when somebody else has been at the entries, which are left as they are.
pub async fn resume(folder: &Path, run: &str, exclude: &[String], cx: &Context) -> Result<Outcome, VolumeError> {
    at(folder, run, exclude, cx, |steps| steps.resume()).await
}

/// Brings the former content back, also after the run was finished. What was live then is kept in `new/` if the run had
/// been finished, or if somebody else had added to it.
///
/// # Errors
/// As [`resume`].
pub async fn undo(folder: &Path, run: &str, cx: &Context) -> Result<(), VolumeError> {
    at(folder, run, &[], cx, |steps| steps.undo()).await
}

/// Where [`undo`] keeps what was live, where it does.
#[must_use]
pub fn set_aside(folder: &Path, run: &str) -> PathBuf {
    folder.join(".drydock").join(run).join("new")
}

/// Removes what a finished or undone run has kept. There is no way back from it.
///
/// # Errors
/// `Unfinished` while the run is neither; `NoSuchRun`.
pub async fn discard_former(folder: &Path, run: &str, cx: &Context) -> Result<(), VolumeError> {
    at(folder, run, &[], cx, |steps| steps.discard()).await
}

async fn at<T: Send + 'static>(
    folder: &Path,
    run: &str,
    exclude: &[String],
    cx: &Context,
    work: impl FnOnce(&Steps<'_>) -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, VolumeError> {
    let (folder, run, excludes) = (folder.to_owned(), run.to_owned(), Excludes::new(exclude)?);
    blocking(cx, move |stop| {
        let place = Place::open(&folder, &run)?;
        work(&Steps { place: &place, disk: Arc::new(RealDisk), stop, excludes: &excludes })
    })
    .await
}

/// One run and what it acts with.
#[derive(Debug)]
struct Steps<'p> {
    place: &'p Place,
    disk: Arc<dyn Disk>,
    stop: Stop,
    excludes: &'p Excludes,
}

impl Steps<'_> {
    fn fill_beside(
        &self,
        restore: &Restore,
        options: &RestoreOptions,
        task: &Task,
        checking: &Task,
    ) -> Result<Comparison, VolumeError> {
        let mut journal = self.journal()?;
        let new_root = options.root.as_ref().map(root::Root::of_node);
        journal.append(&Event::begun(self.place.run(), restore.tree, self.place.former_root.clone(), new_root))?;
        match self.fill(restore, task, checking) {
            Ok(comparison) => journal.append(&Event::Verified {}).map(|()| comparison),
            Err(error) => {
                // Nothing live was touched; if the copy cannot even be removed, the next run says that it is there.
                self.remove(&mut journal).ok();
                Err(error)
            }
        }
    }

    /// The copy, equal to the record.
    fn fill(&self, restore: &Restore, task: &Task, checking: &Task) -> Result<Comparison, VolumeError> {
        let comparison = restore.run(&self.place.new, Merge::Empty, task, Some(checking))?;
        self.stop.check()?;
        match comparison.differences.first() {
            None => Ok(comparison),
            Some(first) => {
                let first = format!("{}: {} where {} was recorded", first.what, first.found, first.expected);
                Err(VolumeError::Differs { count: comparison.difference_count, first })
            }
        }
    }

    fn plan(&self, journal: &mut Journal<'_>) -> Result<u64, VolumeError> {
        let entries = exchange::plan(self.place, self.excludes)?;
        let count = entries.len() as u64;
        journal.append(&Event::Planned { entries })?;
        Ok(count)
    }

    /// Exchanges what is not exchanged yet.
    fn forward(&self, journal: &mut Journal<'_>) -> Result<(), VolumeError> {
        let state = journal.state().clone();
        let moves = Moves::new(self.place, &*self.disk);
        for group in state.groups() {
            journal.append(&Event::Intended { from: group.start, to: group.end })?;
            for at in group.clone() {
                moves.forward(&state.entries[at], at < state.tried)?;
            }
            journal.append(&Event::Applied { from: group.start, to: group.end })?;
        }
        moves.put_aside_what_appeared(&state, Whole::New)?;
        if let Some((former, new)) = &state.roots {
            self.disk.root(&self.place.live, new.as_ref().unwrap_or(former))?;
        }
        self.disk.sync(&self.place.live)?;
        journal.append(&Event::Finished {})
    }

    fn resume(&self) -> Result<Outcome, VolumeError> {
        let mut journal = self.journal()?;
        match journal.state().stage {
            Stage::Filling => self.remove(&mut journal).map(|()| Outcome::Untouched),
            Stage::Verified => {
                self.plan(&mut journal)?;
                self.forward(&mut journal).map(|()| Outcome::New)
            }
            Stage::Exchanging => self.forward(&mut journal).map(|()| Outcome::New),
            Stage::Finished => Ok(Outcome::New),
            Stage::Undoing | Stage::Undone { .. } => self.back(&mut journal).map(|()| Outcome::Former),
            Stage::Discarding { new } => {
                self.remove(&mut journal)?;
                Ok(if new { Outcome::New } else { Outcome::Former })
            }
        }
    }

    fn undo(&self) -> Result<(), VolumeError> {
        let mut journal = self.journal()?;
        match journal.state().stage {
            Stage::Filling | Stage::Verified => self.remove(&mut journal),
            Stage::Exchanging | Stage::Finished | Stage::Undoing | Stage::Undone { .. } => self.back(&mut journal),
            Stage::Discarding { .. } => {
                Err(VolumeError::NoSuchRun { folder: self.place.folder_path(), run: self.place.run().to_owned() })
            }
        }
    }

    /// The former content back, entry by entry in reverse; what was live is removed unless somebody may want it.
    fn back(&self, journal: &mut Journal<'_>) -> Result<(), VolumeError> {
        if !matches!(journal.state().stage, Stage::Undone { .. }) {
            self.move_back(journal)?;
        }
        match journal.state().stage {
            Stage::Undone { keeps_new: true } => Ok(()),
            _ => self.remove(journal),
        }
    }

    fn move_back(&self, journal: &mut Journal<'_>) -> Result<(), VolumeError> {
        journal.append(&Event::UndoIntended {})?;
        let state = journal.state().clone();
        let moves = Moves::new(self.place, &*self.disk);
        moves.put_aside_what_appeared(&state, Whole::Former)?;
        for group in state.groups().into_iter().rev() {
            journal.append(&Event::Intended { from: group.start, to: group.end })?;
            for at in group.clone().rev() {
                moves.back(&state.entries[at], at < state.tried)?;
            }
            journal.append(&Event::Applied { from: group.start, to: group.end })?;
        }
        if let Some((former, _)) = &state.roots {
            self.disk.root(&self.place.live, former)?;
        }
        self.disk.sync(&self.place.live)?;
        let keeps_new = state.was_finished || exchange::holds_what_is_not_planned(self.place, &state)?;
        journal.append(&Event::Undone { keeps_new })
    }

    fn discard(&self) -> Result<(), VolumeError> {
        let mut journal = self.journal()?;
        let stage = journal.state().stage;
        if stage.is_unfinished() && !matches!(stage, Stage::Discarding { .. }) {
            return Err(self.place.unfinished());
        }
        self.remove(&mut journal)
    }

    /// Everything of this run, and `.drydock` when it was the last; the live folder keeps its time.
    fn remove(&self, journal: &mut Journal<'_>) -> Result<(), VolumeError> {
        if !matches!(journal.state().stage, Stage::Filling | Stage::Discarding { .. }) {
            journal.append(&Event::Discarding {})?;
        }
        self.disk.remove(self.place)
    }

    fn journal(&self) -> Result<Journal<'_>, VolumeError> {
        Journal::open(self.place, &*self.disk)
    }

    /// Adds what the live folder's own metadata turned out to be.
    fn with_root(
        &self,
        mut comparison: Comparison,
        restore: &Restore,
        options: &RestoreOptions,
    ) -> Result<Comparison, VolumeError> {
        if let Some(node) = &options.root {
            comparison.absorb(super::compare::of_root(&restore.shortfalls, &self.place.live, node)?);
        }
        Ok(comparison)
    }
}

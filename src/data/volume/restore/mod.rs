//! Writes a tree into a folder: prepare → space → make → fill → dress → sync → verify, each in the file of that name.
//! Owns the rule that nothing is written outside the target, whatever the snapshot's names and links say.

mod batch;
mod dress;
mod fill;
mod flush;
mod make;
mod marked;
mod prepare;
mod shortfalls;
mod space;

use std::path::Path;

use crate::context::Context;
use crate::data::Comparison;
use crate::progress::Task;
use crate::repository::{Node, Repository, TreeId};

use super::VolumeError;
use super::blocking::{Stop, blocking};
use super::compare::{self, Extras};
use super::folder::Folder;
use super::limits::raise_open_files;
use super::trees::Trees;
use super::zeros::ZeroBlobs;

pub(super) use dress::times;
pub(super) use make::Linked;
pub use marked::{TargetState, is_made_by, release, take_back, target_state};
pub(super) use prepare::refuse_not_empty;
pub(super) use shortfalls::Shortfalls;
use space::Size;
pub(super) use space::{lengths, refuse_too_small};

/// How a tree is written back.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Read all that was written again and compare it with the record; without it the comparison says so.
    pub verify: bool,
    /// Write into a folder that holds something: what has the same name is replaced, folders are merged, the rest stays
    /// and is counted.
    pub allow_not_empty: bool,
    /// The folder's own metadata, where it was recorded ([`Captured::root`](crate::data::Captured::root)).
    pub root: Option<Node>,
    /// In place: what captures of the folder leave out, by the spec's patterns. At its top it stays where it is.
    pub exclude: Vec<String>,
    /// Of a restore whose run decides later what becomes of the folder: the mark of this run stays on it until
    /// [`release`] or [`take_back`].
    pub held_for: Option<String>,
    /// How many files are written, and later read, at once.
    pub threads: usize,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { verify: true, allow_not_empty: false, root: None, exclude: Vec::new(), held_for: None, threads: 2 }
    }
}

/// Writes the tree into `target`, which is made where it is not there, and compares what came of it with the record.
///
/// Refuses a target that is not empty unless told otherwise; what an earlier restore that was cut short has left there
/// is its own and is written over. What this process may not do (change owners, make devices, set some attributes) is
/// counted in [`Comparison::notes`]. Everything is on the disk when it returns.
///
/// # Errors
/// `NotEmpty`, `NoSpace` and `NoInodes` before anything is written; the file that could not be written; whatever the
/// repository says. Differences are in the comparison, not an error.
pub async fn restore_to(
    repository: &Repository,
    tree: &TreeId,
    target: &Path,
    options: &RestoreOptions,
    cx: &Context,
) -> Result<Comparison, VolumeError> {
    let task = cx.progress.task(format!("write {}", target.display()), 0, 0);
    let checking = options.verify.then(|| cx.progress.task(format!("verify {}", target.display()), 0, 0));
    let (repository, tree, target, options) = (repository.clone(), *tree, target.to_owned(), options.clone());
    let restored = blocking(cx, move |stop| {
        let prepared = prepare::target(&target, options.allow_not_empty, options.held_for.as_deref())?;
        let is_over = options.held_for.is_none();
        let restore = Restore::new(repository, tree, options, stop);
        let comparison = restore.run(&prepared.folder, prepared.merge, &task, checking.as_deref())?;
        if comparison.holds() && is_over {
            prepared.finished()?;
        }
        Ok(comparison)
    });
    restored.await
}

/// What the steps of one restore share.
#[derive(Debug)]
pub(super) struct Restore {
    pub(super) trees: Trees,
    pub(super) repository: Repository,
    pub(super) tree: TreeId,
    pub(super) options: RestoreOptions,
    pub(super) stop: Stop,
    pub(super) zeros: ZeroBlobs,
    pub(super) shortfalls: Shortfalls,
}

/// What the target holds before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// Nothing.
    Empty,
    /// What an earlier restore left: it is replaced, anything else is a difference.
    Continue,
    /// Foreign things, which stay.
    Among,
}

impl Restore {
    pub(super) fn new(repository: Repository, tree: TreeId, options: RestoreOptions, stop: Stop) -> Self {
        let trees = Trees::new(repository.clone(), stop.clone());
        let (zeros, shortfalls) = (ZeroBlobs::default(), Shortfalls::default());
        Self { trees, repository, tree, options, stop, zeros, shortfalls }
    }

    /// Fills `folder` and compares it; also for the copy beside a live volume.
    pub(super) fn run(
        &self,
        folder: &Folder,
        merge: Merge,
        task: &Task,
        checking: Option<&Task>,
    ) -> Result<Comparison, VolumeError> {
        raise_open_files();
        let size = space::needed(self)?;
        task.expect(size.content_bytes, size.entries);
        space::check(&size, folder)?;
        make::everything(self, folder, merge, task)?;
        dress::folders(self, folder)?;
        task.finish();
        std::thread::scope(|scope| {
            // The disk writes while the processor compares.
            let synced = scope.spawn(|| rustix::fs::syncfs(folder));
            let comparison = self.verify(folder, merge, size, checking);
            let synced = synced.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            synced.map_err(VolumeError::file("sync the file system of", b"."))?;
            comparison
        })
    }

    fn verify(
        &self,
        folder: &Folder,
        merge: Merge,
        size: Size,
        checking: Option<&Task>,
    ) -> Result<Comparison, VolumeError> {
        let Some(checking) = checking else {
            let mut notes = vec!["what was restored has not been verified, as asked".into()];
            notes.extend(self.shortfalls.remarks());
            return Ok(Comparison { notes, ..Comparison::default() });
        };
        checking.expect(size.content_bytes, size.entries);
        let extras = if merge == Merge::Among { Extras::Counted } else { Extras::Differ };
        compare::run(self, folder, extras, checking)
    }
}

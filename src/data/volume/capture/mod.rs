//! Reads a folder into the repository: one thread walks, a few read files, each folder is stored as soon as the last of
//! its entries is. Owns the rules of what is read again and what a snapshot holds of a file that would not hold still.

mod content;
mod draft;
mod links;
mod previous;
mod read;
mod session;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::context::Context;
use crate::data::Captured;
use crate::repository::{Repository, TreeId, Writer};
use crate::stack::VolumeSpec;

use super::VolumeError;
use super::blocking::blocking;
use super::exclude::Excludes;
use super::folder::Folder;
use session::Session;

/// How a folder is read.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// Read every file, also those that look as they did when `parent` was taken.
    pub reread: bool,
    /// How many files are read at once.
    pub readers: usize,
}

impl Default for CaptureOptions {
    /// Two readers keep a disk and two processors busy; more gained nothing (measured on two cores).
    fn default() -> Self {
        Self { reread: false, readers: 2 }
    }
}

/// Stores `folder` and all below it; files that look as they do in `parent` are taken over from there unread.
///
/// A file that changes while it is read is read again, and named in [`Captured::warnings`] if it never holds still; one
/// that is gone when its turn comes is not in the snapshot. Memory is bounded by the widest folder and by what the
/// writer holds, not by the number or size of the files.
///
/// # Errors
/// The first file that cannot be read, by its path; whatever the repository says; `Cancelled`.
///
/// # Cancel safety
/// Dropping the future stops the threads at the next file or megabyte; what they stored is unreferenced.
pub async fn capture(
    folder: &Path,
    spec: &VolumeSpec,
    repository: &Repository,
    writer: &Writer,
    parent: Option<&TreeId>,
    options: &CaptureOptions,
    cx: &Context,
) -> Result<Captured, VolumeError> {
    let excludes = Excludes::new(&spec.exclude)?;
    let instant = cx.clock.now();
    let task = cx.progress.task(format!("read {}", folder.display()), 0, 0);
    let (path, repository, writer) = (folder.to_owned(), repository.clone(), writer.clone());
    let (parent, options, one_file_system) = (parent.copied(), options.clone(), spec.one_file_system);
    let captured = blocking(cx, move |stop| {
        let root = Folder::open(&path).map_err(VolumeError::root(&path))?;
        let session =
            Session::new(repository, writer, excludes, one_file_system, options.reread, stop, Arc::clone(&task));
        let (root, tree) = walk::run(&session, root, parent, options.readers)?;
        task.finish();
        Ok(Captured {
            tree,
            root: Some(root),
            instant,
            bytes: session.read_bytes.load(Ordering::Relaxed),
            items: session.items.load(Ordering::Relaxed),
            warnings: session.warnings.into_list(),
            notes: session.notes.into_list(),
            digest: None,
            source_version: "volume".into(),
        })
    });
    captured.await
}

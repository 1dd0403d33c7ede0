//! Throws sandboxes away: this drill's own, what crashes have left, and what a person had kept.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::owner::Owner;
use super::plan::{FOLDER, folder_of};
use super::sandbox::Sandbox;
use super::{DrillError, process};
use crate::process::may_live;

/// How the folders of sandboxes that are being made, or removed, begin; the process's id follows.
pub(super) const UNBORN: &str = ".drydock-drill-new-";

/// What was found and removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    pub folder: PathBuf,
    pub run: Option<String>,
}

/// Ends the sandbox's servers and removes its folder.
///
/// # Errors
/// When something of it does not go; the next drill tries again.
pub async fn discard(sandbox: Sandbox) -> Result<(), DrillError> {
    blocking(move || sandbox.end()).await
}

/// Removes the sandboxes below `root` whose process is gone; one that a person keeps stays, one that is in use, too.
///
/// # Errors
/// When one of them does not go.
pub async fn sweep(root: &Path) -> Result<Vec<Removed>, DrillError> {
    let root = root.to_owned();
    blocking(move || {
        let mut removed = Vec::new();
        for folder in folders(&root, FOLDER)? {
            // One without an understandable owner is another version's, or none of ours.
            let Some(owner) = Owner::of(&folder).filter(|owner| !owner.kept && !owner.lives()) else { continue };
            tracing::info!(run = owner.run, folder = %folder.display(), "a sandbox that a crash has left is removed");
            remove_sandbox(&folder)?;
            removed.push(Removed { folder, run: Some(owner.run) });
        }
        for folder in folders(&root, UNBORN)? {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let pid = name.strip_prefix(UNBORN).and_then(|rest| rest.split('-').next()?.parse().ok());
            if pid.is_some_and(|pid| !may_live(pid, None)) {
                remove_folder(&folder)?;
                removed.push(Removed { folder, run: None });
            }
        }
        Ok(removed)
    })
    .await
}

/// The sandboxes below `root` that a person keeps.
///
/// # Errors
/// When the folder cannot be read.
pub async fn kept(root: &Path) -> Result<Vec<(PathBuf, Owner)>, DrillError> {
    let root = root.to_owned();
    blocking(move || {
        let owned = |folder: PathBuf| Owner::of(&folder).map(|owner| (folder, owner));
        Ok(folders(&root, FOLDER)?.into_iter().filter_map(owned).filter(|(_, owner)| owner.kept).collect())
    })
    .await
}

/// Removes the sandbox of `run`, kept or left, unless its drill is under way.
///
/// # Errors
/// `NoSuchSandbox`, `InUse`, or what does not go.
pub async fn remove(root: &Path, run: &str) -> Result<Removed, DrillError> {
    let (root, run) = (root.to_owned(), run.to_owned());
    blocking(move || {
        let folder = folder_of(&root, &run);
        let owner = Owner::of(&folder).filter(|_| is_ours(&folder));
        let owner = owner.ok_or_else(|| DrillError::NoSuchSandbox { run: run.clone(), root: root.clone() })?;
        if !owner.kept && owner.lives() && owner.pid != std::process::id() {
            return Err(DrillError::InUse { folder, pid: owner.pid });
        }
        remove_sandbox(&folder)?;
        Ok(Removed { folder, run: Some(run) })
    })
    .await
}

/// Folders below `root` whose names begin with `prefix` and that are ours: in a folder that all may write to, anybody may
/// make one of that name.
fn folders(root: &Path, prefix: &str) -> Result<Vec<PathBuf>, DrillError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DrillError::folder("look into", root)(error)),
    };
    let named = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
    Ok(entries.flatten().filter(named).map(|entry| entry.path()).filter(|path| is_ours(path)).collect())
}

pub(super) fn is_ours(folder: &Path) -> bool {
    let uid = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

/// Ends what works in the sandbox and removes it, under another name from the first deletion on: cut off half-way it would
/// have no owner any more and stand in the way of its run for ever.
pub(super) fn remove_sandbox(folder: &Path) -> Result<(), DrillError> {
    process::end_all(folder)?;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let gone = folder.with_file_name(format!("{UNBORN}{}-{name}", std::process::id()));
    match fs::rename(folder, &gone) {
        Ok(()) => remove_folder(&gone),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DrillError::folder("remove", folder)(error)),
    }
}

/// Ends what works in `folder` and removes it; one that is not there is fine.
pub(super) fn remove_folder(folder: &Path) -> Result<(), DrillError> {
    process::end_all(folder)?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            // A restored folder may be closed to its own owner.
            open_up(folder).and_then(|()| fs::remove_dir_all(folder)).map_err(DrillError::folder("remove", folder))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(DrillError::folder("remove", folder)),
    }
}

fn open_up(folder: &Path) -> std::io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DrillError> + Send + 'static,
) -> Result<T, DrillError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

//! A folder that a run has filled and whose fate that run decides when all else is done: kept, or taken back. The mark in
//! it says whose it is; nothing in a folder without this run's mark is ever removed.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::context::Context;

use super::super::VolumeError;
use super::super::blocking::blocking;
use super::super::exclude::RESERVED;
use super::super::folder::Folder;
use super::super::in_place::remove_below;
use super::prepare::{finish, marked_by};

/// What a target is before anything is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetState {
    Absent,
    /// Somebody's folder, which stays whatever happens.
    Empty,
    /// Somebody's, with something in it that is not a run's to remove.
    Holds,
}

/// Looks at the target of a restore to come; what an earlier restore has left half-written there counts as nothing.
///
/// # Errors
/// When it cannot be looked at.
pub async fn target_state(path: &Path, cx: &Context) -> Result<TargetState, VolumeError> {
    let path = path.to_owned();
    blocking(cx, move |_| {
        let Some(folder) = open(&path)? else { return Ok(TargetState::Absent) };
        let refusal = super::prepare::refuse_not_empty(&path, false)?;
        drop(folder);
        Ok(if refusal.is_some() { TargetState::Holds } else { TargetState::Empty })
    })
    .await
}

/// Whether the folder carries the run's mark.
///
/// # Errors
/// When it cannot be looked at.
pub async fn is_made_by(path: &Path, run: &str, cx: &Context) -> Result<bool, VolumeError> {
    let (path, run) = (path.to_owned(), run.to_owned());
    blocking(cx, move |_| {
        let Some(folder) = open(&path)? else { return Ok(false) };
        Ok(marked_by(&folder)?.is_some_and(|found| found == run))
    })
    .await
}

/// Takes the run's mark away: the folder is the person's from here on. One that does not carry it is left alone.
///
/// # Errors
/// When it cannot be written to.
pub async fn release(path: &Path, run: &str, cx: &Context) -> Result<(), VolumeError> {
    let (path, run) = (path.to_owned(), run.to_owned());
    blocking(cx, move |_| {
        let Some(folder) = open(&path)? else { return Ok(()) };
        if marked_by(&folder)?.is_some_and(|found| found == run) { finish(&folder) } else { Ok(()) }
    })
    .await
}

/// Removes what the run has written: all that lies in a folder with its mark, and the folder where it was not there
/// before, with those above it up to `made`, the topmost that was not there, as far as they are empty.
///
/// # Errors
/// When something does not go; calling it again goes on.
///
/// # Cancel safety
/// Told to stop it goes on to its end.
pub async fn take_back(
    path: &Path,
    run: &str,
    was: TargetState,
    made: Option<&Path>,
    cx: &Context,
) -> Result<(), VolumeError> {
    let (path, run, made) = (path.to_owned(), run.to_owned(), made.map(Path::to_owned));
    blocking(cx, move |_| {
        if let Some(folder) = open(&path)?
            && was != TargetState::Holds
            && marked_by(&folder)?.is_some_and(|found| found == run)
        {
            let status = folder.own_status().map_err(VolumeError::root(&path))?;
            if status.mode & 0o700 != 0o700 {
                fchmod(folder.as_fd(), Mode::RWXU).map_err(VolumeError::root(&path))?;
            }
            remove_below(&folder, &RESERVED)?;
            finish(&folder)?; // the mark last: without it the rest would be nobody's
        }
        let mut empty: Vec<PathBuf> = Vec::new();
        empty.extend((was == TargetState::Absent).then(|| path.clone()));
        if let Some(made) = made {
            let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&made));
            empty.extend(above.map(Path::to_owned));
        }
        empty.iter().try_for_each(|folder| remove_empty(folder))
    })
    .await
}

fn open(path: &Path) -> Result<Option<Folder>, VolumeError> {
    match Folder::open(path) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(VolumeError::root(path)(errno)),
    }
}

/// One that holds something is somebody's.
fn remove_empty(path: &Path) -> Result<(), VolumeError> {
    match std::fs::remove_dir(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Ok(()),
        Err(error) => Err(VolumeError::File { action: "remove", path: path.display().to_string(), source: error }),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "restore-copy-shop-1";

    fn folder(text: &str) -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("made/deeper/files");
        std::fs::create_dir_all(path.join(".drydock")).unwrap();
        std::fs::create_dir_all(path.join("in/side")).unwrap();
        std::fs::write(path.join("in/side/a"), "a").unwrap();
        std::fs::write(path.join(".drydock/restoring"), text).unwrap();
        (temp, path)
    }

    #[tokio::test]
    async fn what_a_run_has_made_goes_with_the_folders_above_it_and_nothing_of_anybody_else() {
        let cx = Context::default();
        let mark = format!("A restore of drydock\nrun: {RUN}\n");
        let (temp, path) = folder(&mark);
        let made = temp.path().join("made");
        assert!(is_made_by(&path, RUN, &cx).await.unwrap());
        assert!(!is_made_by(&path, "restore-copy-shop-2", &cx).await.unwrap());
        take_back(&path, "restore-copy-shop-2", TargetState::Absent, Some(&made), &cx).await.unwrap();
        assert!(path.join("in/side/a").exists(), "another run's");
        take_back(&path, RUN, TargetState::Holds, Some(&made), &cx).await.unwrap();
        assert!(path.join("in/side/a").exists(), "it held something before");
        take_back(&path, RUN, TargetState::Absent, Some(&made), &cx).await.unwrap();
        assert!(!made.exists() && temp.path().exists());
        take_back(&path, RUN, TargetState::Absent, Some(&made), &cx).await.unwrap(); // again

        let (_temp, path) = folder(&mark);
        std::fs::create_dir(path.join("lost+found")).unwrap();
        take_back(&path, RUN, TargetState::Empty, None, &cx).await.unwrap();
        let left: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["lost+found"], "the folder was there before, and so was this");

        let (temp, path) = folder("A restore of drydock, of a time before runs had a word in it\n");
        std::fs::write(temp.path().join("made/mine"), "mine").unwrap();
        take_back(&path, RUN, TargetState::Absent, Some(&temp.path().join("made")), &cx).await.unwrap();
        assert!(path.join("in/side/a").exists(), "nobody's");
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::create_dir(&path).unwrap(); // killed before its mark was written
        take_back(&path, RUN, TargetState::Absent, Some(&temp.path().join("made")), &cx).await.unwrap();
        assert!(!temp.path().join("made/deeper").exists());
        assert_eq!(std::fs::read_to_string(temp.path().join("made/mine")).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_released_folder_is_nobodys_and_keeps_its_time() {
        let cx = Context::default();
        let (_temp, path) = folder(&format!("A restore of drydock\nrun: {RUN}\n"));
        let modified = || std::fs::metadata(&path).unwrap().modified().unwrap();
        let before = modified();
        assert_eq!(target_state(&path, &cx).await.unwrap(), TargetState::Empty, "what was left half-written");
        release(&path, "restore-copy-shop-2", &cx).await.unwrap();
        assert!(path.join(".drydock").exists());
        release(&path, RUN, &cx).await.unwrap();
        assert!(!path.join(".drydock").exists() && path.join("in/side/a").exists());
        assert_eq!(modified(), before);
        assert_eq!(target_state(&path, &cx).await.unwrap(), TargetState::Holds);
        assert_eq!(target_state(&path.join("not-there"), &cx).await.unwrap(), TargetState::Absent);
        take_back(&path, RUN, TargetState::Absent, None, &cx).await.unwrap();
        assert!(path.join("in/side/a").exists(), "it is the person's now");
    }
}

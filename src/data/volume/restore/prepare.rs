//! The target: made where it is not there, refused where it holds what is not ours.
//!
//! While a restore is under way the target holds `.drydock/restoring`; found there later, it says that the rest was
//! written by a restore that was cut short, so that the same command can be typed again.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use super::super::VolumeError;
use super::super::exclude::RESERVED;
use super::super::folder::{Entry, Folder};
use super::super::path::shown;
use super::Merge;

const OURS: &[u8] = b".drydock";
const MARK: &[u8] = b"restoring";
const MARK_TEXT: &[u8] = b"A restore of drydock into this folder is under way, or was cut short: run it again.\n";

#[derive(Debug)]
pub(super) struct Prepared {
    pub folder: Folder,
    pub merge: Merge,
}

/// Opens or makes the target and marks it as being restored into.
pub(super) fn target(path: &Path, allow_not_empty: bool) -> Result<Prepared, VolumeError> {
    match std::fs::create_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(VolumeError::File { action: "make", path: path.display().to_string(), source: error });
        }
        _ => {} // that it is no folder is found by opening it
    }
    let folder = Folder::open(path).map_err(VolumeError::root(path))?;
    let merge = merge(path, &folder, allow_not_empty)??;
    if merge != Merge::Among {
        mark(&folder).map_err(VolumeError::file("write", b".drydock/restoring"))?;
    }
    Ok(Prepared { folder, merge })
}

/// What the folder holds decides how it is written into, or that it is not.
fn merge(path: &Path, folder: &Folder, allow_not_empty: bool) -> Result<Result<Merge, VolumeError>, VolumeError> {
    let mut entries = folder.entries().map_err(VolumeError::file("list", b"."))?;
    entries.retain(|entry| !RESERVED.contains(&&*entry.name));
    Ok(match (entries.is_empty(), is_marked(folder)?) {
        (true, _) => Ok(Merge::Empty),
        (false, true) => Ok(Merge::Continue),
        (false, false) if allow_not_empty => Ok(Merge::Among),
        (false, false) => Err(not_empty(path, &entries)),
    })
}

/// Why [`target`] would refuse a folder that is there.
pub(in super::super) fn refuse_not_empty(path: &Path, allow: bool) -> Result<Option<VolumeError>, VolumeError> {
    let folder = Folder::open(path).map_err(VolumeError::root(path))?;
    Ok(merge(path, &folder, allow)?.err())
}

impl Prepared {
    /// Takes the mark away: the folder is what the snapshot says.
    pub(super) fn finished(&self) -> Result<(), VolumeError> {
        if self.merge == Merge::Among {
            return Ok(());
        }
        let before = self.folder.own_status().map_err(VolumeError::file("look at", b"."))?;
        self.unmark().map_err(VolumeError::file("remove", b".drydock/restoring"))?;
        super::dress::times(self.folder.as_fd(), before.atime_ns, before.mtime_ns)
            .map_err(VolumeError::file("set the times of", b"."))?;
        fsync(&self.folder).map_err(VolumeError::file("sync", b"."))
    }

    fn unmark(&self) -> Result<(), Errno> {
        let ours = self.folder.child(OURS)?;
        unlinkat(&ours, MARK, AtFlags::empty())?;
        match unlinkat(&self.folder, OURS, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()), // an in-place restore's
            other => other,
        }
    }
}

fn not_empty(path: &Path, entries: &[Entry]) -> VolumeError {
    let first = entries.first().map(|entry| shown(&entry.name)).unwrap_or_default();
    VolumeError::NotEmpty { path: path.display().to_string(), count: entries.len(), first }
}

fn is_marked(folder: &Folder) -> Result<bool, VolumeError> {
    let found = folder.child(OURS).and_then(|ours| ours.status(MARK));
    match found {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(VolumeError::file("look at", b".drydock/restoring")(errno)),
    }
}

fn mark(folder: &Folder) -> Result<(), Errno> {
    match mkdirat(folder, OURS, Mode::RWXU) {
        Err(Errno::EXIST) => {}
        other => other?,
    }
    let ours = folder.child(OURS)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&ours, MARK, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::io::write(&file, MARK_TEXT)?;
    fsync(&file)?;
    fsync(&ours)?;
    fsync(folder)
}

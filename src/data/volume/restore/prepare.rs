//! The target: made where it is not there, refused where it holds what is not ours.
//!
//! While a restore is under way the target holds `.drydock/restoring`; found there later, it says that the rest was
//! written by a restore that was cut short, so that the same command can be typed again, and by which run.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use super::super::VolumeError;
use super::super::exclude::RESERVED;
use super::super::folder::{Entry, Folder, read_at};
use super::super::path::shown;
use super::Merge;

const OURS: &[u8] = b".drydock";
const MARK: &[u8] = b"restoring";
const MARK_TEXT: &str = "A restore of drydock into this folder is under way, or was cut short: run it again.\n";
/// Before the run's id, in a line of its own.
const RUN: &str = "run: ";

#[derive(Debug)]
pub(super) struct Prepared {
    pub folder: Folder,
    pub merge: Merge,
}

/// Opens or makes the target and marks it as being restored into.
pub(super) fn target(path: &Path, allow_not_empty: bool, run: Option<&str>) -> Result<Prepared, VolumeError> {
    match std::fs::create_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(VolumeError::File { action: "make", path: path.display().to_string(), source: error });
        }
        _ => {} // that it is no folder is found by opening it
    }
    let folder = Folder::open(path).map_err(VolumeError::root(path))?;
    let merge = merge(path, &folder, allow_not_empty)??;
    if merge != Merge::Among {
        mark(&folder, run).map_err(VolumeError::file("write", b".drydock/restoring"))?;
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
        if self.merge == Merge::Among { Ok(()) } else { finish(&self.folder) }
    }
}

/// Takes the mark away, and leaves the folder's times as they are.
pub(super) fn finish(folder: &Folder) -> Result<(), VolumeError> {
    let before = folder.own_status().map_err(VolumeError::file("look at", b"."))?;
    unmark(folder).map_err(VolumeError::file("remove", b".drydock/restoring"))?;
    super::dress::times(folder.as_fd(), before.atime_ns, before.mtime_ns)
        .map_err(VolumeError::file("set the times of", b"."))?;
    fsync(folder).map_err(VolumeError::file("sync", b"."))
}

pub(super) fn unmark(folder: &Folder) -> Result<(), Errno> {
    let ours = folder.child(OURS)?;
    unlinkat(&ours, MARK, AtFlags::empty())?;
    match unlinkat(folder, OURS, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()), // an in-place restore's
        other => other,
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

/// The run whose mark the folder carries; `None` where it carries none, or one of no run.
pub(super) fn marked_by(folder: &Folder) -> Result<Option<String>, VolumeError> {
    let failed = || VolumeError::file("read", b".drydock/restoring");
    let file = match folder.child(OURS).and_then(|ours| ours.file(MARK)) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(failed()(errno)),
    };
    let mut text = [0; 1_024];
    let read = read_at(&file, &mut text, 0).map_err(|error| VolumeError::File {
        action: "read",
        path: ".drydock/restoring".into(),
        source: error,
    })?;
    let text = String::from_utf8_lossy(&text[..read]);
    Ok(text.lines().find_map(|line| line.strip_prefix(RUN)).map(str::to_owned))
}

fn mark(folder: &Folder, run: Option<&str>) -> Result<(), Errno> {
    match mkdirat(folder, OURS, Mode::RWXU) {
        Err(Errno::EXIST) => {}
        other => other?,
    }
    let ours = folder.child(OURS)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&ours, MARK, flags, Mode::RUSR | Mode::WUSR)?;
    let text = format!("{MARK_TEXT}{}", run.map_or_else(String::new, |run| format!("{RUN}{run}\n")));
    rustix::io::write(&file, text.as_bytes())?;
    fsync(&file)?;
    fsync(&ours)?;
    fsync(folder)
}

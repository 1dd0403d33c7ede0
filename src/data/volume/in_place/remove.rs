//! Removes a run's things, and `.drydock` with the last run; follows no link and leaves the live folder's time alone.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Mode, chmodat, fsync, unlinkat};
use rustix::io::Errno;

use super::super::VolumeError;
use super::super::folder::{Entry, Folder};
use super::super::path::join;
use super::super::restore::times;
use super::super::status::Kind;
use super::place::Place;

pub(super) fn run(place: &Place) -> Result<(), VolumeError> {
    for folder in [&place.new, &place.former] {
        below(folder, &[])?;
    }
    let failed = || VolumeError::file("remove", place.run().as_bytes());
    for name in [&b"new"[..], b"former"] {
        unlinkat(&place.home, name, AtFlags::REMOVEDIR).map_err(failed())?;
    }
    // The journal last: without it the rest could not be told.
    unlinkat(&place.home, b"journal".as_slice(), AtFlags::empty()).map_err(failed())?;
    unlinkat(&place.ours, place.run().as_bytes(), AtFlags::REMOVEDIR).map_err(failed())?;
    let status = place.live.own_status().map_err(VolumeError::file("look at", b"."))?;
    match unlinkat(&place.live, b".drydock".as_slice(), AtFlags::REMOVEDIR) {
        Ok(()) => times(place.live.as_fd(), status.atime_ns, status.mtime_ns).map_err(failed())?,
        Err(Errno::NOTEMPTY | Errno::EXIST) => {} // another run's things are there
        Err(errno) => return Err(failed()(errno)),
    }
    fsync(&place.live).map_err(failed())
}

/// Everything in the folder, the deepest first, but what is called as one of `keep` at its top.
pub(in super::super) fn below(folder: &Folder, keep: &[&[u8]]) -> Result<(), VolumeError> {
    let mut stack = vec![(Vec::new(), false)];
    while let Some((path, emptied)) = stack.pop() {
        if emptied {
            let (above, name) = super::super::path::split(&path);
            let above = folder.below(above).map_err(VolumeError::file("open", above))?;
            unlinkat(&above, name, AtFlags::REMOVEDIR).map_err(VolumeError::file("remove", &path))?;
            continue;
        }
        let inside = folder.below(&path).map_err(VolumeError::file("open", &path))?;
        if !path.is_empty() {
            stack.push((path.clone(), true));
        }
        for Entry { name, .. } in inside.entries().map_err(VolumeError::file("list", &path))? {
            if path.is_empty() && keep.contains(&&*name) {
                continue;
            }
            if let Some(deeper) = entry(&inside, &path, &name)? {
                stack.push((deeper, false));
            }
        }
    }
    Ok(())
}

/// Removes a file; the path of what is a folder, which can be opened afterwards whatever its mode was.
fn entry(inside: &Folder, path: &[u8], name: &[u8]) -> Result<Option<Vec<u8>>, VolumeError> {
    let whole = join(path, name);
    let failed = || VolumeError::file("remove", &whole);
    let status = inside.status(name).map_err(failed())?;
    if status.kind != Kind::Folder {
        unlinkat(inside, name, AtFlags::empty()).map_err(failed())?;
        return Ok(None);
    }
    if status.mode & 0o700 != 0o700 {
        chmodat(inside, name, Mode::RWXU, AtFlags::empty()).map_err(failed())?;
    }
    Ok(Some(whole))
}

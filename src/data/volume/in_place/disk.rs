//! What a run does to the disk, behind a trait, so that tests can end it before, after and within each.

use std::fmt::Debug;
use std::os::fd::OwnedFd;

use rustix::fs::{RenameFlags, fdatasync, renameat, renameat_with, syncfs};
use rustix::io::Errno;

use super::super::VolumeError;
use super::super::folder::Folder;
use super::place::Place;
use super::remove;
use super::root::Root;

/// An entry of one of the run's folders.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub folder: &'a Folder,
    pub name: &'a [u8],
}

pub(super) trait Disk: Debug + Send + Sync {
    /// Appends to the journal; on the disk when it returns.
    fn append(&self, journal: &OwnedFd, line: &[u8]) -> Result<(), Errno>;

    /// Gives both entries each other's name, in one instant.
    fn exchange(&self, a: At<'_>, b: At<'_>) -> Result<(), Errno>;

    /// Moves the entry where nothing is.
    fn rename(&self, from: At<'_>, to: At<'_>) -> Result<(), Errno>;

    /// Sets the live folder's own metadata.
    fn root(&self, live: &Folder, root: &Root) -> Result<(), VolumeError>;

    /// All that was done is on the disk when it returns.
    fn sync(&self, live: &Folder) -> Result<(), VolumeError>;

    /// Removes all that the run has kept.
    fn remove(&self, place: &Place) -> Result<(), VolumeError>;
}

#[derive(Debug, Clone, Copy)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn append(&self, journal: &OwnedFd, line: &[u8]) -> Result<(), Errno> {
        let mut rest = line;
        while !rest.is_empty() {
            match rustix::io::write(journal, rest) {
                Ok(0) => return Err(Errno::NOSPC),
                Ok(n) => rest = &rest[n..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        fdatasync(journal)
    }

    fn exchange(&self, a: At<'_>, b: At<'_>) -> Result<(), Errno> {
        renameat_with(a.folder, a.name, b.folder, b.name, RenameFlags::EXCHANGE)
    }

    fn rename(&self, from: At<'_>, to: At<'_>) -> Result<(), Errno> {
        match renameat_with(from.folder, from.name, to.folder, to.name, RenameFlags::NOREPLACE) {
            // a file system that cannot promise it: look first
            Err(Errno::INVAL | Errno::NOSYS) => match to.folder.status(to.name) {
                Err(Errno::NOENT) => renameat(from.folder, from.name, to.folder, to.name),
                Ok(_) => Err(Errno::EXIST),
                Err(errno) => Err(errno),
            },
            other => other,
        }
    }

    fn root(&self, live: &Folder, root: &Root) -> Result<(), VolumeError> {
        root.apply(live).map_err(VolumeError::file("set the metadata of", b"."))
    }

    fn sync(&self, live: &Folder) -> Result<(), VolumeError> {
        syncfs(live).map_err(VolumeError::file("sync the file system of", b"."))
    }

    fn remove(&self, place: &Place) -> Result<(), VolumeError> {
        remove::run(place)
    }
}

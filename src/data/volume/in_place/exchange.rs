//! The moves that make the new content live, and those that bring the former back. Every entry is looked at before it is
//! moved, so each of both may be done again after a crash at any instant.
//!
//! An entry with both contents goes through these states (where it is, `-` is nowhere):
//!
//! ```text
//!            live    new/    former/
//!   A        former  new     -
//!   B        new     former  -         after the exchange
//!   C        new     -       former    done
//!   A'       -       new     former    instead of B where the file system cannot exchange
//! ```
//!
//! A and B hold the same names: the inodes that were planned tell them apart.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::super::VolumeError;
use super::super::exclude::{Excludes, RESERVED};
use super::super::folder::Folder;
use super::super::path::shown;
use super::disk::{At, Disk};
use super::journal::{Planned, State};
use super::place::Place;

/// What is live at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    New,
    Former,
}

/// Every top-level name of the live folder and of the copy. What captures leave out, and the copy has not, stays where it
/// is: it is its own new content.
pub(super) fn plan(place: &Place, excludes: &Excludes) -> Result<Vec<Planned>, VolumeError> {
    let mut names: BTreeMap<Vec<u8>, (Option<u64>, Option<u64>)> = BTreeMap::new();
    for (name, inode) in inodes(&place.live)? {
        names.entry(name).or_default().0 = Some(inode);
    }
    for (name, inode) in inodes(&place.new)? {
        names.entry(name).or_default().1 = Some(inode);
    }
    let planned = |(name, (former, new)): (Vec<u8>, (Option<u64>, Option<u64>))| {
        let stays = new.is_none() && excludes.leave_out(&name);
        Planned { name, former, new: if stays { former } else { new } }
    };
    Ok(names.into_iter().map(planned).collect())
}

/// By `statx`: what getdents says may differ on a mount point or an overlay.
fn inodes(folder: &Folder) -> Result<Vec<(Vec<u8>, u64)>, VolumeError> {
    let mut found = Vec::new();
    for entry in folder.entries().map_err(VolumeError::file("list", b"."))? {
        if !RESERVED.contains(&&*entry.name) {
            let status = folder.status(&entry.name).map_err(VolumeError::file("look at", &entry.name))?;
            found.push((entry.name.into_vec(), status.inode));
        }
    }
    Ok(found)
}

/// Whether `new/` has, after an undo, anything but what the run itself had put there.
pub(super) fn holds_what_is_not_planned(place: &Place, state: &State) -> Result<bool, VolumeError> {
    let ours = |name: &[u8], inode| {
        let planned = state.entries.binary_search_by(|planned| planned.name.as_slice().cmp(name));
        planned.is_ok_and(|at| state.entries[at].new == Some(inode))
    };
    Ok(inodes(&place.new)?.iter().any(|(name, inode)| !ours(name, *inode)))
}

#[derive(Debug)]
pub(super) struct Moves<'p> {
    place: &'p Place,
    disk: &'p dyn Disk,
}

/// Where an entry is: the inodes that have its name.
#[derive(Debug, Clone, Copy)]
struct Found {
    live: Option<u64>,
    new: Option<u64>,
    former: Option<u64>,
}

impl<'p> Moves<'p> {
    pub(super) fn new(place: &'p Place, disk: &'p dyn Disk) -> Self {
        Self { place, disk }
    }

    /// Makes the entry's new content live; `tried`: it may have been moved before.
    ///
    /// # Errors
    /// `Changed` when what lies there is none of the states above.
    pub(super) fn forward(&self, entry: &Planned, tried: bool) -> Result<(), VolumeError> {
        if entry.stays() {
            return Ok(());
        }
        let found = self.find(entry)?;
        match (entry.former, entry.new) {
            (Some(former), Some(new)) => self.forward_both(entry, found, (former, new), tried),
            (Some(_), None) => match (found.live, found.former) {
                (Some(_), None) => self.rename(entry, &self.place.live, &self.place.former),
                (None, _) => Ok(()),
                (Some(_), Some(_)) => Err(self.changed(entry)),
            },
            (None, Some(_)) => match (found.live, found.new) {
                (None, Some(_)) => self.rename(entry, &self.place.new, &self.place.live),
                (Some(_), None) => Ok(()),
                // somebody has made one meanwhile: it is kept with the former ones
                (Some(_), Some(_)) if found.former.is_none() => self.in_two_steps(entry),
                _ => Err(self.changed(entry)),
            },
            (None, None) => Ok(()),
        }
    }

    fn forward_both(&self, entry: &Planned, found: Found, planned: (u64, u64), tried: bool) -> Result<(), VolumeError> {
        let Place { live, new, former, .. } = self.place;
        match (found.live, found.new, found.former) {
            (Some(_), None, Some(_)) => Ok(()),
            (None, Some(_), _) => self.rename(entry, new, live),
            (Some(there), Some(beside), None) if (there, beside) == (planned.1, planned.0) => {
                self.rename(entry, new, former)
            }
            (Some(there), Some(beside), None) if beside == planned.1 && (there == planned.0 || !tried) => {
                match self.disk.exchange(self.at(live, entry), self.at(new, entry)) {
                    Ok(()) => self.rename(entry, new, former),
                    Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.in_two_steps(entry),
                    Err(errno) => Err(VolumeError::file("exchange", &entry.name)(errno)),
                }
            }
            _ => Err(self.changed(entry)),
        }
    }

    /// For file systems that cannot exchange: for an instant the name is nowhere.
    fn in_two_steps(&self, entry: &Planned) -> Result<(), VolumeError> {
        self.rename(entry, &self.place.live, &self.place.former)?;
        self.rename(entry, &self.place.new, &self.place.live)
    }

    /// Makes the entry's former content live again; `tried`: it may have been moved forward.
    ///
    /// # Errors
    /// `Changed` when what lies there is none of the states above.
    pub(super) fn back(&self, entry: &Planned, tried: bool) -> Result<(), VolumeError> {
        if entry.stays() {
            return Ok(());
        }
        let found = self.find(entry)?;
        let Place { live, new, former, .. } = self.place;
        match (found.live, found.new, found.former) {
            // C, or what stands for it: the live one aside, then the former back
            (Some(_), None, Some(_)) => {
                self.rename(entry, live, new)?;
                self.rename(entry, former, live)
            }
            (None, _, Some(_)) => self.rename(entry, former, live),
            (Some(_), None, None) if entry.former.is_none() => self.rename(entry, live, new),
            (Some(there), Some(beside), None) if entry.former.is_some() => {
                if Some(there) == entry.new && Some(beside) == entry.former {
                    self.exchange_back(entry)
                } else if Some(there) == entry.former || !tried {
                    Ok(()) // A
                } else {
                    Err(self.changed(entry))
                }
            }
            (None, _, None) | (Some(_), None, None) => Ok(()),
            (Some(_), Some(_), None) => Ok(()), // there was none: somebody has made one, in nobody's way
            (Some(_), Some(_), Some(_)) => Err(self.changed(entry)),
        }
    }

    fn exchange_back(&self, entry: &Planned) -> Result<(), VolumeError> {
        self.disk
            .exchange(self.at(&self.place.live, entry), self.at(&self.place.new, entry))
            .map_err(VolumeError::file("exchange", &entry.name))
    }

    /// Moves live entries that no content has out of the way, kept with what is not live: somebody made them while the
    /// run was on, or since it was finished.
    pub(super) fn put_aside_what_appeared(&self, state: &State, whole: Whole) -> Result<(), VolumeError> {
        let (aside, known): (_, fn(&Planned) -> bool) = match whole {
            Whole::New => (&self.place.former, |entry| entry.new.is_some()),
            Whole::Former => (&self.place.new, |_| true),
        };
        for entry in self.place.live.entries().map_err(VolumeError::file("list", b"."))? {
            let planned = state.entries.binary_search_by(|planned| planned.name.as_slice().cmp(&entry.name));
            let belongs = planned.is_ok_and(|at| known(&state.entries[at]));
            if !belongs && !RESERVED.contains(&&*entry.name) {
                let name = &*entry.name;
                self.disk
                    .rename(At { folder: &self.place.live, name }, At { folder: aside, name })
                    .map_err(VolumeError::file("put aside", name))?;
            }
        }
        Ok(())
    }

    fn find(&self, entry: &Planned) -> Result<Found, VolumeError> {
        let inode = |folder: &Folder| match folder.status(&entry.name) {
            Ok(status) => Ok(Some(status.inode)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(VolumeError::file("look at", &entry.name)(errno)),
        };
        let Place { live, new, former, .. } = self.place;
        Ok(Found { live: inode(live)?, new: inode(new)?, former: inode(former)? })
    }

    fn rename(&self, entry: &Planned, from: &'p Folder, to: &'p Folder) -> Result<(), VolumeError> {
        self.disk.rename(self.at(from, entry), self.at(to, entry)).map_err(VolumeError::file("move", &entry.name))
    }

    fn at<'a>(&self, folder: &'a Folder, entry: &'a Planned) -> At<'a> {
        At { folder, name: &entry.name }
    }

    fn changed(&self, entry: &Planned) -> VolumeError {
        VolumeError::Changed { path: format!("{}/{}", self.place.folder_path(), shown(&entry.name)) }
    }
}

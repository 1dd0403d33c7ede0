//! Owner, attributes, mode, ACLs, times, in the order in which none undoes another: a change of owner clears set-id
//! bits and capabilities, a mode rewrites the ACL's mask, and everything but the times changes ctime alone.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens, utimensat};
use rustix::io::Errno;

use crate::repository::{Node, NodeKind, TreeId};

use super::super::VolumeError;
use super::super::attributes::{ACCESS_ACL, Bearer, DEFAULT_ACL};
use super::super::beneath::open_beneath;
use super::super::folder::Folder;
use super::super::path::join;
use super::{Restore, Shortfalls};

/// Set-user-id and set-group-id: dangerous under an owner that is not the recorded one.
const SET_ID: u32 = 0o6000;

/// Dresses an open file or folder.
pub(in super::super) fn open(shortfalls: &Shortfalls, fd: BorrowedFd<'_>, node: &Node) -> Result<(), Errno> {
    let owned = owner(shortfalls, node, |uid, gid| fchown(fd, uid, gid))?;
    let bearer = Bearer::Open(fd);
    attributes(shortfalls, bearer, node, false)?;
    fchmod(fd, mode(node, owned))?;
    attributes(shortfalls, bearer, node, true)?;
    futimens(fd, &timestamps(node.atime_ns, node.mtime_ns))
}

/// Dresses a link, FIFO, socket or device just made in `folder`.
pub(super) fn special(shortfalls: &Shortfalls, folder: &Folder, node: &Node) -> Result<(), Errno> {
    let name = node.name.as_slice();
    let owned = owner(shortfalls, node, |uid, gid| chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))?;
    let path = folder.proc_path(name);
    attributes(shortfalls, Bearer::At(&path), node, false)?;
    if !matches!(node.kind, NodeKind::Symlink { .. }) {
        // A handle on the thing itself, without opening the device; /proc turns it into a name that chmod takes.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(folder, name, flags, Mode::empty())?;
        rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), mode(node, owned))?;
    }
    attributes(shortfalls, Bearer::At(&path), node, true)?;
    utimensat(folder, name, &timestamps(node.atime_ns, node.mtime_ns), AtFlags::SYMLINK_NOFOLLOW)
}

/// Dresses every folder below `root`, the deepest first, for a folder that may not be entered any more, or whose time
/// a new entry would change, must be complete; then the root itself where its metadata is known.
pub(super) fn folders(restore: &Restore, root: &Folder) -> Result<(), VolumeError> {
    let mut stack = vec![Visit::Enter { path: Vec::new(), tree: restore.tree }];
    while let Some(visit) = stack.pop() {
        restore.stop.check()?;
        match visit {
            Visit::Enter { path, tree } => restore.trees.each(&tree, |mut node| {
                if let NodeKind::Dir { subtree } = node.kind {
                    let below = join(&path, &node.name);
                    node.name = Vec::new();
                    stack.push(Visit::Leave { path: below.clone(), node: Box::new(node) });
                    stack.push(Visit::Enter { path: below, tree: subtree });
                }
                Ok(())
            })?,
            Visit::Leave { path, node } => one(restore, root, &path, &node)?,
        }
    }
    match &restore.options.root {
        Some(node) => {
            strip_inherited(Bearer::Open(root.as_fd())).map_err(VolumeError::file("remove the ACL of", b"."))?;
            one(restore, root, b"", node)
        }
        None => Ok(()),
    }
}

#[derive(Debug)]
enum Visit {
    Enter { path: Vec<u8>, tree: TreeId },
    Leave { path: Vec<u8>, node: Box<Node> },
}

fn one(restore: &Restore, root: &Folder, path: &[u8], node: &Node) -> Result<(), VolumeError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let folder = open_beneath(root, path, flags, Mode::empty()).map_err(VolumeError::file("open", path))?;
    open(&restore.shortfalls, folder.as_fd(), node).map_err(VolumeError::file("set the metadata of", path))
}

/// Whether owner and group are as recorded now. Who may not give a file away may still give it to a group of his own.
fn owner(
    shortfalls: &Shortfalls,
    node: &Node,
    change: impl Fn(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
) -> Result<bool, Errno> {
    let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
    match change(Some(uid), Some(gid)) {
        Ok(()) => Ok(true),
        refused => {
            shortfalls.of_owner(refused)?;
            shortfalls.of_owner(change(None, Some(gid)))?;
            Ok(false)
        }
    }
}

fn mode(node: &Node, owned: bool) -> Mode {
    Mode::from_raw_mode(if owned { node.mode } else { node.mode & !SET_ID })
}

/// Sets the ACLs, or everything else.
fn attributes(shortfalls: &Shortfalls, bearer: Bearer<'_>, node: &Node, acls: bool) -> Result<(), Errno> {
    let is_acl = |name: &str| name == ACCESS_ACL || name == DEFAULT_ACL;
    for (name, value) in node.extended_attributes.iter().filter(|(name, _)| is_acl(name) == acls) {
        shortfalls.of_attribute(name, bearer.set(name, value))?;
    }
    Ok(())
}

/// Takes away the ACLs that a new entry got from the folder that it was made in.
pub(super) fn strip_inherited(bearer: Bearer<'_>) -> Result<(), Errno> {
    bearer.remove(DEFAULT_ACL)?;
    bearer.remove(ACCESS_ACL)
}

pub(in super::super) fn times(fd: BorrowedFd<'_>, atime_ns: i128, mtime_ns: i128) -> Result<(), Errno> {
    futimens(fd, &timestamps(atime_ns, mtime_ns))
}

fn timestamps(atime_ns: i128, mtime_ns: i128) -> Timestamps {
    Timestamps { last_access: timespec(atime_ns), last_modification: timespec(mtime_ns) }
}

/// Times before 1970 have negative seconds and positive nanoseconds.
fn timespec(ns: i128) -> Timespec {
    let seconds = i64::try_from(ns.div_euclid(1_000_000_000)).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX });
    Timespec { tv_sec: seconds, tv_nsec: ns.rem_euclid(1_000_000_000) as _ }
}

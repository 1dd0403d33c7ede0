//! Makes everything that the trees name: folders, links and devices at once, files in batches by the order of the packs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, mkdirat, mknodat, openat, symlinkat, unlinkat};
use rustix::io::Errno;

use crate::progress::Task;
use crate::repository::{BlobId, Node, NodeKind, TreeId};

use super::super::VolumeError;
use super::super::attributes::{Bearer, DEFAULT_ACL};
use super::super::folder::Folder;
use super::super::path::{join, shown, split};
use super::super::status::Kind;
use super::batch::Batch;
use super::{Merge, Restore, dress, fill, space};

/// Names of one inode in the snapshot. The content is part of it: a file that was changed between the reading of two of
/// its names is recorded in two states, which cannot be one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct Linked {
    device: u64,
    inode: u64,
    content: u64,
}

impl Linked {
    /// None for what has one name, and for folders.
    pub(in super::super) fn of(node: &Node) -> Option<Self> {
        if node.links < 2 || matches!(node.kind, NodeKind::Dir { .. }) {
            return None;
        }
        let mut hash = DefaultHasher::new();
        Kind::of(&node.kind).hash(&mut hash);
        if let NodeKind::File { content, bytes } = &node.kind {
            (content, bytes).hash(&mut hash);
        }
        Some(Self { device: node.device_id, inode: node.inode, content: hash.finish() })
    }
}

#[derive(Debug)]
struct Make<'r> {
    restore: &'r Restore,
    root: &'r Folder,
    merge: Merge,
    task: &'r Task,
    batch: Batch,
    /// Where the first name of each inode was made, and how many are to come.
    linked: HashMap<Linked, First>,
}

#[derive(Debug)]
struct First {
    path: Vec<u8>,
    to_come: u64,
}

/// The folder that entries are being made in.
#[derive(Debug)]
struct Place<'p> {
    folder: &'p Folder,
    path: &'p [u8],
    /// Its entries get its default ACL when they are made, which is not theirs.
    hands_down_acl: bool,
}

/// Makes all below `root` and fills it; folders keep mode 0700 until they are dressed.
pub(super) fn everything(restore: &Restore, root: &Folder, merge: Merge, task: &Task) -> Result<(), VolumeError> {
    let (batch, linked) = (Batch::default(), HashMap::new());
    let mut make = Make { restore, root, merge, task, batch, linked };
    let mut folders = vec![(Vec::new(), restore.tree)];
    while let Some((path, tree)) = folders.pop() {
        make.folder(&path, &tree, &mut folders)?;
    }
    make.fill()
}

impl Make<'_> {
    fn folder(&mut self, path: &[u8], tree: &TreeId, below: &mut Vec<(Vec<u8>, TreeId)>) -> Result<(), VolumeError> {
        let folder = self.root.below(path).map_err(VolumeError::file("open", path))?;
        let place = Place { folder: &folder, path, hands_down_acl: self.hands_down_acl(&folder, path)? };
        let restore = self.restore;
        restore.trees.each(tree, |node| {
            restore.stop.check()?;
            let path = join(place.path, &node.name);
            if let NodeKind::Dir { subtree } = node.kind {
                self.make_folder(&place, &path, &node.name)?;
                below.push((path, subtree));
                self.task.add_items(1);
                return Ok(());
            }
            self.entry(&place, &path, node)
        })
    }

    /// Only the target itself, or a folder that was there before, can have a default ACL while things are made in it.
    fn hands_down_acl(&self, folder: &Folder, path: &[u8]) -> Result<bool, VolumeError> {
        if !path.is_empty() && self.merge == Merge::Empty {
            return Ok(false);
        }
        let attributes = Bearer::Open(folder.as_fd()).read(|_| {});
        let attributes = attributes.map_err(VolumeError::file("read the attributes of", path))?;
        Ok(attributes.iter().any(|(name, _)| name == DEFAULT_ACL))
    }

    fn make_folder(&self, place: &Place<'_>, path: &[u8], name: &[u8]) -> Result<(), VolumeError> {
        let failed = || VolumeError::file("make the folder", path);
        let there = self.merge != Merge::Empty && place.folder.status(name).is_ok_and(|s| s.kind == Kind::Folder);
        if !there {
            self.make_room(place, path, name)?;
            mkdirat(place.folder, name, Mode::RWXU).map_err(failed())?;
        }
        if place.hands_down_acl && !there {
            dress::strip_inherited(Bearer::At(&place.folder.proc_path(name))).map_err(failed())?;
        }
        Ok(())
    }

    /// Anything but a folder.
    fn entry(&mut self, place: &Place<'_>, path: &[u8], mut node: Node) -> Result<(), VolumeError> {
        self.make_room(place, path, &node.name)?;
        let (linked, links) = (Linked::of(&node), node.links);
        if let Some(linked) = linked
            && self.link(place, path, &node.name, linked)?
        {
            self.task.add_items(1);
            return Ok(());
        }
        let made = match &mut node.kind {
            NodeKind::File { content, .. } => {
                let content = std::mem::take(content);
                self.file(place, path, node, content)?;
                true
            }
            _ => self.special(place, path, &node)?,
        };
        if let Some(linked) = linked.filter(|_| made) {
            self.linked.insert(linked, First { path: path.to_vec(), to_come: links - 1 });
        }
        Ok(())
    }

    /// Takes away what is in the way, where that is allowed.
    fn make_room(&self, place: &Place<'_>, path: &[u8], name: &[u8]) -> Result<(), VolumeError> {
        if self.merge == Merge::Empty {
            return Ok(());
        }
        match unlinkat(place.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(VolumeError::InTheWay { path: shown(path) }),
            Err(errno) => Err(VolumeError::file("replace", path)(errno)),
        }
    }

    /// Gives a further name to what was made under its first; false when this is the first.
    fn link(&mut self, place: &Place<'_>, path: &[u8], name: &[u8], linked: Linked) -> Result<bool, VolumeError> {
        let Some(first) = self.linked.get_mut(&linked) else { return Ok(false) };
        first.to_come -= 1;
        let (folder, first_name) = split(&first.path);
        let folder = self.root.below(folder).map_err(VolumeError::file("open", folder))?;
        linkat(&folder, first_name, place.folder, name, AtFlags::empty()).map_err(VolumeError::file("link", path))?;
        if first.to_come == 0 {
            self.linked.remove(&linked);
        }
        Ok(true)
    }

    fn file(&mut self, place: &Place<'_>, path: &[u8], node: Node, content: Vec<BlobId>) -> Result<(), VolumeError> {
        let NodeKind::File { bytes, .. } = node.kind else { unreachable!("the caller has looked") };
        let several_names = node.links > 1;
        if content.is_empty() || several_names || place.hands_down_acl {
            self.make_file(place, path, &node, content.is_empty())?;
        }
        if content.is_empty() {
            self.task.add_items(1);
            return Ok(());
        }
        let mut sized = node.clone();
        sized.kind = NodeKind::File { content: Vec::new(), bytes };
        let lengths = space::lengths(self.restore, &sized, &content)?;
        let content: Vec<_> = content.into_iter().zip(lengths).collect();
        let exists = several_names || place.hands_down_acl;
        let (mut from, mut offset) = (0, 0);
        while from < content.len() {
            let (taken, end) = self.batch.add(path, &sized, bytes, &content[from..], offset, exists || from > 0);
            (from, offset) = (from + taken, end);
            if self.batch.is_full() {
                self.fill()?;
            }
        }
        Ok(())
    }

    /// Makes the file now rather than when its first bytes come: because none come, it gets further names, or it must
    /// be rid of what its folder hands down.
    fn make_file(&self, place: &Place<'_>, path: &[u8], node: &Node, is_all: bool) -> Result<(), VolumeError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(place.folder, node.name.as_slice(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(VolumeError::file("make", path))?;
        if place.hands_down_acl {
            dress::strip_inherited(Bearer::Open(file.as_fd())).map_err(VolumeError::file("make", path))?;
        }
        if is_all {
            dress::open(&self.restore.shortfalls, file.as_fd(), node)
                .map_err(VolumeError::file("set the metadata of", path))?;
        }
        Ok(())
    }

    /// Whether it was made: devices may be refused.
    fn special(&self, place: &Place<'_>, path: &[u8], node: &Node) -> Result<bool, VolumeError> {
        let name = node.name.as_slice();
        let node_of = |kind, device| mknodat(place.folder, name, kind, Mode::RUSR | Mode::WUSR, device);
        let made = match &node.kind {
            NodeKind::Symlink { target } => symlinkat(target.as_slice(), place.folder, name).map(|()| true),
            NodeKind::Fifo => node_of(FileType::Fifo, 0).map(|()| true),
            NodeKind::Socket => node_of(FileType::Socket, 0).map(|()| true),
            NodeKind::CharDevice { device } => {
                self.restore.shortfalls.of_device(node_of(FileType::CharacterDevice, *device))
            }
            NodeKind::BlockDevice { device } => {
                self.restore.shortfalls.of_device(node_of(FileType::BlockDevice, *device))
            }
            NodeKind::File { .. } | NodeKind::Dir { .. } => unreachable!("made elsewhere"),
        };
        let made = made.map_err(VolumeError::file("make", path))?;
        self.task.add_items(1);
        if made {
            if place.hands_down_acl && !matches!(node.kind, NodeKind::Symlink { .. }) {
                dress::strip_inherited(Bearer::At(&place.folder.proc_path(name)))
                    .map_err(VolumeError::file("remove the ACL of", path))?;
            }
            dress::special(&self.restore.shortfalls, place.folder, node)
                .map_err(VolumeError::file("set the metadata of", path))?;
        }
        Ok(made)
    }

    fn fill(&mut self) -> Result<(), VolumeError> {
        fill::batch(self.restore, self.root, std::mem::take(&mut self.batch), self.task)
    }
}

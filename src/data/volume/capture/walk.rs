//! The walk: depth first, names in order, so that a folder is complete soon after its last entry. Unchanged files and
//! whatever has no content are settled here; files that must be read go to the readers.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use crate::repository::{Node, NodeKind, Tree, TreeId};

use super::super::VolumeError;
use super::super::attributes::Bearer;
use super::super::blocking::{Failure, Jobs};
use super::super::folder::{Entry, Folder};
use super::super::limits::raise_open_files;
use super::super::path::{join, shown};
use super::super::status::{Kind, Status};
use super::draft::{Above, Draft};
use super::links::{Met, Name};
use super::previous::{Former, Previous};
use super::read::{Job, Look, entry, open_attributes, reader, settle_names, special};
use super::session::Session;

/// Entries looked at together, in the order of their inodes, which is the order on many disks; within one window nodes
/// wait for each other, so it bounds memory.
const WINDOW: usize = 4_096;

/// Small files are handed to a reader together, so many or so many bytes of them.
const TOGETHER: usize = 32;
const TOGETHER_BYTES: u64 = 1 << 20;

/// Handfuls of files that wait for a reader. Each file holds its folder open.
const WAITING: usize = 8;

/// A folder that the walk is in.
#[derive(Debug)]
struct Frame {
    folder: Arc<Folder>,
    draft: Arc<Draft>,
    previous: Previous,
    entries: Vec<Entry>,
    /// Entries before this one have been looked at.
    next: usize,
    /// Folders of the current window, the last one first.
    below: Vec<usize>,
}

#[derive(Debug)]
struct Walk<'s> {
    session: &'s Session,
    jobs: Outbox,
    /// The file system of the root.
    device: u64,
    frames: Vec<Frame>,
}

/// Stores everything below `root`; the root's own node (its name is empty) and its tree.
///
/// # Errors
/// The first one of the walk or a reader.
pub(super) fn run(
    session: &Session,
    root: Folder,
    parent: Option<TreeId>,
    readers: usize,
) -> Result<(Node, TreeId), VolumeError> {
    raise_open_files();
    let result = Arc::new(OnceLock::new());
    let failure = Failure::new(session.stop.clone());
    let (sender, jobs) = Jobs::new(WAITING);
    let node = std::thread::scope(|scope| {
        for _ in 0..readers.max(1) {
            scope.spawn(|| {
                failure.note(reader(session, &jobs));
                while jobs.next().is_some() {} // after a failure: the walk must not wait for a reader that is gone
            });
        }
        let walked = from_root(session, root, parent, sender, &result);
        // The walk's own error last: a reader's is the cause when both have one.
        walked.map_err(|error| failure.note(Err(error))).ok()
    });
    failure.into_result()?;
    session.stop.check()?;
    let tree = result.get().copied();
    node.zip(tree).ok_or(VolumeError::Cancelled)
}

fn from_root(
    session: &Session,
    root: Folder,
    parent: Option<TreeId>,
    jobs: SyncSender<Vec<Job>>,
    result: &Arc<OnceLock<TreeId>>,
) -> Result<Node, VolumeError> {
    let status = root.own_status().map_err(VolumeError::file("look at", b"."))?;
    let attributes = open_attributes(session, std::os::fd::AsFd::as_fd(&root), b".")?;
    let node = session.node(b"", &status, placeholder(), attributes);
    let jobs = Outbox { readers: jobs, waiting: Vec::new(), bytes: 0 };
    let mut walk = Walk { session, jobs, device: status.device, frames: Vec::new() };
    walk.enter(root, Vec::new(), node.clone(), parent.into(), Above::Nobody(Arc::clone(result)))?;
    walk.go_on()?;
    Ok(node)
}

/// Stands where the subtree will be known later.
fn placeholder() -> NodeKind {
    NodeKind::Dir { subtree: TreeId([0; 32]) }
}

impl Walk<'_> {
    fn go_on(&mut self) -> Result<(), VolumeError> {
        while let Some(frame) = self.frames.last_mut() {
            self.session.stop.check()?;
            if let Some(at) = frame.below.pop() {
                self.folder(at)?;
            } else if frame.next < frame.entries.len() {
                self.window()?;
            } else {
                self.frames.pop();
            }
        }
        Ok(())
    }

    /// Lists a folder and makes it the current one.
    fn enter(
        &mut self,
        folder: Folder,
        path: Vec<u8>,
        node: Node,
        former: Former,
        above: Above,
    ) -> Result<(), VolumeError> {
        let mut entries = match (folder.entries(), &above) {
            (Err(Errno::NOENT), Above::Folder { draft, at }) => return draft.settle(self.session, *at, None),
            (entries, _) => entries.map_err(VolumeError::file("list", &path))?,
        };
        entries.retain(|entry| !self.session.excludes.leave_out(&join(&path, &entry.name)));
        let previous = Previous::load(self.session, former, &path)?;
        let draft = Draft::new(path, previous.lost, node, above, entries.len());
        if entries.is_empty() {
            return draft.settle_empty(self.session);
        }
        self.frames.push(Frame { folder: Arc::new(folder), draft, previous, entries, next: 0, below: Vec::new() });
        Ok(())
    }

    /// Looks at the next entries of the current folder.
    fn window(&mut self) -> Result<(), VolumeError> {
        let Self { session, jobs, device, frames } = self;
        let frame = frames.last_mut().expect("the caller has looked at the last frame");
        let start = frame.next;
        let end = frame.entries.len().min(start + WINDOW);
        let mut order: Vec<usize> = (start..end).collect();
        order.sort_unstable_by_key(|at| frame.entries[*at].inode);
        for at in order {
            if (Entered { session, device: *device, frame, at }).look(jobs)? {
                frame.below.push(at);
            }
        }
        jobs.flush()?;
        frame.next = end;
        frame.below.sort_unstable_by(|a, b| b.cmp(a));
        Ok(())
    }

    /// Goes into the folder at position `at` of the current one.
    fn folder(&mut self, at: usize) -> Result<(), VolumeError> {
        let session = self.session;
        let frame = self.frames.last().expect("the caller has looked at the last frame");
        let name = &frame.entries[at].name;
        let path = join(&frame.draft.path, name);
        let child = match frame.folder.child(name) {
            Err(Errno::NOENT) => return frame.draft.settle(session, at, None),
            Err(Errno::NOTDIR | Errno::LOOP) => return replaced(session, frame, at),
            child => child.map_err(VolumeError::file("open", &path))?,
        };
        let status = child.own_status().map_err(VolumeError::file("look at", &path))?;
        let previous = frame.previous.get(name);
        let node = match session.unchanged(&status, previous)? {
            Some(node) => node,
            None => {
                let attributes = open_attributes(session, std::os::fd::AsFd::as_fd(&child), &path)?;
                session.node(name, &status, placeholder(), attributes)
            }
        };
        let above = Above::Folder { draft: Arc::clone(&frame.draft), at };
        let subtree = frame.previous.subtree(name);
        self.enter(child, path, node, subtree, above)
    }
}

/// What was a folder when it was looked at is something else now, perhaps a file.
fn replaced(session: &Session, frame: &Frame, at: usize) -> Result<(), VolumeError> {
    let mut buffer = vec![0; super::content::READ_BYTES];
    let node = entry(session, &frame.folder, &frame.draft.path, &frame.entries[at].name, &mut buffer)?;
    frame.draft.settle(session, at, node)
}

/// Files on their way to the readers, small ones several at a time: handing one over costs two threads' waking.
#[derive(Debug)]
struct Outbox {
    readers: SyncSender<Vec<Job>>,
    waiting: Vec<Job>,
    bytes: u64,
}

impl Outbox {
    fn push(&mut self, job: Job, bytes: u64) -> Result<(), VolumeError> {
        self.waiting.push(job);
        self.bytes += bytes;
        if self.bytes >= TOGETHER_BYTES || self.waiting.len() >= TOGETHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), VolumeError> {
        self.bytes = 0;
        let jobs = std::mem::take(&mut self.waiting);
        // The receiver outlives the walk.
        self.readers.send(jobs).map_err(|_| VolumeError::Cancelled)
    }
}

/// One entry of the current folder.
#[derive(Debug)]
struct Entered<'a> {
    session: &'a Session,
    device: u64,
    frame: &'a Frame,
    at: usize,
}

impl Entered<'_> {
    /// Settles the entry or hands it to a reader; true when it is a folder to go into.
    fn look(&self, jobs: &mut Outbox) -> Result<bool, VolumeError> {
        self.session.stop.check()?;
        let status = match self.frame.folder.status(self.name()) {
            Err(Errno::NOENT) => return self.settle(None).map(|()| false),
            status => status.map_err(VolumeError::file("look at", &self.path()))?,
        };
        if self.session.one_file_system && status.device != self.device {
            return self.other_file_system(&status).map(|()| false);
        }
        match status.kind {
            Kind::Folder => Ok(true),
            Kind::File => self.file(&status, jobs).map(|()| false),
            _ => self.special(&status).map(|()| false),
        }
    }

    fn file(&self, status: &Status, jobs: &mut Outbox) -> Result<(), VolumeError> {
        let name = || Name {
            draft: Arc::clone(&self.frame.draft),
            folder: Arc::clone(&self.frame.folder),
            at: self.at,
            name: self.name().into(),
        };
        let inode = match self.session.links.meet(status, name) {
            Met::Waits => return Ok(()),
            Met::Known(node) => {
                self.session.count_item(0);
                return self.settle(Some(Node { name: self.name().to_vec(), ..*node }));
            }
            Met::First(inode) => Some(inode),
            Met::Alone => None,
        };
        if let Some(node) = self.session.unchanged(status, self.previous())? {
            if let Some(inode) = inode {
                settle_names(self.session, self.session.links.read(inode, &node), &node)?;
            }
            self.session.count_item(status.bytes);
            return self.settle(Some(node));
        }
        let Name { draft, folder, at, name } = name();
        jobs.push(Job { draft, folder, at, name, inode }, status.bytes)
    }

    fn special(&self, status: &Status) -> Result<(), VolumeError> {
        if let Some(node) = self.session.unchanged(status, self.previous())? {
            self.session.count_item(0);
            return self.settle(Some(node));
        }
        let look = special(self.session, &self.frame.folder, &self.path(), self.name(), status)?;
        match look {
            Look::Is(node) => self.settle(Some(*node)),
            Look::Gone => self.settle(None),
            Look::BecameOther => replaced(self.session, self.frame, self.at),
        }
    }

    /// A mount point is kept as an empty folder, so that it can be mounted again; a file of another file system is not.
    fn other_file_system(&self, status: &Status) -> Result<(), VolumeError> {
        let path = self.path();
        self.session.notes.add(format!("{} is on another file system: what it holds is not kept", shown(&path)));
        if status.kind != Kind::Folder {
            return self.settle(None);
        }
        let subtree = self.session.stop.wait(self.session.writer.tree(&Tree::default()))?;
        let attributes = Bearer::At(&self.frame.folder.proc_path(self.name())).read(self.session.unkept(&path));
        let attributes = attributes.map_err(VolumeError::file("read the attributes of", &path))?;
        self.settle(Some(self.session.node(self.name(), status, NodeKind::Dir { subtree }, attributes)))
    }

    fn settle(&self, node: Option<Node>) -> Result<(), VolumeError> {
        self.frame.draft.settle(self.session, self.at, node)
    }

    fn previous(&self) -> Option<&Node> {
        self.frame.previous.get(self.name())
    }

    fn name(&self) -> &[u8] {
        &self.frame.entries[self.at].name
    }

    fn path(&self) -> Vec<u8> {
        join(&self.frame.draft.path, self.name())
    }
}

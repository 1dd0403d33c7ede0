//! One entry, read until what was read belongs together.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use crate::repository::{FileContent, Node, NodeKind};

use super::super::VolumeError;
use super::super::attributes::{Attributes, Bearer};
use super::super::blocking::Jobs;
use super::super::folder::Folder;
use super::super::path::{join, shown};
use super::super::status::{Kind, Status};
use super::content::{READ_BYTES, feed};
use super::draft::Draft;
use super::links::{Inode, Name};
use super::session::Session;

/// A file is read at most so often: four looks tell a file that is being written from one that was just saved.
const MOST_READS: u32 = 4;
/// … and one above this only twice: another hour of reading would not find it still.
const LARGE_BYTES: u64 = 1 << 30;

/// Kernels stamp files with a clock that advances every 4 to 10 ms: a change within the same tick as the last one
/// leaves the times as they were. A file younger than this is let grow older before it is read.
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// A file for a reader.
#[derive(Debug)]
pub(super) struct Job {
    pub draft: Arc<Draft>,
    pub folder: Arc<Folder>,
    pub at: usize,
    pub name: Box<[u8]>,
    /// Of a file with several names, whose first this is.
    pub inode: Option<Inode>,
}

/// What an entry turned out to be.
#[derive(Debug)]
pub(super) enum Look {
    Is(Box<Node>),
    Gone,
    /// It was replaced by something of another kind between two calls: look again.
    BecameOther,
}

/// Reads jobs until there are no more, or something failed.
pub(super) fn reader(session: &Session, jobs: &Jobs<Vec<Job>>) -> Result<(), VolumeError> {
    let mut buffer = vec![0; READ_BYTES];
    while let Some(jobs) = jobs.next() {
        for job in jobs {
            session.stop.check()?;
            job.run(session, &mut buffer)?;
        }
    }
    Ok(())
}

impl Job {
    fn run(mut self, session: &Session, buffer: &mut [u8]) -> Result<(), VolumeError> {
        loop {
            let path = join(&self.draft.path, &self.name);
            let node = match file(session, &self.folder, &path, &self.name, buffer)? {
                Look::Is(node) => Some(*node),
                Look::Gone => None,
                Look::BecameOther => entry(session, &self.folder, &self.draft.path, &self.name, buffer)?,
            };
            let Some(inode) = self.inode else { return self.draft.settle(session, self.at, node) };
            if let Some(node) = &node {
                settle_names(session, session.links.read(inode, node), node)?;
            }
            let next = if node.is_none() { session.links.gone(inode) } else { None };
            self.draft.settle(session, self.at, node)?;
            let Some(next) = next else { return Ok(()) };
            self.folder = Arc::clone(&next.folder);
            (self.draft, self.at, self.name) = (next.draft, next.at, next.name);
        }
    }
}

/// Records a file's further names as its first was.
pub(super) fn settle_names(session: &Session, names: Vec<Name>, node: &Node) -> Result<(), VolumeError> {
    for Name { draft, at, name, .. } in names {
        session.count_item(0);
        draft.settle(session, at, Some(Node { name: name.into_vec(), ..node.clone() }))?;
    }
    Ok(())
}

/// The entry `name` of `folder`, whatever it is now; none when it is not there any more.
///
/// # Errors
/// When it cannot be read, with its path.
pub(super) fn entry(
    session: &Session,
    folder: &Folder,
    folder_path: &[u8],
    name: &[u8],
    buffer: &mut [u8],
) -> Result<Option<Node>, VolumeError> {
    let path = join(folder_path, name);
    for _ in 0..MOST_READS {
        let status = match folder.status(name) {
            Err(Errno::NOENT) => return Ok(None),
            status => status.map_err(VolumeError::file("look at", &path))?,
        };
        let look = match status.kind {
            Kind::File => file(session, folder, &path, name, buffer)?,
            Kind::Folder => break, // whatever it was when the folder was listed: the walk is past it
            _ => special(session, folder, &path, name, &status)?,
        };
        match look {
            Look::Is(node) => return Ok(Some(*node)),
            Look::Gone => return Ok(None),
            Look::BecameOther => {}
        }
    }
    session
        .warnings
        .add(format!("{} was replaced again and again while it was read: it is not in the snapshot", shown(&path)));
    Ok(None)
}

/// A link, FIFO, socket or device.
pub(super) fn special(
    session: &Session,
    folder: &Folder,
    path: &[u8],
    name: &[u8],
    status: &Status,
) -> Result<Look, VolumeError> {
    let kind = match status.kind {
        Kind::Symlink => match folder.link_target(name) {
            Err(Errno::NOENT) => return Ok(Look::Gone),
            Err(Errno::INVAL) => return Ok(Look::BecameOther),
            target => NodeKind::Symlink { target: target.map_err(VolumeError::file("read the link", path))? },
        },
        Kind::Fifo => NodeKind::Fifo,
        Kind::Socket => NodeKind::Socket,
        Kind::CharDevice => NodeKind::CharDevice { device: status.represents },
        Kind::BlockDevice => NodeKind::BlockDevice { device: status.represents },
        Kind::File | Kind::Folder => return Ok(Look::BecameOther),
    };
    let attributes = match Bearer::At(&folder.proc_path(name)).read(session.unkept(path)) {
        Err(Errno::NOENT) => return Ok(Look::Gone),
        attributes => attributes.map_err(VolumeError::file("read the attributes of", path))?,
    };
    session.count_item(0);
    Ok(Look::Is(Box::new(session.node(name, status, kind, attributes))))
}

/// A regular file with its content.
fn file(session: &Session, folder: &Folder, path: &[u8], name: &[u8], buffer: &mut [u8]) -> Result<Look, VolumeError> {
    let fd = match folder.file(name) {
        Err(Errno::NOENT) => return Ok(Look::Gone),
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Ok(Look::BecameOther),
        fd => fd.map_err(VolumeError::file("open", path))?,
    };
    let mut before = Status::of_open(&fd).map_err(VolumeError::file("look at", path))?;
    if before.kind != Kind::File {
        return Ok(Look::BecameOther);
    }
    let most = if before.bytes > LARGE_BYTES { 2 } else { MOST_READS };
    for read in 1.. {
        let_settle(&before);
        let content = store(session, &fd, path, &before, buffer)?;
        let attributes = open_attributes(session, fd.as_fd(), path)?;
        let after = Status::of_open(&fd).map_err(VolumeError::file("look at", path))?;
        let held_still = before.same_state(&after);
        if held_still || read == most {
            if !held_still {
                session.warnings.add(never_still(path, read));
            }
            session.count_item(0);
            // The status of before: a file that changed since is read again by the next capture.
            let kind = NodeKind::File { content: content.blobs, bytes: content.bytes };
            return Ok(Look::Is(Box::new(session.node(name, &before, kind, attributes))));
        }
        before = after;
    }
    unreachable!("the loop ends by returning")
}

fn never_still(path: &[u8], reads: u32) -> String {
    format!(
        "{} changed each of the {reads} times it was read: what the snapshot has of it may be a mixture",
        shown(path)
    )
}

pub(super) fn open_attributes(
    session: &Session,
    fd: std::os::fd::BorrowedFd<'_>,
    path: &[u8],
) -> Result<Attributes, VolumeError> {
    Bearer::Open(fd).read(session.unkept(path)).map_err(VolumeError::file("read the attributes of", path))
}

fn store(
    session: &Session,
    fd: impl AsFd,
    path: &[u8],
    status: &Status,
    buffer: &mut [u8],
) -> Result<FileContent, VolumeError> {
    let mut sink = session.writer.file();
    let fed = feed(
        fd,
        status,
        buffer,
        |error| VolumeError::file("read", path)(error),
        |bytes| {
            session.stop.check()?;
            session.task.add_bytes(bytes.len() as u64);
            session.stop.wait(sink.write(bytes))
        },
    )?;
    session.read_bytes.fetch_add(fed.read, Ordering::Relaxed);
    session.stop.wait(sink.finish())
}

/// Waits until a change of the file would show in its times.
fn let_settle(status: &Status) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i128);
    let age = now - status.ctime_ns;
    let tick = CLOCK_TICK.as_nanos() as i128;
    if (0..tick).contains(&age) {
        std::thread::sleep(Duration::from_nanos((tick - age) as u64));
    }
}

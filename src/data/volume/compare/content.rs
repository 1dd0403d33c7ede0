//! A file's bytes against its blobs: read in the pieces that the blobs have, each hashed and compared with its id, so
//! that what is verified is the file and not what was believed to be written.

use std::os::fd::OwnedFd;

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::{Mode, OFlags, SeekFrom, seek};
use rustix::io::Errno;

use crate::progress::Task;
use crate::repository::{BlobId, Node, NodeKind};

use super::super::VolumeError;
use super::super::beneath::open_beneath;
use super::super::blocking::Jobs;
use super::super::folder::{Folder, read_at};
use super::super::restore::{Restore, lengths};
use super::super::status::{Kind, Status};
use super::report::Report;
use super::{attributes_of, metadata};

const READ_BYTES: usize = 1 << 20;

/// A file to be compared.
#[derive(Debug)]
pub(super) struct FileJob {
    pub path: Vec<u8>,
    pub node: Node,
}

/// Compares files until there are no more.
pub(super) fn checker(
    record: &Restore,
    root: &Folder,
    report: &Report<'_>,
    task: &Task,
    jobs: &Jobs<FileJob>,
) -> Result<(), VolumeError> {
    let mut checker = Checker { record, root, report, task, buffer: vec![0; READ_BYTES] };
    while let Some(job) = jobs.next() {
        record.stop.check()?;
        checker.file(&job)?;
    }
    Ok(())
}

struct Checker<'r> {
    record: &'r Restore,
    root: &'r Folder,
    report: &'r Report<'r>,
    task: &'r Task,
    buffer: Vec<u8>,
}

impl Checker<'_> {
    fn file(&mut self, job: &FileJob) -> Result<(), VolumeError> {
        let FileJob { path, node } = job;
        let fd = match self.open(path) {
            Err(Errno::NOENT) => {
                self.report.missing(path, Kind::File);
                return Ok(());
            }
            Err(errno) => return self.report.closed(path, node, errno),
            Ok(fd) => fd,
        };
        let status = Status::of_open(&fd).map_err(VolumeError::file("look at", path))?;
        if status.kind != Kind::File {
            self.report.differs(path, Kind::File.word(), status.kind.word());
            return Ok(());
        }
        metadata::check(self.report, path, node, &status, &attributes_of(&fd, path)?);
        self.report.count("files", 1);
        self.content(path, node, &fd, &status)
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        match open_beneath(self.root, path, flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) => open_beneath(self.root, path, flags, Mode::empty()),
            other => other,
        }
    }

    fn content(&mut self, path: &[u8], node: &Node, fd: &OwnedFd, status: &Status) -> Result<(), VolumeError> {
        let NodeKind::File { content, bytes } = &node.kind else { unreachable!("only files are handed here") };
        if status.bytes != *bytes {
            self.report.differs(path, format!("{bytes} bytes"), format!("{} bytes", status.bytes));
            return Ok(());
        }
        let lengths = lengths(self.record, node, content)?;
        let (mut offset, mut differing) = (0, None);
        for (id, length) in content.iter().zip(lengths) {
            if differing.is_none() && !self.is_hole(fd, status, id, offset, length) {
                let found = self.hash(path, fd, offset, length)?;
                differing = (found != *id).then_some((offset, length, *id, found));
            }
            offset += length;
            self.task.add_bytes(length);
        }
        self.report.count("bytes", *bytes);
        if let Some((offset, length, expected, found)) = differing {
            let end = offset + length;
            let piece = |id: BlobId| format!("bytes {offset} to {end} with SHA-256 {id}");
            self.report.differs(path, piece(expected), piece(found));
        }
        Ok(())
    }

    /// Whether the piece is recorded as zeros and is a hole: then there is nothing to read.
    fn is_hole(&self, fd: &OwnedFd, status: &Status, id: &BlobId, offset: u64, length: u64) -> bool {
        if !status.is_sparse() {
            return false;
        }
        let hole = match seek(fd, SeekFrom::Data(offset)) {
            Ok(data) => data >= offset + length,
            Err(Errno::NXIO) => true,
            Err(_) => false, // reading tells
        };
        hole && self.record.zeros.is(id, length)
    }

    fn hash(&mut self, path: &[u8], fd: &OwnedFd, offset: u64, length: u64) -> Result<BlobId, VolumeError> {
        let mut hash = Context::new(&SHA256);
        let (mut at, end) = (offset, offset + length);
        while at < end {
            self.record.stop.check()?;
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(self.buffer.len());
            let n = read_at(fd, &mut self.buffer[..most], at).map_err(VolumeError::file("read", path))?;
            hash.update(&self.buffer[..n]);
            at += n as u64;
            if n < most {
                break; // it has been cut meanwhile: the hash tells
            }
        }
        Ok(BlobId(hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")))
    }
}

//! Blobs into files: fetched in the order of the packs, written wherever they belong, each file dressed when its last
//! piece is in.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use rustix::fs::{Mode, OFlags, ftruncate};
use rustix::io::Errno;

use crate::progress::Task;
use crate::repository::{BlobId, BlobKind, RepositoryError};

use super::super::VolumeError;
use super::super::beneath::open_beneath;
use super::super::blocking::Failure;
use super::super::folder::Folder;
use super::super::zeros::to_write;
use super::batch::{Batch, Piece, Unfinished};
use super::flush::Flusher;
use super::{Restore, dress, flush};

/// Files of several pieces that are kept open between two of them.
const MOST_OPEN: usize = 256;

type Blobs = Pin<Box<dyn Stream<Item = Result<(BlobId, Bytes), RepositoryError>> + Send>>;

struct Fill<'r> {
    restore: &'r Restore,
    root: &'r Folder,
    batch: &'r Batch,
    task: &'r Task,
    blobs: Mutex<Blobs>,
    open: Mutex<HashMap<u32, Arc<OwnedFd>>>,
    flusher: Flusher,
}

/// Writes all files of the batch.
pub(super) fn batch(restore: &Restore, root: &Folder, mut batch: Batch, task: &Task) -> Result<(), VolumeError> {
    let wanted = batch.seal();
    if wanted.is_empty() {
        return Ok(());
    }
    let blobs = restore.stop.inside(|| fetch(restore, wanted));
    let (flusher, finished) = Flusher::new();
    let fill = Fill { restore, root, batch: &batch, task, blobs: Mutex::new(blobs), open: Mutex::default(), flusher };
    let failure = Failure::new(restore.stop.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| failure.note(flush::until_closed(finished)));
        let writer = || failure.note(fill.until_all_are_written());
        let writers: Vec<_> = (0..restore.options.threads.max(1)).map(|_| scope.spawn(writer)).collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        fill.flusher.close(); // also when a writer has panicked: or the flusher would wait for ever
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    });
    failure.into_result()?;
    fill.nothing_is_left()
}

/// What is verified afterwards is hashed there, from the file.
fn fetch(restore: &Restore, wanted: Vec<BlobId>) -> Blobs {
    if restore.options.verify {
        Box::pin(restore.repository.fetch_unhashed(BlobKind::Data, wanted))
    } else {
        Box::pin(restore.repository.fetch(BlobKind::Data, wanted))
    }
}

impl Fill<'_> {
    fn until_all_are_written(&self) -> Result<(), VolumeError> {
        while let Some((id, bytes)) = self.next_blob()? {
            // What must be written differs only by where in a block the blob begins; mostly it begins at one.
            for piece in self.batch.pieces_of(&id) {
                self.write(piece, &bytes)?;
            }
        }
        Ok(())
    }

    fn next_blob(&self) -> Result<Option<(BlobId, Bytes)>, VolumeError> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        self.restore.stop.wait(async { blobs.next().await.transpose() })
    }

    fn write(&self, piece: &Piece, bytes: &[u8]) -> Result<(), VolumeError> {
        let file = &self.batch.files[piece.file as usize];
        let fd = if file.whole { Arc::new(self.open_file(file)?) } else { self.kept_open(piece.file)? };
        let failed = || VolumeError::file("write", &file.path);
        let parts = to_write(bytes, piece.offset);
        for part in &parts {
            write_at(&fd, &bytes[part.clone()], piece.offset + part.start as u64).map_err(failed())?;
        }
        if file.whole && parts.last().map(|part| part.end) != Some(bytes.len()) {
            ftruncate(&fd, file.bytes).map_err(failed())?;
        }
        self.task.add_bytes(bytes.len() as u64);
        if file.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.complete(piece.file, file, &fd)?;
        }
        Ok(())
    }

    fn complete(&self, number: u32, file: &Unfinished, fd: &Arc<OwnedFd>) -> Result<(), VolumeError> {
        if !file.whole {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        }
        if file.goes_on {
            return Ok(());
        }
        self.task.add_items(1);
        dress::open(&self.restore.shortfalls, fd.as_fd(), &file.node)
            .map_err(VolumeError::file("set the metadata of", &file.path))?;
        self.flusher.flush(file.bytes, fd, &file.path);
        Ok(())
    }

    /// A file of several pieces: opened once, then kept for the next one.
    fn kept_open(&self, number: u32) -> Result<Arc<OwnedFd>, VolumeError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fd) = open.get(&number) {
            return Ok(Arc::clone(fd));
        }
        if open.len() >= MOST_OPEN
            && let Some(any) = open.keys().next().copied()
        {
            open.remove(&any);
        }
        let file = &self.batch.files[number as usize];
        let fd = Arc::new(self.open_file(file)?);
        ftruncate(&fd, file.bytes).map_err(VolumeError::file("write", &file.path))?; // its end may be a hole
        open.insert(number, Arc::clone(&fd));
        Ok(fd)
    }

    fn open_file(&self, file: &Unfinished) -> Result<OwnedFd, VolumeError> {
        let make =
            if file.exists.swap(true, Ordering::Relaxed) { OFlags::empty() } else { OFlags::CREATE | OFlags::EXCL };
        let mode = if make.is_empty() { Mode::empty() } else { Mode::RUSR | Mode::WUSR };
        open_beneath(self.root, &file.path, OFlags::WRONLY | make, mode).map_err(VolumeError::file("make", &file.path))
    }

    /// Every blob came once, so every file must be complete; a fetch that leaves one out is never taken for success.
    fn nothing_is_left(&self) -> Result<(), VolumeError> {
        let lacks = |piece: &&Piece| self.batch.files[piece.file as usize].left.load(Ordering::Acquire) > 0;
        match self.batch.pieces.iter().find(lacks) {
            None => Ok(()),
            Some(piece) => Err(RepositoryError::BlobMissing { kind: BlobKind::Data, id: piece.blob }.into()),
        }
    }
}

fn write_at(fd: impl AsFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&fd, bytes, offset) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => (bytes, offset) = (&bytes[n..], offset + n as u64),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

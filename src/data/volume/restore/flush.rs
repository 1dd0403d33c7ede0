//! Has the disk begin to write large files while others are still being filled: the sync at the end then finds little.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::fdatasync;

use super::super::VolumeError;

/// Smaller files are left to the sync at the end: each flush costs a commit of the file system's journal, some
/// milliseconds.
const FROM_BYTES: u64 = 4 << 20;

/// Files that wait. A disk that is behind is left alone.
const WAITING: usize = 4;

type Finished = (Arc<OwnedFd>, Vec<u8>);

#[derive(Debug)]
pub(super) struct Flusher(Mutex<Option<SyncSender<Finished>>>);

impl Flusher {
    pub(super) fn new() -> (Self, Receiver<Finished>) {
        let (sender, receiver) = sync_channel(WAITING);
        (Self(Mutex::new(Some(sender))), receiver)
    }

    /// Takes a file that is complete, if it is large and the disk is not behind.
    pub(super) fn flush(&self, bytes: u64, file: &Arc<OwnedFd>, path: &[u8]) {
        if bytes < FROM_BYTES {
            return;
        }
        if let Some(sender) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            sender.try_send((Arc::clone(file), path.to_vec())).ok(); // full: the sync at the end does it
        }
    }

    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Flushes what comes.
///
/// # Errors
/// The file that the disk did not take.
pub(super) fn until_closed(finished: Receiver<Finished>) -> Result<(), VolumeError> {
    for (file, path) in finished {
        fdatasync(&file).map_err(VolumeError::file("write to the disk", &path))?;
    }
    Ok(())
}

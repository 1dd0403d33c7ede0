//! Room between a server that must not be held back and a store that may be slow: for as long as the RDB is read, the
//! server's fork lives and every write of its clients costs it memory. Up to [`MEMORY`] waits in memory, what is more
//! in a temporary file without a name, encrypted with a key that only this process knows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use aes::cipher::{KeyIvInit, StreamCipher};
use bytes::{Buf, Bytes};

type Cipher = ctr::Ctr64BE<aes::Aes256>;

/// What waits in memory before a file is begun. A capture whose store could not follow peaked at 212 MiB with this (the
/// writer's own buffers are behind it); a run may take 256 MiB, so twice as much would not fit.
pub(super) const MEMORY: usize = 64 << 20;
/// Read back from the file at once.
const PIECE: usize = 1 << 20;

struct State {
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Bytes of the file that were written and read; equal = it is empty and the queue is in use.
    written: u64,
    read: u64,
    /// A write is under way, so the file must not be begun anew.
    writing: bool,
    end: Option<End>,
    reader_gone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// The source failed; its error is the one to show.
    Broken,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    memory: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct SpoolWriter {
    shared: Arc<Shared>,
    /// Made when it is first needed.
    file: Option<Arc<File>>,
    handover: std::sync::mpsc::Sender<Arc<File>>,
    cipher: Option<Cipher>,
    ended: bool,
}

pub(super) struct SpoolReader {
    shared: Arc<Shared>,
    current: Bytes,
    file: Option<Arc<File>>,
    handover: std::sync::mpsc::Receiver<Arc<File>>,
    cipher: Cipher,
}

/// Both ends; `memory` is [`MEMORY`] but in tests.
pub(super) fn spool(memory: usize) -> (SpoolWriter, SpoolReader) {
    let state =
        State { queue: VecDeque::new(), queued: 0, written: 0, read: 0, writing: false, end: None, reader_gone: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), memory });
    let (handover, files) = std::sync::mpsc::channel();
    let (key, start): ([u8; 32], [u8; 16]) = (rand::random(), rand::random());
    // Both ends run through one key stream: what is written once is read once, in the same order.
    let cipher = || Cipher::new(&key.into(), &start.into());
    let writer = SpoolWriter { shared: shared.clone(), file: None, handover, cipher: Some(cipher()), ended: false };
    (writer, SpoolReader { shared, current: Bytes::new(), file: None, handover: files, cipher: cipher() })
}

impl SpoolWriter {
    /// Takes bytes; waits for the disk at most, never for the reader. `BrokenPipe` when the reader is gone.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), Error> {
        {
            let mut state = self.shared.lock();
            if state.reader_gone {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if state.read == state.written && state.queued + bytes.len() <= self.shared.memory {
                state.queued += bytes.len();
                state.queue.push_back(bytes);
                self.shared.changed.notify_one();
                return Ok(());
            }
            state.writing = true;
        }
        let written = self.write(bytes).await;
        let mut state = self.shared.lock();
        state.writing = false;
        state.written += written?;
        self.shared.changed.notify_one();
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<u64, Error> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => {
                let file = Arc::new(tempfile::tempfile()?);
                self.handover.send(file.clone()).map_err(|_| Error::from(ErrorKind::BrokenPipe))?;
                self.file.insert(file).clone()
            }
        };
        let at = self.shared.lock().written;
        let lost = || Error::other("a write to the temporary file was not finished");
        let mut cipher = self.cipher.take().ok_or_else(lost)?;
        let work = tokio::task::spawn_blocking(move || {
            let mut sealed = bytes.to_vec();
            cipher.apply_keystream(&mut sealed);
            file.write_all_at(&sealed, at).map(|()| (cipher, sealed.len() as u64))
        });
        let (cipher, length) = work.await.map_err(|_| lost())??;
        self.cipher = Some(cipher);
        Ok(length)
    }

    /// Everything has come. A writer that is dropped without it leaves the reader with an error.
    pub(super) fn finish(mut self) {
        self.end(End::Whole);
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        self.shared.lock().end.get_or_insert(end);
        self.shared.changed.notify_one();
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.end(End::Broken);
        }
    }
}

impl SpoolReader {
    fn refill(&mut self) -> Result<(), Error> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        loop {
            if let Some(bytes) = state.queue.pop_front() {
                state.queued -= bytes.len();
                self.current = bytes;
                return Ok(());
            }
            if state.written > state.read {
                let (from, length) = (state.read, (state.written - state.read).min(PIECE as u64));
                drop(state);
                self.current = self.read_back(from, length as usize)?;
                let mut state = shared.lock();
                state.read += length;
                if state.read == state.written && !state.writing {
                    (state.read, state.written) = (0, 0);
                    self.file.as_ref().map_or(Ok(()), |file| file.set_len(0))?;
                }
                return Ok(());
            }
            match state.end {
                Some(End::Whole) => return Ok(()),
                Some(End::Broken) => return Err(Error::new(ErrorKind::ConnectionAborted, "the source failed")),
                None => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn read_back(&mut self, from: u64, length: usize) -> Result<Bytes, Error> {
        if self.file.is_none() {
            self.file = self.handover.recv().ok();
        }
        let Some(file) = &self.file else { return Err(Error::other("the temporary file is gone")) };
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, from)?;
        self.cipher.apply_keystream(&mut bytes);
        Ok(bytes.into())
    }
}

impl Read for SpoolReader {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        if self.current.is_empty() {
            self.refill()?;
        }
        let n = self.current.len().min(into.len());
        self.current.copy_to_slice(&mut into[..n]);
        Ok(n)
    }
}

impl Drop for SpoolReader {
    fn drop(&mut self) {
        self.shared.lock().reader_gone = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(i: usize) -> Bytes {
        Bytes::from((0..10_000 + i).map(|n| (n * i) as u8).collect::<Vec<_>>())
    }

    /// Reads all of it, a pause before every `lag`th piece.
    fn drain(mut reader: SpoolReader, lag: usize) -> std::thread::JoinHandle<Result<Vec<u8>, Error>> {
        std::thread::spawn(move || {
            let (mut all, mut buffer) = (Vec::new(), vec![0; 8192]);
            for i in 1.. {
                if i % lag == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                match reader.read(&mut buffer)? {
                    0 => return Ok(all),
                    n => all.extend_from_slice(&buffer[..n]),
                }
            }
            Ok(all)
        })
    }

    #[tokio::test]
    async fn everything_comes_out_in_order_whether_through_memory_or_file() {
        for (memory, lag) in [(usize::MAX, 1000), (0, 1000), (50_000, 3), (50_000, 50)] {
            let (mut writer, reader) = spool(memory);
            let reader = drain(reader, lag);
            let mut sent = Vec::new();
            for i in 0..300 {
                sent.extend_from_slice(&piece(i));
                writer.push(piece(i)).await.unwrap();
                if i % 100 == 0 {
                    tokio::time::sleep(std::time::Duration::from_millis(30)).await; // the reader catches up
                }
            }
            writer.finish();
            assert!(reader.join().unwrap().unwrap() == sent, "memory {memory}, lag {lag}");
        }
    }

    #[tokio::test]
    async fn the_writer_never_waits_for_the_reader_and_the_file_shows_nothing() {
        let (mut writer, mut reader) = spool(20_000);
        for i in 1..200 {
            writer.push(piece(i)).await.unwrap(); // nobody reads
        }
        let on_disk = {
            let file = writer.file.clone().unwrap();
            let mut bytes = vec![0; 10_002];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        assert!(on_disk[..10_000] != piece(2)[..10_000]);
        writer.finish();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert!(all == (1..200).flat_map(piece).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_source_that_fails_is_never_taken_for_the_end() {
        let (mut writer, mut reader) = spool(1 << 20);
        writer.push(piece(1)).await.unwrap();
        drop(writer);
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_stops_the_writer() {
        let (mut writer, reader) = spool(1 << 20);
        drop(reader);
        assert_eq!(writer.push(piece(1)).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}

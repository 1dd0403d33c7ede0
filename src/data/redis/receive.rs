//! Reads an RDB that arrives, from a server or from the repository: looked into while it streams, and stored where asked.

use std::io::{Error, ErrorKind, Read};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::progress::Task;
use crate::repository::{FileContent, FileSink, RepositoryError};

use super::error::RedisError;
use super::rdb::{self, Contents, RdbError, Settings};
use super::spool::{self, SpoolReader};
use super::transfer::Transfer;

/// Drains `transfer` as fast as the server sends, whatever the store does; returns what was in it and, where there is a
/// `sink`, what it became.
///
/// # Cancel safety
/// Dropped half-way it hangs up; the thread behind it ends by itself and its file is stored nowhere.
pub(super) async fn from_server(
    mut transfer: Transfer,
    sink: Option<FileSink>,
    settings: Settings,
    origin: &str,
    task: &Task,
) -> Result<(Contents, Option<FileContent>), RedisError> {
    let (mut spool, reader) = spool::spool(spool::MEMORY);
    let work = tokio::task::spawn_blocking(move || look_and_store(reader, sink, &settings));
    while let Some(bytes) = transfer.next().await? {
        task.add_bytes(bytes.len() as u64);
        match spool.push(bytes).await {
            Ok(()) => {}
            // The reader has given up: its error says why.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(source) => return Err(RedisError::Spool { source }),
        }
    }
    spool.finish();
    let done = work.await.map_err(|_| RedisError::Thread { doing: "reading the RDB" })?;
    done.map_err(|failure| failure.at(origin))
}

/// The two things that can go wrong in the thread that reads.
enum Failure {
    Rdb(RdbError),
    Store(RepositoryError),
}

impl Failure {
    fn at(self, origin: &str) -> RedisError {
        match self {
            Self::Rdb(source) => RedisError::Rdb { origin: origin.to_owned(), source },
            Self::Store(error) => RedisError::Repository(error),
        }
    }
}

fn look_and_store(
    from: SpoolReader,
    sink: Option<FileSink>,
    settings: &Settings,
) -> Result<(Contents, Option<FileContent>), Failure> {
    let mut tee = Tee { from, sink, failed: None };
    let contents = rdb::read(&mut tee, settings);
    if let Some(error) = tee.failed {
        return Err(Failure::Store(error));
    }
    let contents = contents.map_err(Failure::Rdb)?;
    let content = tee.sink.map(FileSink::finish_blocking).transpose().map_err(Failure::Store)?;
    Ok((contents, content))
}

/// Stores all that is read through it.
struct Tee {
    from: SpoolReader,
    sink: Option<FileSink>,
    failed: Option<RepositoryError>,
}

impl Read for Tee {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let n = self.from.read(into)?;
        if let Some(sink) = &mut self.sink
            && let Err(error) = sink.write_blocking(&into[..n])
        {
            self.failed = Some(error);
            return Err(Error::other("the repository does not take it"));
        }
        Ok(n)
    }
}

/// Reads an RDB that lies in the repository.
pub(super) async fn from_repository(
    mut blobs: impl Stream<Item = Result<Bytes, RepositoryError>> + Unpin,
    settings: Settings,
    origin: &str,
    task: &Task,
) -> Result<Contents, RedisError> {
    let (sender, receiver) = mpsc::channel(4);
    let work = tokio::task::spawn_blocking(move || rdb::read(Channel { receiver, current: Bytes::new() }, &settings));
    let mut failed = None;
    while let Some(blob) = blobs.next().await {
        match blob {
            Ok(bytes) => {
                task.add_bytes(bytes.len() as u64);
                // The reader is gone when it has found damage; its error says which.
                if sender.send(Ok(bytes)).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                sender.send(Err(ErrorKind::ConnectionAborted.into())).await.ok();
                failed = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let contents = work.await.map_err(|_| RedisError::Thread { doing: "reading the RDB" })?;
    match failed {
        Some(error) => Err(error.into()),
        None => contents.map_err(RedisError::rdb(origin)),
    }
}

/// A channel of bytes as a blocking reader.
struct Channel {
    receiver: mpsc::Receiver<Result<Bytes, Error>>,
    current: Bytes,
}

impl Read for Channel {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(bytes) => self.current = bytes?,
                None => return Ok(0),
            }
        }
        let n = self.current.len().min(into.len());
        self.current.copy_to_slice(&mut into[..n]);
        Ok(n)
    }
}

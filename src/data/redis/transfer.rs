//! Takes an RDB over the replication protocol: drydock asks for a full sync and hangs up after it. Both framings are
//! read. Nothing here waits for what is done with the bytes.
//! Source: redis `src/replication.c` (`syncCommand`, `readSyncBulkPayload`); measured on 2.8, 6.2 and 7.0.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::connection::{Connection, Endpoint};
use super::error::RedisError;
use super::resp::{self, Reply};

/// Servers send a newline every 10 s while they prepare, and data afterwards; `repl-timeout` is 60 s too.
const QUIET: Duration = Duration::from_secs(60);
const READ: usize = 256 * 1024;
/// The end mark of the diskless framing. Source: redis `src/server.h` (`CONFIG_RUN_ID_SIZE`).
const MARK: usize = 40;

/// How the server says where the RDB ends.
enum Framing {
    /// `$<length>`: from its disk, or from before diskless syncs.
    Length { left: u64 },
    /// `$EOF:<mark>`: straight from memory.
    Mark { mark: [u8; MARK], ended: bool },
}

/// An RDB on its way; the server has forked already.
pub(super) struct Transfer {
    connection: Connection,
    framing: Framing,
    /// What is read into, and what is held back because it may be the end mark.
    buffer: BytesMut,
    bytes: u64,
    /// The server came straight from memory and wrote nothing to its own disk.
    pub(super) diskless: bool,
    /// The server hangs up after the RDB; others would go on with every write.
    pub(super) rdb_only: bool,
}

/// Logs in and asks for everything; returns when the first byte of the RDB is about to come.
pub(super) async fn begin(endpoint: &Endpoint) -> Result<Transfer, RedisError> {
    let mut connection = endpoint.connect().await?;
    let rdb_only = announce(&mut connection, &["REPLCONF", "rdb-only", "1"]).await?;
    announce(&mut connection, &["REPLCONF", "capa", "eof"]).await?;
    connection.send(&resp::request(&[b"PSYNC", b"?", b"-1"]), "PSYNC").await?;
    let accepted = beginning(&mut connection).await?;
    if !accepted.starts_with("+FULLRESYNC") {
        let what = format!("{accepted:?} where +FULLRESYNC is expected");
        return Err(RedisError::Protocol { address: connection.address.clone(), what });
    }
    let header = beginning(&mut connection).await?;
    let framing = if let Some(mark) = header.strip_prefix("$EOF:") {
        let mark = mark.as_bytes().try_into().ok();
        mark.map(|mark| Framing::Mark { mark, ended: false })
    } else {
        header.strip_prefix('$').and_then(|n| n.parse().ok()).map(|left| Framing::Length { left })
    };
    let Some(framing) = framing else {
        let what = format!("{header:?} where the RDB's length is expected");
        return Err(RedisError::Protocol { address: connection.address.clone(), what });
    };
    let diskless = matches!(framing, Framing::Mark { .. });
    Ok(Transfer { connection, framing, buffer: BytesMut::new(), bytes: 0, diskless, rdb_only })
}

/// Says what we can; false where the server is too old to know the word.
async fn announce(connection: &mut Connection, words: &[&str]) -> Result<bool, RedisError> {
    match connection.command(words).await {
        Ok(_) => Ok(true),
        Err(RedisError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The next line that is not a bare newline; an error reply is an error.
async fn beginning(connection: &mut Connection) -> Result<String, RedisError> {
    loop {
        let line = match timeout(QUIET, resp::line(&mut connection.stream)).await {
            Ok(line) => line.map_err(|source| connection.lost("PSYNC", source))?,
            Err(_) => return Err(silent(connection)),
        };
        match line.split_at_checked(1) {
            None => {}
            Some(("-", said)) if said.starts_with("NOMASTERLINK") => {
                let (address, primary) = (connection.address.clone(), "?".to_owned());
                return Err(RedisError::StaleReplica { address, primary });
            }
            Some(("-", said)) => {
                return Err(RedisError::from_reply(&connection.address, &connection.user, "PSYNC", said));
            }
            Some(_) => return Ok(line),
        }
    }
}

fn silent(connection: &Connection) -> RedisError {
    RedisError::Silent { address: connection.address.clone(), doing: "PSYNC".into(), seconds: QUIET.as_secs() }
}

impl Transfer {
    /// The next bytes of the RDB; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, RedisError> {
        let bytes = match timeout(QUIET, next_bytes(&mut self.connection, &mut self.framing, &mut self.buffer)).await {
            Err(_) => return Err(silent(&self.connection)),
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                let address = self.connection.address.clone();
                return Err(RedisError::Cut { address, bytes: self.bytes });
            }
            Ok(Err(source)) => return Err(self.connection.lost("the transfer of the RDB", source)),
            Ok(Ok(bytes)) => bytes,
        };
        self.bytes += bytes.as_ref().map_or(0, |b| b.len() as u64);
        Ok(bytes)
    }

    /// The RDB's size, where the server told it before.
    pub(super) fn announced_bytes(&self) -> Option<u64> {
        match self.framing {
            Framing::Length { left } => Some(left + self.bytes),
            Framing::Mark { .. } => None,
        }
    }
}

async fn next_bytes(
    connection: &mut Connection,
    framing: &mut Framing,
    held: &mut BytesMut,
) -> Result<Option<Bytes>, std::io::Error> {
    let stream = &mut connection.stream;
    match framing {
        Framing::Length { left: 0 } | Framing::Mark { ended: true, .. } => Ok(None),
        Framing::Length { left } => {
            make_room(held);
            let read = (&mut *stream).take(*left).read_buf(held).await?;
            *left -= read as u64;
            if read == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(Some(held.split().freeze())) }
        }
        Framing::Mark { mark, ended } => loop {
            make_room(held);
            if stream.read_buf(held).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            // The mark is sought where it may stand: at the end of all that has come. The RDB before it is passed on
            // as soon as no byte of it can belong to the mark.
            if held.ends_with(mark) {
                held.truncate(held.len() - MARK);
                *ended = true;
                let last = held.split().freeze();
                return Ok((!last.is_empty()).then_some(last));
            }
            if held.len() > MARK {
                return Ok(Some(held.split_to(held.len() - MARK).freeze()));
            }
        },
    }
}

/// A new block only when the last is full: pieces that wait in the spool keep their whole block alive.
fn make_room(buffer: &mut BytesMut) {
    if buffer.capacity() - buffer.len() < 4096 {
        buffer.reserve(READ);
    }
}

/// Whether the server would let us: a `PSYNC` that every version refuses, because an answer is still on its way out
/// ("SYNC and PSYNC are invalid with pending output"), unless it refuses the user first. Nothing is forked.
/// Source: redis `src/replication.c` (`syncCommand`, `clientHasPendingReplies`).
pub(super) async fn probe(endpoint: &Endpoint) -> Result<(), RedisError> {
    let mut connection = endpoint.connect().await?;
    announce(&mut connection, &["REPLCONF", "rdb-only", "1"]).await?;
    let both = [resp::request(&[b"PING"]), resp::request(&[b"PSYNC", b"?", b"-1"])].concat();
    connection.send(&both, "PSYNC").await?;
    connection.reply("PING").await?;
    match connection.reply("PSYNC").await? {
        Reply::Error(said) if said.contains("pending output") => Ok(()),
        Reply::Error(said) => Err(RedisError::from_reply(&connection.address, &connection.user, "PSYNC", &said)),
        _ => Ok(()),
    }
}

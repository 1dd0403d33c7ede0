//! Drydock as the primary of one replica: it hands over an RDB and then only shows that it lives. It serves exactly one
//! connection, and only from the target: whoever came first would be given all the data.
//! Source: redis `src/replication.c` (`syncWithMaster`); tried on 6.2 and 7.0.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::progress::Task;
use crate::repository::RepositoryError;

use super::super::connection::Stream as Wire;
use super::super::resp;

/// Where drydock listens: a fixed range, so that a network policy can let it through, and so that a later run knows a
/// target that a killed one has left as a replica of nobody.
pub(in super::super) const PORTS: std::ops::RangeInclusive<u16> = 46_379..=46_478;
/// Replicas give a silent primary up after `repl-timeout`, 60 s.
const PING: Duration = Duration::from_secs(5);
/// More words than any replica says in one command.
const WORDS: usize = 64;

/// How far it has come; read by whoever waits for the target.
#[derive(Debug, Default)]
pub(super) struct Handover {
    pub(super) connected: AtomicBool,
    pub(super) sent: AtomicU64,
    pub(super) whole: AtomicBool,
}

pub(super) struct Primary {
    listener: TcpListener,
    address: SocketAddr,
    /// Who may come.
    peers: Vec<IpAddr>,
    tls: Option<Arc<ServerConfig>>,
    pub(super) handover: Arc<Handover>,
}

impl Primary {
    /// Listens on a free port of [`PORTS`] at `address`, or at every address where `address` is none of this machine
    /// (it is translated on the way).
    pub(super) async fn bind(
        address: IpAddr,
        peers: Vec<IpAddr>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self, Error> {
        let count = PORTS.end() - PORTS.start() + 1;
        let first = rand::random_range(0..count);
        let mut refusal = Error::from(ErrorKind::AddrInUse);
        for i in 0..count {
            let port = PORTS.start() + (first + i) % count;
            match listen(address, port).await {
                Ok(listener) => {
                    let address = SocketAddr::new(address, port);
                    return Ok(Self { listener, address, peers, tls, handover: Arc::default() });
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the target, hands it `rdb` of `bytes` bytes, and keeps the connection until it is dropped or the
    /// target hangs up. Always ends with the reason why it ended.
    pub(super) async fn serve(
        self,
        rdb: impl Stream<Item = Result<Bytes, RepositoryError>> + Unpin,
        bytes: u64,
        task: Arc<Task>,
    ) -> Ended {
        let (listener, handover) = (self.listener, self.handover);
        let stream = match accept(&listener, &self.peers, self.tls).await {
            Ok(stream) => stream,
            Err(error) => return Ended::Connection(error),
        };
        // Nobody else: a second comer is refused by the kernel.
        drop(listener);
        handover.connected.store(true, Ordering::Release);
        let (read, mut write) = tokio::io::split(stream);
        let mut read = BufReader::new(read);
        if let Err(error) = shake_hands(&mut read, &mut write).await {
            return Ended::Connection(error);
        }
        if let Err(ended) = hand_over(&mut read, &mut write, rdb, bytes, &handover, &task).await {
            return ended;
        }
        handover.whole.store(true, Ordering::Release);
        Ended::Connection(stay(&mut read, &mut write).await)
    }
}

/// Why the primary is no more.
#[derive(Debug)]
pub(super) enum Ended {
    Connection(Error),
    Repository(RepositoryError),
}

async fn listen(address: IpAddr, port: u16) -> Result<TcpListener, Error> {
    match TcpListener::bind((address, port)).await {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            let all: IpAddr = match address {
                IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            };
            TcpListener::bind((all, port)).await
        }
        bound => bound,
    }
}

async fn accept(
    listener: &TcpListener,
    peers: &[IpAddr],
    tls: Option<Arc<ServerConfig>>,
) -> Result<Box<dyn Wire>, Error> {
    loop {
        let (stream, from) = listener.accept().await?;
        if !peers.iter().any(|peer| peer.to_canonical() == from.ip().to_canonical()) {
            tracing::warn!(from = %from.ip(), "a connection that is not the target's was refused");
            continue;
        }
        stream.set_nodelay(true)?;
        return match (speaks_tls(&stream).await?, tls) {
            (false, _) => Ok(Box::new(stream)),
            (true, Some(config)) => Ok(Box::new(TlsAcceptor::from(config).accept(stream).await?)),
            (true, None) => Err(Error::new(
                ErrorKind::Unsupported,
                "the target speaks TLS (tls-replication) and no certFile is set",
            )),
        };
    }
}

/// A TLS client begins with a handshake record (22), Redis with `*` or a letter.
async fn speaks_tls(stream: &TcpStream) -> Result<bool, Error> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0] == 22),
    }
}

type Reader = BufReader<ReadHalf<Box<dyn Wire>>>;
type Writer = WriteHalf<Box<dyn Wire>>;

/// Answers what a replica says before it syncs.
async fn shake_hands(read: &mut Reader, write: &mut Writer) -> Result<(), Error> {
    loop {
        let words = command(read).await?;
        let word = |i: usize| words.get(i).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let answer = match word(0).as_str() {
            "PING" => "+PONG\r\n".to_owned(),
            // The target has a `masterauth`: it gives up unless any password is right.
            "AUTH" => "+OK\r\n".to_owned(),
            "REPLCONF" if word(1) == "ACK" => continue,
            "REPLCONF" => "+OK\r\n".to_owned(),
            "PSYNC" => {
                // A new id each time: a target that had ours from a former restore would ask to go on from there.
                let id: [u8; 20] = rand::random();
                return write.write_all(format!("+FULLRESYNC {} 0\r\n", hex::encode(id)).as_bytes()).await;
            }
            "SYNC" => return Ok(()),
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        write.write_all(answer.as_bytes()).await?;
        write.flush().await?;
    }
}

/// One command: an array of strings, or a line of words as replicas before 6.0 send.
async fn command(read: &mut Reader) -> Result<Vec<String>, Error> {
    let line = resp::line(read).await?;
    let Some(count) = line.strip_prefix('*') else {
        return Ok(line.split_ascii_whitespace().map(str::to_owned).collect());
    };
    let count: usize = count.parse().map_err(|_| Error::from(ErrorKind::InvalidData))?;
    if count > WORDS {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let reply = resp::reply(read).await?;
        words.push(reply.text().ok_or_else(|| Error::from(ErrorKind::InvalidData))?);
    }
    Ok(words)
}

async fn hand_over(
    read: &mut Reader,
    write: &mut Writer,
    mut rdb: impl Stream<Item = Result<Bytes, RepositoryError>> + Unpin,
    bytes: u64,
    handover: &Handover,
    task: &Task,
) -> Result<(), Ended> {
    write.write_all(format!("${bytes}\r\n").as_bytes()).await.map_err(Ended::Connection)?;
    while let Some(piece) = rdb.next().await {
        let piece = piece.map_err(Ended::Repository)?;
        let mut said = [0; 256];
        let mut written = std::pin::pin!(write.write_all(&piece));
        // A replica sends newlines while it loads; they must not fill its send buffer.
        loop {
            tokio::select! {
                done = &mut written => break done.map_err(Ended::Connection)?,
                heard = read.read(&mut said) => match heard {
                    Ok(0) => return Err(Ended::Connection(ErrorKind::UnexpectedEof.into())),
                    Ok(_) => {}
                    Err(error) => return Err(Ended::Connection(error)),
                },
            }
        }
        handover.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        task.add_bytes(piece.len() as u64);
    }
    write.flush().await.map_err(Ended::Connection)
}

/// Shows that it lives once the replica does; ends when the target hangs up.
async fn stay(read: &mut Reader, write: &mut Writer) -> Error {
    let mut ticks = tokio::time::interval(PING);
    let mut loaded = false;
    let mut said = [0; 1024];
    loop {
        tokio::select! {
            heard = read.read(&mut said) => match heard {
                Ok(0) => return ErrorKind::UnexpectedEof.into(),
                // Newlines while it loads, `REPLCONF ACK` afterwards.
                Ok(n) => loaded |= said[..n].contains(&b'*'),
                Err(error) => return error,
            },
            _ = ticks.tick() => if loaded
                && let Err(error) = async { write.write_all(b"*1\r\n$4\r\nPING\r\n").await?; write.flush().await }.await
            {
                return error;
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const RDB: &[u8] = b"REDIS0010 pretend";

    async fn primary(peers: Vec<IpAddr>) -> (SocketAddr, tokio::task::JoinHandle<Ended>) {
        let primary = Primary::bind(Ipv4Addr::LOCALHOST.into(), peers, None).await.unwrap();
        let address = primary.address();
        assert!(PORTS.contains(&address.port()));
        let rdb = futures_util::stream::iter(RDB.chunks(5).map(|piece| Ok(Bytes::from_static(piece))));
        let task = crate::progress::Progress::default().task("test", 0, 0);
        (address, tokio::spawn(primary.serve(rdb, RDB.len() as u64, task)))
    }

    /// Says `words` and returns the answer's first line.
    async fn say(stream: &mut BufReader<TcpStream>, words: &str) -> String {
        stream.write_all(words.as_bytes()).await.unwrap();
        resp::line(stream).await.unwrap()
    }

    async fn from(local: Ipv4Addr, to: SocketAddr) -> Result<BufReader<TcpStream>, Error> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((local, 0).into())?;
        Ok(BufReader::new(socket.connect(to).await?))
    }

    /// The handshakes of 6.2 and later (arrays) and of 5 (words in a line), each with a login.
    #[tokio::test]
    async fn a_replica_of_any_age_is_handed_the_rdb() {
        let arrays = [
            "*1\r\n$4\r\nPING\r\n",
            "*2\r\n$4\r\nAUTH\r\n$3\r\nabc\r\n",
            "*3\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n",
            "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n",
        ];
        let lines = ["PING\r\n", "AUTH abc\r\n", "REPLCONF capa eof\r\n", "PSYNC ? -1\r\n"];
        for [ping, login, capa, sync] in [arrays, lines] {
            let (address, served) = primary(vec![Ipv4Addr::LOCALHOST.into()]).await;
            let mut replica = from(Ipv4Addr::LOCALHOST, address).await.unwrap();
            assert_eq!(say(&mut replica, ping).await, "+PONG");
            assert_eq!(say(&mut replica, login).await, "+OK");
            assert_eq!(say(&mut replica, capa).await, "+OK");
            let answer = say(&mut replica, sync).await;
            assert!(answer.starts_with("+FULLRESYNC ") && answer.ends_with(" 0") && answer.len() == 54, "{answer}");
            assert_eq!(resp::line(&mut replica).await.unwrap(), format!("${}", RDB.len()));
            let mut got = vec![0; RDB.len()];
            replica.read_exact(&mut got).await.unwrap();
            assert_eq!(got, RDB);
            // It acknowledges, and is shown that we live.
            assert_eq!(say(&mut replica, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n").await, "*1");
            drop(replica);
            assert!(matches!(served.await.unwrap(), Ended::Connection(_)));
        }
    }

    #[tokio::test]
    async fn the_data_goes_to_the_target_alone_and_once() {
        let (address, _served) = primary(vec!["::ffff:127.0.0.1".parse().unwrap()]).await;
        let mut stranger = from(Ipv4Addr::new(127, 0, 0, 2), address).await.unwrap();
        stranger.write_all(b"PSYNC ? -1\r\n").await.ok();
        assert_eq!(stranger.read(&mut [0; 10]).await.unwrap_or(0), 0, "a stranger was answered");
        let mut target = from(Ipv4Addr::LOCALHOST, address).await.unwrap();
        assert_eq!(say(&mut target, "PING\r\n").await, "+PONG");
        let second = from(Ipv4Addr::LOCALHOST, address).await;
        assert!(second.is_err(), "a second connection was taken");
    }
}

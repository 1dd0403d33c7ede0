//! One connection: TCP, TLS or a unix socket, logged in. Errors name the server and what was asked of it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::data::tls::{self, Identity, TlsProblem};
use crate::stack::{RedisSpec, Secret, Tls};

use super::error::RedisError;
use super::info::Info;
use super::resp::{self, Reply};

const CONNECT: Duration = Duration::from_secs(10);
/// A server that is busy with a slow script answers after it; one that says nothing for a minute is stuck.
const ANSWER: Duration = Duration::from_secs(60);

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// Where a server is and who asks: what is needed to connect any number of times.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Host name, address, or the path of a unix socket.
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<Secret>,
    tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Endpoint {
    /// Reads the secret and the certificates.
    pub(super) fn new(spec: &RedisSpec) -> Result<Self, RedisError> {
        let password = spec.password.as_ref().map(|source| source.read()).transpose()?;
        let mut endpoint =
            Self { host: spec.host.clone(), port: spec.port, user: spec.user.clone(), password, tls: None };
        if matches!(spec.tls, Tls::Require | Tls::VerifyFull) {
            let problem = |source| RedisError::Tls { address: endpoint.address(), source };
            let own = Identity::of(spec.cert_file.as_ref(), spec.key_file.as_ref()).map_err(problem)?;
            endpoint.tls = Some(tls::client(spec.tls, spec.ca_file.as_deref(), own).map_err(problem)?);
        }
        Ok(endpoint)
    }

    /// A server of our own on a unix socket.
    pub(super) fn socket(path: &std::path::Path) -> Self {
        Self { host: path.display().to_string(), port: 0, user: None, password: None, tls: None }
    }

    /// The same login at another server.
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, ..self.clone() }
    }

    pub(super) fn uses_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// For people: `redis.example:6379`, `/run/redis.sock`.
    pub(super) fn address(&self) -> String {
        match (self.is_socket(), self.host.contains(':')) {
            (true, _) => self.host.clone(),
            (_, true) => format!("[{}]:{}", self.host, self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    pub(super) fn user(&self) -> String {
        self.user.clone().unwrap_or_else(|| "the default user".into())
    }

    /// Connects and logs in.
    pub(super) async fn connect(&self) -> Result<Connection, RedisError> {
        let (stream, addresses) = match timeout(CONNECT, self.open()).await {
            Ok(opened) => opened.map_err(|source| match tls_problem(&source) {
                Some(source) => RedisError::Tls { address: self.address(), source },
                None => RedisError::Connect { address: self.address(), source },
            })?,
            Err(_) => {
                let source = std::io::Error::new(ErrorKind::TimedOut, "no answer within 10 s");
                return Err(RedisError::Connect { address: self.address(), source });
            }
        };
        let mut connection = Connection {
            stream: BufReader::with_capacity(64 * 1024, stream),
            address: self.address(),
            user: self.user(),
            addresses,
        };
        connection.log_in(self).await?;
        Ok(connection)
    }

    async fn open(&self) -> Result<(Box<dyn Stream>, Option<Addresses>), std::io::Error> {
        if self.is_socket() {
            return Ok((Box::new(UnixStream::connect(&self.host).await?), None));
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let addresses = Some(Addresses { ours: stream.local_addr()?, theirs: stream.peer_addr()? });
        let Some(config) = &self.tls else { return Ok((Box::new(stream), addresses)) };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|e| std::io::Error::new(ErrorKind::InvalidInput, format!("{}: {e}", self.host)))?;
        let stream = TlsConnector::from(config.clone()).connect(name, stream).await?;
        Ok((Box::new(stream), addresses))
    }
}

/// What rustls has against it: a certificate of theirs, or that they have something against ours.
fn tls_problem(error: &std::io::Error) -> Option<TlsProblem> {
    error.get_ref()?.downcast_ref::<rustls::Error>().map(|error| TlsProblem(error.to_string()))
}

/// Both ends of a TCP connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) ours: SocketAddr,
    pub(super) theirs: SocketAddr,
}

pub(super) struct Connection {
    pub(super) stream: BufReader<Box<dyn Stream>>,
    pub(super) address: String,
    pub(super) user: String,
    /// None on a unix socket.
    pub(super) addresses: Option<Addresses>,
}

impl Connection {
    async fn log_in(&mut self, endpoint: &Endpoint) -> Result<(), RedisError> {
        let Some(password) = &endpoint.password else { return Ok(()) };
        let password = password.expose_secret().as_bytes();
        let words: Vec<&[u8]> = match &endpoint.user {
            Some(user) => vec![b"AUTH", user.as_bytes(), password],
            None => vec![b"AUTH", password],
        };
        match self.ask(&words, "AUTH").await? {
            Reply::Error(said) if said.starts_with("LOADING") => {
                Err(RedisError::Loading { address: self.address.clone() })
            }
            Reply::Error(said) => {
                Err(RedisError::Login { address: self.address.clone(), user: self.user.clone(), said })
            }
            _ => Ok(()),
        }
    }

    /// Sends `words` and returns whatever comes back; `name` is for messages, so that no argument is ever shown.
    pub(super) async fn ask(&mut self, words: &[&[u8]], name: &str) -> Result<Reply, RedisError> {
        self.send(&resp::request(words), name).await?;
        self.reply(name).await
    }

    pub(super) async fn send(&mut self, bytes: &[u8], name: &str) -> Result<(), RedisError> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        written.await.map_err(|source| self.lost(name, source))
    }

    pub(super) async fn reply(&mut self, name: &str) -> Result<Reply, RedisError> {
        match timeout(ANSWER, resp::reply(&mut self.stream)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(source)) => Err(self.lost(name, source)),
            Err(_) => {
                let (address, doing) = (self.address.clone(), name.to_owned());
                Err(RedisError::Silent { address, doing, seconds: ANSWER.as_secs() })
            }
        }
    }

    pub(super) fn lost(&self, doing: &str, source: std::io::Error) -> RedisError {
        let address = self.address.clone();
        if let Some(source) = tls_problem(&source) {
            return RedisError::Tls { address, source };
        }
        match source.kind() {
            ErrorKind::InvalidData => RedisError::Protocol { address, what: source.to_string() },
            _ => RedisError::Lost { address, doing: doing.to_owned(), source },
        }
    }

    /// A command whose words are no secrets; an error reply is an error.
    pub(super) async fn command(&mut self, words: &[&str]) -> Result<Reply, RedisError> {
        let name = words.iter().take(3).copied().collect::<Vec<_>>().join(" ");
        let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        match self.ask(&bytes, &name).await? {
            Reply::Error(said) => Err(RedisError::from_reply(&self.address, &self.user, &name, &said)),
            reply => Ok(reply),
        }
    }

    /// As [`Self::command`], but what the server refuses or does not know is `None`.
    pub(super) async fn optional(&mut self, words: &[&str]) -> Result<Option<Reply>, RedisError> {
        match self.command(words).await {
            Ok(reply) => Ok(Some(reply)),
            Err(RedisError::Permission { .. } | RedisError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn info(&mut self) -> Result<Info, RedisError> {
        let reply = self.command(&["INFO"]).await?;
        let text = reply.text().ok_or_else(|| RedisError::Protocol {
            address: self.address.clone(),
            what: "INFO was not answered with a text".into(),
        })?;
        Ok(Info::parse(&text))
    }

    /// One setting, or `None` where the server does not tell (managed servers have no `CONFIG`).
    pub(super) async fn setting(&mut self, name: &str) -> Result<Option<String>, RedisError> {
        let reply = self.optional(&["CONFIG", "GET", name]).await?;
        Ok(reply.and_then(|reply| reply.texts()).and_then(|pair| pair.into_iter().nth(1)))
    }
}

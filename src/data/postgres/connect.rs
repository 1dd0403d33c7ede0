//! Logging in: where the server is, TLS, the password, a session's own timeouts; poolers are recognised.
//! Refuses to know what a session is used for.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Client, Row, SimpleQueryMessage};

use super::error::{self, PostgresError};
use super::tls;
use super::version::Version;
use super::wire::Connector;
use crate::stack::{PostgresSpec, Secret, Tls};

/// A server that does not answer the first packet within this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Shows a firewall that drops idle connections that this one lives, while a long COPY runs on another.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// What our sessions call themselves in `pg_stat_activity`.
pub const APPLICATION: &str = "drydock";

/// Where a server is and how to log in; the password is read once, when this is made.
#[derive(Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub user: String,
    password: Option<Secret>,
    tls: Tls,
    ca_file: Option<PathBuf>,
    lock_timeout: Option<Duration>,
    connector: Connector,
}

/// How a session speaks to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Tls,
}

struct LoggedIn {
    client: Client,
    connection: JoinHandle<()>,
    /// The one it was made with: cancelling takes the same way.
    connector: Connector,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address()).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Server {
    /// Reads the password and the authorities.
    ///
    /// # Errors
    /// A secret that cannot be read, or no authority to trust under `verify-full`.
    pub fn new(spec: &PostgresSpec) -> Result<Self, PostgresError> {
        let address = address(&spec.host, spec.port);
        Ok(Self {
            host: spec.host.clone(),
            port: spec.port,
            user: spec.user.clone(),
            password: spec.password.as_ref().map(crate::stack::SecretSource::read).transpose()?,
            tls: if spec.host.starts_with('/') { Tls::Disable } else { spec.tls },
            ca_file: spec.ca_file.clone(),
            lock_timeout: spec.lock_timeout,
            connector: tls::connector(spec.tls, spec.ca_file.as_deref(), &address)?,
        })
    }

    /// The same server for another login.
    #[must_use]
    pub fn as_user(&self, user: &str, password: Option<Secret>) -> Self {
        Self { user: user.to_owned(), password, ..self.clone() }
    }

    /// For messages: `db.example:5432` or `/run/postgresql:5432`.
    #[must_use]
    pub fn address(&self) -> String {
        address(&self.host, self.port)
    }

    /// Logs in to `database`, sets the session's own timeouts (none but `lockTimeout`) and reads the version.
    ///
    /// # Errors
    /// Every way in which a login fails has its own error; a server below 9.5 or above what is known is refused.
    pub async fn connect(&self, database: &str) -> Result<Session, PostgresError> {
        let LoggedIn { client, connection, connector } = self.log_in(database).await?;
        let mut session = Session {
            canceller: Canceller { token: client.cancel_token(), connector },
            client,
            connection,
            server: self.clone(),
            database: database.to_owned(),
            version: Version(0),
        };
        session.version = session.read_version().await?;
        self.refuse_unknown(session.version)?;
        session.batch("setting the session's timeouts", &self.own_timeouts(session.version)).await?;
        Ok(session)
    }

    fn refuse_unknown(&self, version: Version) -> Result<(), PostgresError> {
        if version < Version::OLDEST {
            return Err(PostgresError::ServerTooOld { address: self.address(), version });
        }
        if version.major() > Version::NEWEST_MAJOR {
            return Err(PostgresError::ServerTooNew { address: self.address(), version });
        }
        Ok(())
    }

    /// What a role's or database's defaults may say of timeouts was meant for its application, not for a snapshot.
    fn own_timeouts(&self, version: Version) -> String {
        let lock = self.lock_timeout.map_or(0, |t| t.as_millis());
        let mut sql =
            format!("SET standard_conforming_strings = on; SET statement_timeout = 0; SET lock_timeout = {lock}");
        for (name, since) in [
            ("idle_in_transaction_session_timeout", Version::V9_6),
            ("idle_session_timeout", Version::V14),
            ("transaction_timeout", Version::V17),
        ] {
            if version >= since {
                sql.push_str(&format!("; SET {name} = 0"));
            }
        }
        sql
    }

    async fn log_in(&self, database: &str) -> Result<LoggedIn, PostgresError> {
        let first = if self.tls == Tls::Disable { Way::Plain } else { Way::Tls };
        let mut refused = match self.log_in_by(first, database).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        // As libpq does: `prefer` tries again without where TLS cannot be had or pg_hba.conf wants none.
        let no_tls = tls_failed(&refused);
        if self.tls == Tls::Prefer && (no_tls || sqlstate(&refused) == "28000") {
            match self.log_in_by(Way::Plain, database).await {
                Ok(done) => return Ok(done),
                Err(error) if no_tls => refused = error,
                Err(_) => {} // the server spoke already: its first answer is the better one
            }
        }
        Err(self.why_not(database, &refused))
    }

    async fn log_in_by(&self, way: Way, database: &str) -> Result<LoggedIn, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host(&self.host).port(self.port).user(&self.user).dbname(database).application_name(APPLICATION);
        config.connect_timeout(CONNECT_TIMEOUT).keepalives_idle(KEEPALIVE);
        if let Some(password) = &self.password {
            config.password(password.expose_secret());
        }
        let connector = match way {
            Way::Tls => self.connector.clone(),
            Way::Plain => Connector::plain(),
        };
        match way {
            Way::Tls => config.ssl_mode(SslMode::Require),
            // tokio-postgres knows of nothing between it and a unix socket
            Way::Plain if self.host.starts_with('/') => config.ssl_mode(SslMode::Disable),
            Way::Plain => config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct),
        };
        let (client, connection) = config.connect(connector.clone()).await?;
        // Ends with the client. An error reaches the client too, as "closed".
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(reason = error::reason(&error), "a connection to PostgreSQL ended");
            }
        });
        Ok(LoggedIn { client, connection, connector })
    }

    fn why_not(&self, database: &str, error: &tokio_postgres::Error) -> PostgresError {
        let (address, user) = (self.address(), self.user.clone());
        let reason = error::reason(error);
        match sqlstate(error).as_str() {
            "" if tls_failed(error) => PostgresError::Tls { address, reason },
            "" if reason.starts_with("authentication error") || reason.contains("password missing") => {
                PostgresError::Authentication { address, user, message: reason }
            }
            "" => PostgresError::Connect { address, reason },
            "28P01" | "28000" => {
                let message = error.as_db_error().map_or(reason, |e| e.message().to_owned());
                PostgresError::Authentication { address, user, message }
            }
            "3D000" => PostgresError::UnknownDatabase { address, database: database.to_owned() },
            "57P03" | "57P01" | "57P02" => PostgresError::Connect { address, reason },
            _ => PostgresError::from_server(&address, &user, &format!("logging in to `{database}`"), error),
        }
    }

    /// The environment of PostgreSQL's own programs, which must see nothing else that begins with `PG`.
    ///
    /// The password goes by `PGPASSWORD`: a process's environment is readable by its own user and root only (the same
    /// who could read our memory), and it is gone with the process, where a password file would stay behind a `kill -9`.
    #[must_use]
    pub fn environment(&self, database: &str) -> Vec<(&'static str, String)> {
        let mode = match self.tls {
            Tls::Disable => "disable",
            Tls::Prefer => "prefer",
            Tls::Require => "require",
            Tls::VerifyFull => "verify-full",
        };
        let mut env = vec![
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", database.to_owned()),
            ("PGSSLMODE", mode.to_owned()),
            ("PGAPPNAME", APPLICATION.to_owned()),
            ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.as_secs().to_string()),
        ];
        if self.tls == Tls::VerifyFull {
            let system = || tls::SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|p| p.exists());
            if let Some(path) = self.ca_file.clone().or_else(system) {
                env.push(("PGSSLROOTCERT", path.display().to_string()));
            }
        }
        if let Some(password) = &self.password {
            env.push(("PGPASSWORD", password.expose_secret().to_owned()));
        }
        env
    }
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn sqlstate(error: &tokio_postgres::Error) -> String {
    error.code().map(|c| c.code().to_owned()).unwrap_or_default()
}

fn tls_failed(error: &tokio_postgres::Error) -> bool {
    error.to_string().contains("TLS handshake")
}

/// One session, logged in to one database. Dropping it closes the connection.
pub struct Session {
    client: Client,
    canceller: Canceller,
    pub server: Server,
    pub database: String,
    pub version: Version,
    connection: JoinHandle<()>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("server", &self.server)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// For what has no helper here: COPY, streams of rows.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Says goodbye and waits until the connection is closed: its locks are free then, or will be at once.
    pub async fn close(self) {
        drop(self.client);
        // A server that does not answer keeps nobody waiting; one that has ended the session has nothing to say.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, self.connection).await;
    }

    /// `error` in our words, said of `what` we were doing.
    #[must_use]
    pub fn explain(&self, what: &str, error: &tokio_postgres::Error) -> PostgresError {
        let explained = PostgresError::from_server(&self.server.address(), &self.server.user, what, error);
        match (explained, self.server.lock_timeout) {
            (PostgresError::LockTimeout { what, .. }, Some(waited)) => PostgresError::LockTimeout { what, waited },
            (explained, _) => explained,
        }
    }

    /// Runs one or several statements whose results do not matter.
    ///
    /// # Errors
    /// What the server says, or that the connection is lost.
    pub async fn batch(&self, what: &str, sql: &str) -> Result<(), PostgresError> {
        self.client.batch_execute(sql).await.map_err(|e| self.explain(what, &e))
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub async fn rows(
        &self,
        what: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        self.client.query(sql, parameters).await.map_err(|e| self.explain(what, &e))
    }

    /// Runs one statement that yields exactly one row.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub async fn row(&self, what: &str, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row, PostgresError> {
        self.client.query_one(sql, parameters).await.map_err(|e| self.explain(what, &e))
    }

    /// Runs one statement by the simple protocol: values as text, nothing prepared.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub async fn texts(&self, what: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, PostgresError> {
        let messages = self.client.simple_query(sql).await.map_err(|e| self.explain(what, &e))?;
        let rows = messages.into_iter().filter_map(|m| match m {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The first value of the first row, by the simple protocol.
    ///
    /// # Errors
    /// As [`Self::batch`]; `Unexpected` where there is none.
    pub async fn text(&self, what: &str, sql: &str) -> Result<String, PostgresError> {
        let mut rows = self.texts(what, sql).await?;
        let value = rows.first_mut().and_then(|r| r.first_mut()).and_then(Option::take);
        value.ok_or_else(|| PostgresError::Unexpected { what: what.to_owned(), how: "no value".into() })
    }

    async fn read_version(&self) -> Result<Version, PostgresError> {
        let what = "reading the server's version";
        let text = self.text(what, "SHOW server_version_num").await?;
        text.parse()
            .map(Version)
            .map_err(|_| PostgresError::Unexpected { what: what.to_owned(), how: format!("`{text}` is no number") })
    }

    /// Asks the server to end what this session runs now; the session stays. A request that does not arrive is no
    /// failure: dropping the session ends it too, at the server's next write.
    pub async fn cancel_running(&self) {
        self.canceller.cancel().await;
    }

    /// Something that can cancel what this session runs from another task.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Refuses poolers that hand statements of one session to several server connections, or one server connection to
    /// several sessions: an exported snapshot, settings and cursors live in *one*. Tells by process ids: `other` is a
    /// second session, opened while this one idles, so a pool in transaction or statement mode gives both the same.
    ///
    /// # Errors
    /// `Pooler`, with what was seen.
    pub async fn refuse_pooler(&self, other: &Self) -> Result<(), PostgresError> {
        let what = "looking for a connection pooler";
        let pid = "SELECT pg_backend_pid()";
        let (mine, theirs, again) =
            (self.text(what, pid).await?, other.text(what, pid).await?, self.text(what, pid).await?);
        let evidence = if mine != again {
            format!("two statements of one session ran in the processes {mine} and {again}")
        } else if mine == theirs {
            format!("two sessions ran in one process, {mine}")
        } else {
            return Ok(());
        };
        Err(PostgresError::Pooler { address: self.server.address(), evidence })
    }
}

/// Cancels another session's statement.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    connector: Connector,
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canceller")
    }
}

impl Canceller {
    /// As [`Session::cancel_running`].
    pub async fn cancel(&self) {
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, self.token.cancel_query(self.connector.clone())).await;
    }
}

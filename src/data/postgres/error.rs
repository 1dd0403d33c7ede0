//! Why PostgreSQL could not be read or written, in words that name the server, the object and the next move.
//! A server's message is kept with its SQLSTATE; its detail and context are not, because they quote rows.

use std::fmt;
use std::time::Duration;

use tokio_postgres::error::DbError;

use super::version::Version;
use crate::failure::{Category, Failure};
use crate::repository::RepositoryError;
use crate::stack::SecretError;

/// What a server said: SQLSTATE and primary message, without the parts that quote data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerMessage {
    /// Five characters; stable over versions and languages.
    pub sqlstate: String,
    pub message: String,
}

impl ServerMessage {
    /// DETAIL and CONTEXT are left out: "Failing row contains (…)", "COPY users, line 3, column email: …". Of data
    /// exceptions (class 22) the message itself quotes the value, after the last `: "`.
    #[must_use]
    pub fn of(error: &DbError) -> Self {
        let sqlstate = error.code().code().to_owned();
        let mut message = error.message().to_owned();
        if sqlstate.starts_with("22")
            && let Some(at) = message.find(": \"")
        {
            message.truncate(at);
        }
        Self { sqlstate, message }
    }
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error("{0}")]
    Spec(String),
    #[error(transparent)]
    Secret(#[from] SecretError),

    // --- logging in ---
    #[error("cannot connect to PostgreSQL at {address}: {reason}")]
    Connect { address: String, reason: String },
    #[error("no TLS connection to PostgreSQL at {address}: {reason}")]
    Tls { address: String, reason: String },
    #[error("PostgreSQL at {address} refuses the login of `{user}`: {message}")]
    Authentication { address: String, user: String, message: String },
    #[error("there is no database `{database}` at {address}")]
    UnknownDatabase { address: String, database: String },
    #[error("PostgreSQL at {address} has no connection left: {message}")]
    TooManyConnections { address: String, message: ServerMessage },
    #[error("PostgreSQL at {address} has version {version}; drydock reads and writes 9.5 and later")]
    ServerTooOld { address: String, version: Version },
    #[error(
        "PostgreSQL at {address} has version {version}; this drydock knows versions up to {}",
        Version::NEWEST_MAJOR.major_text()
    )]
    ServerTooNew { address: String, version: Version },
    #[error("{address} is a connection pooler that gives a session another server connection: {evidence}")]
    Pooler { address: String, evidence: String },
    #[error("the connection to PostgreSQL at {address} was lost while {what}: {reason}")]
    Lost { address: String, what: String, reason: String },

    // --- client programs ---
    #[error("there is no {program} of version {needed} or later for the server at {address}; found: {found}")]
    ToolMissing { program: &'static str, needed: String, address: String, found: String },
    #[error("no PostgreSQL server of version {needed} or later is installed here for a sandbox; found: {found}")]
    ServerMissing { needed: String, found: String },
    #[error("the scratch server could not {what}")]
    Scratch { what: String, next: String },
    #[error("{program} failed ({status}): {stderr}")]
    Tool { program: String, status: String, stderr: String },

    // --- what the server answers ---
    #[error("{what}: {message}")]
    Query { what: String, message: ServerMessage },
    #[error("{what} is not allowed to `{user}`: {message}")]
    Privilege { what: String, user: String, message: ServerMessage },
    #[error("row-level security hides rows of {table} from `{user}`: {message}")]
    RowSecurity { table: String, user: String, message: ServerMessage },
    #[error("{what}: a lock was not free within {}", seconds(*.waited))]
    LockTimeout { what: String, waited: Duration },
    #[error("{what} conflicts with what the standby {address} replays: {message}")]
    RecoveryConflict { address: String, what: String, message: ServerMessage },
    #[error("{what}: the server has too few lock slots: {message}")]
    LockSlots { what: String, message: ServerMessage },
    #[error("{what} was stopped by the server's administrator or shutdown: {message}")]
    Stopped { what: String, message: ServerMessage },
    #[error("{what}: {how}")]
    Unexpected { what: String, how: String },

    // --- kind to production ---
    #[error("given up after {}: {waiter} waits for an ACCESS EXCLUSIVE lock on {table} behind this snapshot", seconds(*.age))]
    InTheWay { table: String, waiter: String, age: Duration },
    #[error("given up: the exported snapshot of database `{database}` got older than maxDuration ({})", seconds(*.limit))]
    TooLong { database: String, limit: Duration },
    #[error(
        "tables of database `{database}` were rewritten or dropped in each of {tries} tries to lock them: {tables}"
    )]
    Unsteady { database: String, tries: u32, tables: String },
    #[error("the server cannot send row {row} of table {table}: {message}")]
    Row { table: String, row: String, message: ServerMessage },

    // --- documents ---
    #[error("the manifest is not readable: {0}")]
    Manifest(String),
    #[error("the manifest has format version {found}; this drydock reads up to {known}")]
    ManifestTooNew { found: u64, known: u32 },

    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("cannot {what}")]
    Io { what: String, source: std::io::Error },
    #[error("cancelled")]
    Cancelled,
}

fn seconds(duration: Duration) -> String {
    let s = duration.as_secs();
    match (s / 3_600, s % 3_600 / 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

impl PostgresError {
    /// What `error` means, said of `what` we were doing (`reading table public.users`).
    #[must_use]
    pub fn from_server(address: &str, user: &str, what: &str, error: &tokio_postgres::Error) -> Self {
        let (address, what) = (address.to_owned(), what.to_owned());
        let Some(said) = error.as_db_error() else {
            let reason = reason(error);
            return if error.is_closed() || lies_in_the_connection(error) {
                Self::Lost { address, what, reason }
            } else {
                Self::Unexpected { what, how: reason }
            };
        };
        let message = ServerMessage::of(said);
        let user = user.to_owned();
        match message.sqlstate.as_str() {
            "42501" if said.message().contains("row-level security") => {
                Self::RowSecurity { table: what.trim_start_matches("reading table ").to_owned(), user, message }
            }
            "42501" => Self::Privilege { what, user, message },
            "55P03" => Self::LockTimeout { what, waited: Duration::ZERO },
            "40001" if said.message().contains("conflict with recovery") => {
                Self::RecoveryConflict { address, what, message }
            }
            "40P01" if said.message().contains("recovery") => Self::RecoveryConflict { address, what, message },
            "53200" if said.message().contains("shared memory") => Self::LockSlots { what, message },
            "53300" => Self::TooManyConnections { address, message },
            "57P01" | "57P02" | "57P03" | "57P05" | "57014" => Self::Stopped { what, message },
            "25P03" | "25P04" => Self::Stopped { what, message },
            // A pooler in transaction mode has sent this statement to another session.
            "26000" => Self::Pooler { address, evidence: message.message },
            code if code.starts_with("08") => Self::Lost { address, what, reason: message.to_string() },
            _ => Self::Query { what, message },
        }
    }
}

/// The innermost words of `error`, without the same sentence twice.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}

/// Whether the socket failed, in contrast to a message that cannot be read.
fn lies_in_the_connection(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return !matches!(io.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData);
        }
        source = inner.source();
    }
    false
}

impl Failure for PostgresError {
    fn category(&self) -> Category {
        match self {
            Self::Spec(_)
            | Self::Secret(_)
            | Self::Tls { .. }
            | Self::Authentication { .. }
            | Self::UnknownDatabase { .. }
            | Self::ServerTooOld { .. }
            | Self::ServerTooNew { .. }
            | Self::Pooler { .. }
            | Self::ToolMissing { .. }
            | Self::ServerMissing { .. }
            | Self::Scratch { .. }
            | Self::Privilege { .. }
            | Self::RowSecurity { .. }
            | Self::LockSlots { .. }
            | Self::ManifestTooNew { .. } => Category::Usage,
            Self::Connect { .. }
            | Self::TooManyConnections { .. }
            | Self::Lost { .. }
            | Self::Tool { .. }
            | Self::Query { .. }
            | Self::LockTimeout { .. }
            | Self::RecoveryConflict { .. }
            | Self::Stopped { .. }
            | Self::InTheWay { .. }
            | Self::TooLong { .. }
            | Self::Unsteady { .. }
            | Self::Io { .. } => Category::Unavailable,
            Self::Row { .. } => Category::NeedsOperator,
            Self::Unexpected { .. } => Category::Bug,
            Self::Manifest(_) => Category::Integrity,
            Self::Repository(error) => error.category(),
            Self::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Connect { .. } => {
                "check `host` and `port`, that the server runs, and that no firewall is between".into()
            }
            Self::Tls { .. } => {
                "with `tls: verify-full` the certificate must name the host and be signed by `caFile` or \
                 an authority that this machine trusts; `tls: require` encrypts without looking at it"
                    .into()
            }
            Self::Authentication { .. } => {
                "check `user` and `password` in the stack file, and the server's pg_hba.conf".into()
            }
            Self::UnknownDatabase { .. } => {
                "list the server's databases with `psql -l` and correct the stack file".into()
            }
            Self::TooManyConnections { .. } => {
                "lower `connections`, raise the server's max_connections or the role's CONNECTION LIMIT, or try later"
                    .into()
            }
            Self::ServerTooNew { .. } => "use a newer drydock".into(),
            Self::Pooler { .. } => {
                "name the server itself as `host` and `port`, or a pool in session mode: a snapshot needs one session"
                    .into()
            }
            Self::Lost { .. } => "run the same command again; the server's log says why a session ended".into(),
            Self::ToolMissing { needed, .. } => format!(
                "install postgresql-client-{needed} (apt.postgresql.org has every version), or name its folder as \
                 `clientBinaries`"
            ),
            Self::ServerMissing { needed, .. } => format!(
                "`apt-get install postgresql-{needed}` (apt.postgresql.org has every version; the package's own server \
                 need not run), or name the folder of `initdb` and `postgres` as `serverBinaries`"
            ),
            Self::Scratch { next, .. } => next.clone(),
            Self::Privilege { user, .. } => format!(
                "grant what is missing: on 14 and later `GRANT pg_read_all_data TO \"{user}\"`, before it USAGE on the schema and \
                 SELECT on tables, sequences and large objects; `drydock doctor` lists what is missing"
            ),
            Self::RowSecurity { user, .. } => format!(
                "`ALTER ROLE \"{user}\" BYPASSRLS`, or read as the table's owner or a superuser: a snapshot must not miss rows"
            ),
            Self::LockTimeout { .. } => {
                "another session holds a conflicting lock (pg_locks shows it); try later or raise `lockTimeout`".into()
            }
            Self::RecoveryConflict { .. } => {
                "set `hot_standby_feedback = on`, or raise `max_standby_streaming_delay` and \
                 `max_standby_archive_delay` on the standby, or read from the primary"
                    .into()
            }
            Self::LockSlots { .. } => {
                "raise `max_locks_per_transaction` on the server: each table takes one slot".into()
            }
            Self::InTheWay { .. } => {
                "run again when that statement is through; everything behind it would have waited too".into()
            }
            Self::TooLong { .. } => {
                "raise `maxDuration` or `connections`, or read from a standby; what was stored is used by the next run"
                    .into()
            }
            Self::Unsteady { .. } => "run again when no migration, TRUNCATE or VACUUM FULL is under way".into(),
            Self::Row { table, .. } => format!(
                "look at that row with psql; a value above about 500 MB of bytea cannot be sent as text, a damaged one must be \
                 repaired or deleted before {table} can be kept"
            ),
            Self::ManifestTooNew { .. } => "use the drydock that wrote it, or a newer one".into(),
            Self::Secret(_) | Self::Spec(_) => return None,
            Self::Repository(error) => return error.hint(),
            _ => return None,
        })
    }
}

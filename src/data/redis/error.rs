//! Why a Redis data set cannot be taken, restored or asked, in words that name the server and the next move.

use crate::data::tls::TlsProblem;
use crate::failure::{Category, Failure};
use crate::repository::RepositoryError;
use crate::stack::SecretError;

use super::rdb::RdbError;

/// Server messages are the server's own words; they hold no data.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("cannot connect to Redis at {address}")]
    Connect { address: String, source: std::io::Error },
    #[error("cannot set up TLS for Redis at {address}")]
    Tls { address: String, source: TlsProblem },
    #[error("Redis at {address} did not answer {doing} within {seconds} s")]
    Silent { address: String, doing: String, seconds: u64 },
    #[error("the connection to Redis at {address} was lost during {doing}")]
    Lost { address: String, doing: String, source: std::io::Error },
    #[error("what answers at {address} does not speak Redis' protocol: {what}")]
    Protocol { address: String, what: String },
    #[error("Redis at {address} asks for a login and none is set")]
    LoginMissing { address: String },
    #[error("Redis at {address} refuses the login of {user}: {said}")]
    Login { address: String, user: String, said: String },
    #[error("Redis at {address} does not allow {user} to use {command}")]
    Permission { address: String, user: String, command: String },
    #[error("Redis at {address} is still loading its data")]
    Loading { address: String },
    #[error("Redis at {address} refused {command}: {said}")]
    Refused { address: String, command: String, said: String },
    #[error("Redis at {address} is a node of a cluster and holds only a part of its keys")]
    Cluster { address: String },
    #[error("what answers at {address} is a Sentinel, not a Redis with data")]
    Sentinel { address: String },
    #[error("Redis at {address} is a replica whose link to its primary {primary} is down: its data is of unknown age")]
    StaleReplica { address: String, primary: String },
    #[error("Redis at {address} ended its RDB after {bytes} bytes, before it was whole")]
    Cut { address: String, bytes: u64 },
    #[error("the RDB from {origin} cannot be used")]
    Rdb { origin: String, source: RdbError },
    #[error("cannot keep the RDB that arrives faster than it is stored")]
    Spool { source: std::io::Error },
    #[error("{doing} was not finished by its thread")]
    Thread { doing: &'static str },
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("the snapshot's tree is not one of Redis: {0}")]
    NoSnapshot(String),
    #[error("cannot restore into Redis at {address}: {why}")]
    Target { address: String, why: String, next: String },
    #[error("the scratch server could not {what}")]
    Scratch { what: String, next: String },
    #[error("the RDB comes back from the scratch server changed: {0}")]
    ScratchDiffers(String),
    #[error("Redis at {address} did not take the data: {what}")]
    Sync { address: String, what: String },
    #[error("cannot listen for Redis at {address} on {listen}")]
    Listen { address: String, listen: String, source: std::io::Error },
    /// The undo of a failed restore failed too.
    #[error("Redis at {address} could not be made a primary again ({said}) after this: {first}")]
    StillReplica { address: String, said: String, first: Box<RedisError> },
    #[error("cancelled")]
    Cancelled,
}

impl RedisError {
    pub(super) fn rdb(origin: impl Into<String>) -> impl FnOnce(RdbError) -> Self {
        let origin = origin.into();
        move |source| Self::Rdb { origin, source }
    }

    /// An error reply of the server's, told apart by its first word.
    pub(super) fn from_reply(address: &str, user: &str, command: &str, said: &str) -> Self {
        let (address, command) = (address.to_owned(), command.to_owned());
        match said.split(' ').next().unwrap_or_default() {
            "NOAUTH" => Self::LoginMissing { address },
            "WRONGPASS" => Self::Login { address, user: user.into(), said: said.into() },
            "NOPERM" => Self::Permission { address, user: user.into(), command },
            "LOADING" => Self::Loading { address },
            _ => Self::Refused { address, command, said: said.into() },
        }
    }

    /// What an operator must type to let `user` take snapshots. Source: redis `src/commands/{psync,replconf}.json`.
    fn permission_hint(user: &str, command: &str) -> String {
        let user = if user == "the default user" { "default" } else { user };
        let command = command.to_ascii_lowercase();
        match command.split(' ').next().unwrap_or_default() {
            "psync" | "replconf" | "sync" => {
                format!("on the server: `ACL SETUSER {user} +psync +replconf +info +ping`")
            }
            first => format!("on the server: `ACL SETUSER {user} +{first}`"),
        }
    }
}

impl Failure for RedisError {
    fn category(&self) -> Category {
        match self {
            Self::Repository(error) => error.category(),
            Self::Rdb { source, .. } => source.category(),
            Self::Secret(_)
            | Self::Tls { .. }
            | Self::Protocol { .. }
            | Self::LoginMissing { .. }
            | Self::Login { .. }
            | Self::Permission { .. }
            | Self::Cluster { .. }
            | Self::Sentinel { .. }
            | Self::Target { .. }
            | Self::Scratch { .. } => Category::Usage,
            Self::Connect { .. }
            | Self::Silent { .. }
            | Self::Lost { .. }
            | Self::Loading { .. }
            | Self::Refused { .. }
            | Self::StaleReplica { .. }
            | Self::Cut { .. }
            | Self::Spool { .. }
            | Self::Listen { .. }
            | Self::Sync { .. } => Category::Unavailable,
            Self::NoSnapshot(_) | Self::ScratchDiffers(_) => Category::Integrity,
            Self::StillReplica { .. } => Category::NeedsOperator,
            Self::Thread { .. } => Category::Bug,
            Self::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Repository(error) => error.hint(),
            Self::Rdb { source, .. } => source.hint(),
            Self::Tls { .. } => Some("check `tls`, `caFile`, `certFile` and `keyFile`".into()),
            Self::Connect { .. } => Some("check `host`, `port`, `tls` and that the server runs".into()),
            Self::LoginMissing { .. } => Some("set `password` (and `user`) of the data set".into()),
            Self::Login { .. } => Some("check `user` and `password` of the data set".into()),
            Self::Permission { user, command, .. } => Some(Self::permission_hint(user, command)),
            Self::Loading { .. } => Some("run the same command again when it has finished".into()),
            Self::Cluster { .. } => Some("drydock takes stand-alone servers; use the cluster's own backups".into()),
            Self::Sentinel { .. } => Some("set `host` and `port` to a server that it watches".into()),
            Self::StaleReplica { .. } => {
                Some("set `host` to the primary, or wait until the replica has caught up".into())
            }
            Self::Protocol { .. } => Some("check `port` and `tls`: a TLS port answers like this without TLS".into()),
            Self::Spool { .. } => Some("free space in the folder for temporary files (TMPDIR)".into()),
            Self::Target { next, .. } | Self::Scratch { next, .. } => Some(next.clone()),
            Self::Listen { .. } => {
                Some("set `listenAddress` to an address of this machine that the server reaches".into())
            }
            Self::StillReplica { .. } => Some("on the server: `REPLICAOF NO ONE`".into()),
            _ => None,
        }
    }
}

//! The nouns users write: the `Stack` document and its parts. Pure: no I/O but reading secrets where they are said to be.

mod secret;

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use secret::{Secret, SecretError, SecretKeyRef, SecretSource};

/// How strictly a server's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Never.
    Disable,
    /// When the server offers it; the certificate is not checked (libpq's meaning).
    #[default]
    Prefer,
    /// Always; the certificate is not checked.
    Require,
    /// Always; the certificate must be signed by a known authority (`caFile` or the system's) and name the host.
    VerifyFull,
}

/// One PostgreSQL server and which of its databases are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresSpec {
    /// Host name, address, or the absolute folder of a unix socket.
    pub host: String,
    #[serde(default = "default_postgres_port")]
    pub port: u16,
    /// Exactly one of `database` and `databases`.
    #[serde(default)]
    pub database: Option<String>,
    #[serde(default)]
    pub databases: Vec<String>,
    pub user: String,
    #[serde(default)]
    pub password: Option<SecretSource>,
    #[serde(default)]
    pub tls: Tls,
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How many connections read or load tables at once, beside one that holds the exported snapshot.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// A read whose exported snapshot gets older than this is given up: it holds back VACUUM on production.
    #[serde(default, with = "duration::option")]
    pub max_duration: Option<Duration>,
    /// How long a table's lock is waited for.
    #[serde(default, with = "duration::option")]
    pub lock_timeout: Option<Duration>,
    /// Keep the roles' password hashes; needs a superuser (`false` = `pg_dumpall --no-role-passwords`).
    #[serde(default = "yes")]
    pub role_passwords: bool,
    /// The folder of `pg_dump` and `pg_restore`; found by version where it is not said.
    #[serde(default)]
    pub client_binaries: Option<PathBuf>,
}

/// One Redis (or Valkey) server, all its databases.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedisSpec {
    pub host: String,
    #[serde(default = "default_redis_port")]
    pub port: u16,
    /// ACL user; none = the default user.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<SecretSource>,
    /// `prefer` means `disable` here: the protocol has no way to ask.
    #[serde(default)]
    pub tls: Tls,
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The address at which the server reaches drydock during a restore; found from the connection where it is not said.
    #[serde(default)]
    pub listen_address: Option<std::net::IpAddr>,
    /// The `redis-server` that a restore loads the RDB into before the target sees it; found on the PATH where it is not said.
    #[serde(default)]
    pub scratch_server: Option<PathBuf>,
}

/// One folder of files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeSpec {
    /// A folder of this machine; exactly one of `path` and `claim`.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// A PersistentVolumeClaim; needs a cluster.
    #[serde(default)]
    pub claim: Option<String>,
    /// Glob patterns relative to the folder; what matches is left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Do not descend into other file systems.
    #[serde(default)]
    pub one_file_system: bool,
}

fn default_postgres_port() -> u16 {
    5432
}

fn default_redis_port() -> u16 {
    6379
}

/// Two readers keep a 2-core server's disks busy without taking its processors from the application.
fn default_connections() -> usize {
    2
}

fn yes() -> bool {
    true
}

/// `30s`, `15m`, `24h`, `8d`: one number and one unit, or several (`1h30m`).
pub mod duration {
    use std::time::Duration;

    /// Reads `text`; the units are s, m, h, d, w.
    ///
    /// # Errors
    /// The text and what was expected.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let expected = || format!("`{text}` is not a duration: expected for example `30s`, `15m`, `24h` or `8d`");
        let mut total: u64 = 0;
        let mut number: Option<u64> = None;
        for c in text.chars() {
            if let Some(digit) = c.to_digit(10) {
                let next = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u64::from(digit)));
                number = Some(next.ok_or_else(expected)?);
            } else {
                let unit = match c {
                    's' => 1,
                    'm' => 60,
                    'h' => 3_600,
                    'd' => 86_400,
                    'w' => 604_800,
                    _ => return Err(expected()),
                };
                let seconds = number.take().and_then(|n| n.checked_mul(unit)).ok_or_else(expected)?;
                total = total.checked_add(seconds).ok_or_else(expected)?;
            }
        }
        if number.is_some() || text.is_empty() {
            return Err(expected());
        }
        Ok(Duration::from_secs(total))
    }

    pub mod option {
        use std::time::Duration;

        use serde::{Deserialize, Deserializer};

        /// # Errors
        /// As [`super::parse`].
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            Option::<String>::deserialize(deserializer)?
                .map(|text| super::parse(&text).map_err(serde::de::Error::custom))
                .transpose()
        }
    }
}

//! Data sets: what must survive, and how it is reached.

use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::{Hooks, Name, SecretSource, duration};

/// One thing that must survive, under a name that recovery points carry for ever.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Entry")]
pub struct DataSet {
    pub name: Name,
    pub kind: DataKind,
    pub hooks: Hooks,
}

/// What a data set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataKind {
    Postgres(PostgresSpec),
    Redis(RedisSpec),
    Volume(VolumeSpec),
}

impl DataKind {
    /// The key under which the document has it; also what `point.json` records.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
            Self::Volume(_) => "volume",
        }
    }
}

/// A data set as it is written: one key for its name, one for what it is, one for what is run around it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.postgres), has(self.redis), has(self.volume)].filter(x, x).size() == 1",
    "message": EXACTLY_ONE,
}]))]
struct Entry {
    name: Name,
    postgres: Option<PostgresSpec>,
    redis: Option<RedisSpec>,
    volume: Option<VolumeSpec>,
    #[serde(default)]
    hooks: Hooks,
}

impl JsonSchema for DataSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DataSet".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Entry::json_schema(generator)
    }
}

impl TryFrom<Entry> for DataSet {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let Entry { name, postgres, redis, volume, hooks } = entry;
        let kind = match (postgres, redis, volume) {
            (Some(spec), None, None) => DataKind::Postgres(spec),
            (None, Some(spec), None) => DataKind::Redis(spec),
            (None, None, Some(spec)) => DataKind::Volume(spec),
            (None, None, None) => {
                return Err(format!("data set `{name}` says nothing of what it is; {EXACTLY_ONE}"));
            }
            _ => return Err(format!("data set `{name}` is said to be several things; {EXACTLY_ONE}")),
        };
        Ok(Self { name, kind, hooks })
    }
}

const EXACTLY_ONE: &str = "exactly one of `postgres`, `redis` and `volume` is expected";

/// How strictly a server's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.database) != (has(self.databases) && size(self.databases) > 0)",
    "message": "exactly one of `database` and `databases` is expected",
}]))]
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
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub max_duration: Option<Duration>,
    /// How long a table's lock is waited for.
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub lock_timeout: Option<Duration>,
    /// Keep the roles' password hashes; needs a superuser (`false` = `pg_dumpall --no-role-passwords`).
    #[serde(default = "yes")]
    pub role_passwords: bool,
    /// The folder of `pg_dump` and `pg_restore`; found by version where it is not said.
    #[serde(default)]
    pub client_binaries: Option<PathBuf>,
    /// The folder of `initdb` and `postgres` for a drill's sandbox; found by version where it is not said.
    #[serde(default)]
    pub server_binaries: Option<PathBuf>,
    /// Whose login proves a database that was restored in place, before and after it gets the live one's name; drydock's
    /// own where it is not said.
    #[serde(default)]
    pub application: Option<Login>,
}

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Login {
    pub user: String,
    #[serde(default)]
    pub password: Option<SecretSource>,
}

/// One Redis (or Valkey) server, all its databases.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
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
    /// The certificate (PEM) that drydock shows: to a server that asks its clients for one (`tls-auth-clients`), and as
    /// the primary of a restore to a server with `tls-replication`, which must know its authority.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The key of `certFile`.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The address at which the server reaches drydock during a restore; found from the connection where it is not said.
    #[serde(default)]
    pub listen_address: Option<std::net::IpAddr>,
    /// The `redis-server` that a restore loads the RDB into before the target sees it; found on the PATH where it is not said.
    #[serde(default)]
    pub scratch_server: Option<PathBuf>,
}

/// One folder of files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.path) != has(self.claim)",
    "message": "exactly one of `path` and `claim` is expected",
}]))]
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

//! What a restore would be into, and everything that speaks against it. Nothing here changes the target.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::super::connection::{Connection, Endpoint};
use super::super::error::RedisError;
use super::super::info::{Info, Role, ServerVersion};
use super::super::manifest::Manifest;
use super::super::rdb::{Flavor, Version};
use super::super::resp::Reply;
use super::super::source;
use super::RestoreOptions;
use super::primary::PORTS;

/// How long a link that is down must stay so before it is taken for one that a killed drydock has left.
const LEFTOVER: Duration = Duration::from_secs(3);
/// `databases` unless it is set.
const DATABASES: u64 = 16;

/// A server that was looked at.
pub(in super::super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) connection: Connection,
    pub(super) info: Info,
    pub(super) version: ServerVersion,
    /// The newest file that it loads.
    pub(super) loads: Version,
    /// `repl-diskless-load`; `None` where it does not tell, and then cannot be set either.
    pub(super) diskless_load: Option<String>,
    pub(in super::super) tls_replication: bool,
    /// Where it may connect from.
    pub(super) peers: Vec<IpAddr>,
    /// Our address as it reaches us.
    pub(super) reaches_us_at: IpAddr,
    /// A killed drydock has left it a replica of nobody.
    pub(in super::super) leftover: bool,
}

/// Asks the server everything that matters to a restore.
///
/// # Errors
/// [`RedisError::Target`] where nothing may be restored into it at all.
pub(in super::super) async fn examine(endpoint: &Endpoint, listen: Option<IpAddr>) -> Result<Target, RedisError> {
    let mut connection = endpoint.connect().await?;
    let info = connection.info().await?;
    let leftover = refuse_what_is_no_primary(&mut connection, &info).await?;
    let version = info.version();
    if !version.at_least(5, 0) {
        let why = format!("it is {version}, and drydock restores into 5 and later");
        let next = "restore `dump.rdb` into a folder (`--to DIR`) and start the server with it";
        return Err(refusal(&connection.address, why, next));
    }
    may_replicate(&mut connection).await?;
    let loads = newest_file(&mut connection, &version).await?;
    let diskless_load = connection.setting("repl-diskless-load").await?;
    let tls_replication = connection.setting("tls-replication").await?.as_deref() == Some("yes");
    let (peers, ours) = addresses(&mut connection).await?;
    Ok(Target {
        endpoint: endpoint.clone(),
        reaches_us_at: listen.unwrap_or(ours),
        connection,
        info,
        version,
        loads,
        diskless_load,
        tls_replication,
        peers,
        leftover,
    })
}

fn refusal(address: &str, why: impl Into<String>, next: impl Into<String>) -> RedisError {
    RedisError::Target { address: address.to_owned(), why: why.into(), next: next.into() }
}

/// True when it is a replica only because a drydock was killed.
async fn refuse_what_is_no_primary(connection: &mut Connection, info: &Info) -> Result<bool, RedisError> {
    let address = connection.address.clone();
    if info.is_sentinel() {
        return Err(RedisError::Sentinel { address });
    }
    if info.is_cluster() {
        return Err(RedisError::Cluster { address });
    }
    if info.is_on("loading") {
        return Err(RedisError::Loading { address });
    }
    if source::is_watched(connection).await? == Some(true) {
        let why = "a Sentinel watches it, and would undo the restore or spread half of it";
        return Err(refusal(
            &address,
            why,
            "on each Sentinel: `SENTINEL REMOVE` that primary, restore, then monitor again",
        ));
    }
    if info.role() == Role::Replica {
        if was_left_by_us(connection, info).await? {
            return Ok(true);
        }
        let why = format!("it is a replica of {}, which would overwrite what is restored", info.primary());
        let next = "restore into its primary; or, if it shall be one itself, on the server: `REPLICAOF NO ONE`";
        return Err(refusal(&address, why, next));
    }
    Ok(false)
}

fn looks_left(info: &Info) -> bool {
    info.role() == Role::Replica
        && info.get("master_link_status") == Some("down")
        && !info.is_on("master_sync_in_progress")
        && info
            .number("master_port")
            .and_then(|port| u16::try_from(port).ok())
            .is_some_and(|port| PORTS.contains(&port))
}

/// A replica of one of our own ports where nobody has listened for a while.
async fn was_left_by_us(connection: &mut Connection, info: &Info) -> Result<bool, RedisError> {
    if !looks_left(info) {
        return Ok(false);
    }
    tokio::time::sleep(LEFTOVER).await;
    Ok(looks_left(&connection.info().await?))
}

/// Whether it has the command and lets us use it: a port that is none is refused last of all, so nothing happens.
/// Source: redis `src/replication.c` (`replicaofCommand`).
async fn may_replicate(connection: &mut Connection) -> Result<(), RedisError> {
    let words = [&b"REPLICAOF"[..], b"drydock", b"no-port"];
    let said = match connection.ask(&words, "REPLICAOF").await? {
        Reply::Error(said) => said,
        reply => {
            let what = format!("REPLICAOF of no port was answered with {reply:?}");
            return Err(RedisError::Protocol { address: connection.address.clone(), what });
        }
    };
    if said.starts_with("NOPERM") {
        return Err(RedisError::from_reply(&connection.address, &connection.user, "REPLICAOF", &said));
    }
    if said.to_ascii_lowercase().contains("unknown command") {
        let why = "its command REPLICAOF is renamed or switched off (a managed server?)";
        let next = "restore `dump.rdb` into a folder (`--to DIR`) and load it by the provider's own means";
        return Err(refusal(&connection.address, why, next));
    }
    Ok(())
}

/// The newest version that the server loads, which is the one that it writes: it stands in the last ten bytes of every
/// DUMP. Before 7.0 there is none without a key, but the versions are known.
/// Source: redis `src/cluster.c` (`createDumpPayload`), `src/rdb.h` of each version.
async fn newest_file(connection: &mut Connection, version: &ServerVersion) -> Result<Version, RedisError> {
    if version.at_least(7, 0)
        && let Some(Reply::Bulk(Some(payload))) = connection.optional(&["FUNCTION", "DUMP"]).await?
        && payload.len() >= 10
    {
        let number = u32::from(u16::from_le_bytes([payload[payload.len() - 10], payload[payload.len() - 9]]));
        let flavor = if number >= 80 { Flavor::Valkey } else { Flavor::Redis };
        return Ok(Version { flavor, number });
    }
    Ok(known_version(version))
}

pub(super) fn known_version(version: &ServerVersion) -> Version {
    let redis = |number| Version { flavor: Flavor::Redis, number };
    match (version.product, version.major, version.minor) {
        ("valkey", 0..=8, _) => redis(11),
        ("valkey", ..) => Version { flavor: Flavor::Valkey, number: 80 },
        (_, 0..=2, _) | (_, 3, 0) => redis(6),
        (_, 3, _) => redis(7),
        (_, 4, _) => redis(8),
        (_, 5..=6, _) => redis(9),
        (_, 7, 0) => redis(10),
        (_, 7, 1..=3) => redis(11),
        _ => redis(12),
    }
}

/// Where the server may connect from (behind a service address it has another of its own), and where it reaches us.
async fn addresses(connection: &mut Connection) -> Result<(Vec<IpAddr>, IpAddr), RedisError> {
    let Some(tcp) = connection.addresses else {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        return Ok((vec![local], local));
    };
    let mut peers = vec![tcp.theirs.ip().to_canonical()];
    // 6.2 and later: `id=3 addr=10.0.0.9:51122 laddr=10.0.0.5:6379 …`
    let own = connection.optional(&["CLIENT", "INFO"]).await?.and_then(|reply| reply.text()).unwrap_or_default();
    let own = own.split(' ').find_map(|field| field.strip_prefix("laddr=")?.parse::<std::net::SocketAddr>().ok());
    if let Some(own) = own.map(|own| own.ip().to_canonical())
        && !peers.contains(&own)
    {
        peers.push(own);
    }
    Ok((peers, tcp.ours.ip().to_canonical()))
}

impl Target {
    pub(super) fn address(&self) -> String {
        self.endpoint.address()
    }

    pub(super) fn refuse(&self, why: impl Into<String>, next: impl Into<String>) -> RedisError {
        refusal(&self.address(), why, next)
    }

    /// Compares it with what shall come.
    pub(super) async fn refuse_unless_fit(
        &mut self,
        manifest: &Manifest,
        options: &RestoreOptions,
        has_certificate: bool,
    ) -> Result<(), RedisError> {
        let keys = self.info.keys();
        if keys > 0 && !options.allow_not_empty {
            let why = format!("it holds {keys} keys, which a restore replaces");
            return Err(self.refuse(why, "empty it, or say that it may be overwritten (`--in-place`)"));
        }
        let file = manifest.rdb.version;
        if !self.loads.loads(file) {
            let why = format!("it is {} and loads up to {}, the snapshot is {file}", self.version, self.loads);
            return Err(self.refuse(why, format!("restore into a server not older than {}", manifest.server)));
        }
        if self.tls_replication && !has_certificate {
            let why = "it replicates over TLS (tls-replication), and drydock has no certificate to show";
            return Err(self.refuse(why, "set `certFile` and `keyFile`, signed by an authority that the server knows"));
        }
        let highest = manifest.databases.iter().map(|database| database.number).max().unwrap_or(0);
        self.has_database(highest).await
    }

    /// A server that is sent a database that it does not have exits.
    async fn has_database(&mut self, number: u64) -> Result<(), RedisError> {
        let there = match self.connection.command(&["SELECT", &number.to_string()]).await {
            Ok(_) => self.connection.command(&["SELECT", "0"]).await.map(|_| true)?,
            Err(RedisError::Refused { .. }) => false,
            Err(RedisError::Permission { .. }) => number < DATABASES,
            Err(error) => return Err(error),
        };
        if there {
            return Ok(());
        }
        let why = format!("it has no database {number}, which the snapshot has");
        Err(self.refuse(why, format!("set `databases {}` in its configuration", number + 1)))
    }

    /// How the data is to be loaded, by the memory that it takes.
    pub(super) fn way(&self, data_bytes: u64) -> Result<Way, RedisError> {
        let limits = ["maxmemory", "total_system_memory"].map(|name| self.info.number(name).filter(|n| *n > 0));
        let Some(limit) = limits.into_iter().flatten().min() else { return Ok(Way::Replace) };
        let used = self.info.number("used_memory").unwrap_or(0);
        let idle = self.info.number("used_memory_startup").unwrap_or(0);
        if self.diskless_load.is_some() && used.saturating_add(data_bytes) <= limit {
            return Ok(Way::Beside);
        }
        if idle.saturating_add(data_bytes) <= limit {
            return Ok(Way::Replace);
        }
        let why = format!("the data takes {data_bytes} bytes of memory, and it may use {limit}");
        Err(self.refuse(why, "raise its maxmemory, or restore into a larger server"))
    }
}

/// How a target takes the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `repl-diskless-load swapdb`: what is there stays until the new is whole.
    Beside,
    /// What is there goes first: there is no room for both, or the server does not let itself be set.
    Replace,
}

//! Which server a snapshot is taken from, and what speaks against it.

use super::connection::{Connection, Endpoint};
use super::error::RedisError;
use super::info::{Info, Replica, Role};

/// The channel on which Sentinels tell each other what they watch. Source: redis `src/sentinel.c` (`SENTINEL_HELLO_CHANNEL`).
const HELLO: &str = "__sentinel__:hello";

/// A server that can be taken, with an open connection for questions.
pub(super) struct Origin {
    pub(super) endpoint: Endpoint,
    pub(super) connection: Connection,
    pub(super) info: Info,
    /// `10.0.0.5:6379 (primary)`.
    pub(super) label: String,
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Connects, and goes on to a replica where a Sentinel watches the primary: Sentinel writes whoever takes an RDB into
/// its configuration as a replica, and keeps it.
pub(super) async fn choose(endpoint: &Endpoint) -> Result<Origin, RedisError> {
    let mut connection = endpoint.connect().await?;
    let info = connection.info().await?;
    check(&connection, &info)?;
    let mut origin = Origin {
        label: format!("{} ({})", endpoint.address(), role_word(&info)),
        endpoint: endpoint.clone(),
        connection,
        info,
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    if origin.info.role() == Role::Primary && is_watched(&mut origin.connection).await? == Some(true) {
        return away_from_sentinel(origin).await;
    }
    Ok(origin)
}

fn role_word(info: &Info) -> &'static str {
    match info.role() {
        Role::Primary => "primary",
        Role::Replica => "replica",
    }
}

/// What no snapshot can be taken of.
fn check(connection: &Connection, info: &Info) -> Result<(), RedisError> {
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
    if info.role() == Role::Replica && info.get("master_link_status") != Some("up") {
        return Err(RedisError::StaleReplica { address, primary: info.primary() });
    }
    Ok(())
}

/// Whether a Sentinel watches this server: it listens on a channel of its own. `None` where we may not ask.
pub(super) async fn is_watched(connection: &mut Connection) -> Result<Option<bool>, RedisError> {
    let reply = connection.optional(&["PUBSUB", "NUMSUB", HELLO]).await?;
    Ok(reply.and_then(|reply| reply.texts()).and_then(|pair| pair.into_iter().nth(1)).map(|count| count != "0"))
}

async fn away_from_sentinel(mut origin: Origin) -> Result<Origin, RedisError> {
    let primary = origin.endpoint.address();
    let mut replicas = origin.info.replicas();
    replicas.sort_by_key(|replica| std::cmp::Reverse(replica.offset));
    for replica in replicas.into_iter().filter(|replica| replica.online) {
        if let Ok(found) = at_replica(&origin, &replica).await {
            return Ok(found);
        }
    }
    origin.warnings.push(format!(
        "a Sentinel watches {primary} and no replica of it could be reached: the Sentinel now lists this snapshot as a \
         replica without a port, until `SENTINEL RESET` of that primary"
    ));
    Ok(origin)
}

async fn at_replica(origin: &Origin, replica: &Replica) -> Result<Origin, RedisError> {
    let endpoint = origin.endpoint.at(&replica.host, replica.port);
    let mut connection = endpoint.connect().await?;
    let info = connection.info().await?;
    check(&connection, &info)?;
    let behind = origin.info.number("master_repl_offset").unwrap_or(0).saturating_sub(replica.offset);
    let note = format!(
        "taken from the replica {}, because a Sentinel watches {}; it was {behind} bytes behind",
        endpoint.address(),
        origin.endpoint.address()
    );
    Ok(Origin {
        label: format!("{} (replica)", endpoint.address()),
        endpoint,
        connection,
        info,
        warnings: Vec::new(),
        notes: vec![note],
    })
}

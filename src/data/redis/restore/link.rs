//! Makes a server a replica of ours until it holds the data, and a primary again whatever happens in between.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio_util::task::AbortOnDropHandle;

use crate::context::Context;
use crate::progress::Task;
use crate::repository::Repository;

use super::super::connection::{Connection, Endpoint};
use super::super::error::RedisError;
use super::super::info::{Info, Role};
use super::super::stored::Stored;
use super::primary::{Ended, Handover, Primary};

const LOOK: Duration = Duration::from_millis(100);
/// The server connects to its new primary within a second; a firewall lets it try for ever.
const CONNECT: Duration = Duration::from_secs(20);
/// It neither loads nor is linked, though it was given everything.
const DROPPED: Duration = Duration::from_secs(10);
/// A server that loads answers nothing else until it is done; a load of this length is a failure of its own.
const UNDO: Duration = Duration::from_secs(600);

/// How a server reaches us and we tell that it is the one.
pub(super) struct Route {
    pub(super) listen: IpAddr,
    pub(super) peers: Vec<IpAddr>,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// A server that is linked to us and holds the data; its primary serves until this is dropped.
pub(super) struct Linked {
    served: AbortOnDropHandle<Ended>,
}

/// Hands the stored RDB to the server and waits until it has loaded it.
///
/// # Errors
/// [`RedisError::Sync`] with what the server did instead; it may be a replica then, so [`release`] it.
pub(super) async fn hand_over(
    connection: &mut Connection,
    route: Route,
    stored: &Stored,
    repository: &Repository,
    task: Arc<Task>,
) -> Result<Linked, RedisError> {
    let address = connection.address.clone();
    let primary = Primary::bind(route.listen, route.peers, route.tls).await.map_err(|source| RedisError::Listen {
        address: address.clone(),
        listen: route.listen.to_string(),
        source,
    })?;
    let (ours, handover) = (primary.address(), primary.handover.clone());
    let rdb = Box::pin(repository.stream(stored.rdb.clone()));
    let mut served = AbortOnDropHandle::new(tokio::spawn(primary.serve(rdb, stored.rdb_bytes, task)));
    connection.command(&["REPLICAOF", &ours.ip().to_string(), &ours.port().to_string()]).await?;
    let ours = ours.to_string();
    tokio::select! {
        biased;
        linked = wait_until_linked(connection, &handover, &ours) => linked?,
        ended = &mut served => return Err(explain(ended, &handover, &address)),
    }
    Ok(Linked { served })
}

impl Linked {
    /// Whether the link is still there: what is verified over it is what was handed over.
    pub(super) fn is_up(&self) -> bool {
        !self.served.is_finished()
    }
}

fn explain(ended: Result<Ended, tokio::task::JoinError>, handover: &Handover, address: &str) -> RedisError {
    let sent = handover.sent.load(Ordering::Relaxed);
    let what = match ended {
        Ok(Ended::Repository(error)) => return error.into(),
        Ok(Ended::Connection(error)) => format!("the connection ended after {sent} bytes of the RDB ({error})"),
        Err(_) => return RedisError::Thread { doing: "handing over the RDB" },
    };
    RedisError::Sync { address: address.to_owned(), what }
}

async fn wait_until_linked(connection: &mut Connection, handover: &Handover, ours: &str) -> Result<(), RedisError> {
    let begun = Instant::now();
    let mut idle_since: Option<Instant> = None;
    loop {
        let info = connection.info().await.map_err(|error| gone(error, handover))?;
        if info.role() == Role::Replica && info.get("master_link_status") == Some("up") {
            return Ok(());
        }
        let failed = |what: String| Err(RedisError::Sync { address: connection.address.clone(), what });
        if info.role() == Role::Primary {
            return failed("somebody else made it a primary meanwhile".into());
        }
        if !handover.connected.load(Ordering::Acquire) && begun.elapsed() > CONNECT {
            return failed(format!("it did not come to {ours}; let it through, or set `listenAddress`"));
        }
        let busy = info.is_on("loading") || info.is_on("async_loading") || info.is_on("master_sync_in_progress");
        if busy || !handover.whole.load(Ordering::Acquire) {
            idle_since = None;
        } else if idle_since.get_or_insert_with(Instant::now).elapsed() > DROPPED {
            return failed("it was given all of the RDB and does not use it; its log says why".into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A server that is gone while it loads has most likely ended over the RDB.
fn gone(error: RedisError, handover: &Handover) -> RedisError {
    match error {
        RedisError::Lost { address, .. } if handover.connected.load(Ordering::Acquire) => RedisError::Sync {
            address,
            what: "it ended or dropped its connections while it loaded; its log says why".into(),
        },
        other => other,
    }
}

/// Makes it a primary, from whatever state; waits while it loads.
///
/// # Errors
/// When it cannot be reached or refuses: then it is still a replica and a person must act.
pub(super) async fn release(endpoint: &Endpoint) -> Result<(), RedisError> {
    let begun = Instant::now();
    loop {
        match try_release(endpoint).await {
            Ok(()) => return Ok(()),
            Err(RedisError::Loading { .. }) if begun.elapsed() < UNDO => tokio::time::sleep(LOOK).await,
            Err(error) => return Err(error),
        }
    }
}

async fn try_release(endpoint: &Endpoint) -> Result<(), RedisError> {
    let mut connection = endpoint.connect().await?;
    connection.command(&["REPLICAOF", "NO", "ONE"]).await?;
    let info: Info = connection.info().await?;
    if info.role() == Role::Primary {
        return Ok(());
    }
    let said = format!("it is a replica of {} still", info.primary());
    Err(RedisError::Refused { address: connection.address, command: "REPLICAOF NO ONE".into(), said })
}

/// Runs `work` until it is done or cancelled.
pub(super) async fn until_cancelled<T>(
    cx: &Context,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    super::super::capture::cancellable(cx, work).await
}

//! drydock inside a cluster: does what `Run`s ask for, deploys a changed `Stack` again, and says in their status and in
//! Events how it goes. Owns who acts (one process, by a Lease), what is a Run's journal, and how both are shown; the work is
//! [`operation`](crate::operation)'s, as for the command line.
//!
//! Nothing is remembered that the journal or the API server does not hold: beginning and going on after a crash are one
//! path. The Lease only keeps two processes from getting into each other's way; the right to act on a stack is the one in its
//! store, as for everybody else.

mod conditions;
mod crew;
mod document;
mod error;
mod execute;
mod home;
mod protection;
mod runs;
mod stacks;
mod story;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, install};
use crate::context::Context;
use crate::daemon::{self, Health, Probes, Signals};
use crate::process::Process;
use crate::run::Why;

use crew::Crew;
pub use error::ControllerError;
use runs::Runs;
use stacks::Stacks;

/// What the controller is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the kubeconfig; in a pod there is none.
    pub context: Option<String>,
    /// Where it shows itself; nowhere without.
    pub listen: Option<SocketAddr>,
    /// How long running steps may go on once it leaves.
    pub grace: Duration,
}

/// What all parts stand on.
struct Shared {
    /// With drydock's own rights.
    own: Cluster,
    context: Option<String>,
    teller: crate::cluster::Teller,
    crew: Crew,
    cx: Context,
    /// Nothing begins any more.
    stop: CancellationToken,
    /// Another process acts, or may soon: nothing is done or said any more.
    lost: CancellationToken,
}

/// What a step that was told to stop has for letting go.
const LAST: Duration = Duration::from_secs(20);
/// What is left of the Lease when its loss is noticed, less what an answer may take.
const LOST: Duration = Duration::from_secs(3);

/// Serves until SIGTERM or SIGINT, or until the Lease is lost.
///
/// # Errors
/// When there is no way to a cluster, the address cannot be had, or the Lease is lost.
pub async fn run(options: Options, cx: Context) -> Result<(), ControllerError> {
    let signals = Signals::listen()?;
    let own = Cluster::connect(None, options.context.as_deref()).await?;
    let listener = daemon::listen(options.listen).await?;
    let (leave, at_once, gone) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let over = gone.clone().drop_guard();
    let (health, leads) = (Arc::new(Health::default()), Arc::new(AtomicBool::new(false)));

    let (stop, now, end) = (leave.clone(), at_once.clone(), gone.clone());
    tokio::spawn(async move { signals.pass_on(&stop, &now, &Arc::new(Notify::new()), &end).await });
    if let Some(listener) = listener {
        let probes = Arc::new(probes(health.clone(), leads.clone(), leave.clone()));
        tokio::spawn(async move { daemon::serve(listener, probes, &gone).await });
    }

    let host = &Process::this().host;
    let election = own.election(own.namespace(), install::NAME, host);
    tracing::info!(namespace = own.namespace(), candidate = election.holder(), "waiting for the Lease");
    let leadership = tokio::select! {
        won = election.win(move || health.tick()) => won,
        () = leave.cancelled() => return Ok(()),
    };
    leads.store(true, Ordering::Relaxed);
    tracing::info!(holder = election.holder(), "this process has the Lease: it acts");

    let shared = Arc::new(Shared {
        teller: own.teller(host),
        own: own.clone(),
        context: options.context,
        crew: Crew::default(),
        cx,
        stop: CancellationToken::new(),
        lost: leadership.lost.clone(),
    });
    let of = shared.clone();
    let work =
        own.control(|watched| (Stacks::new(of.clone(), watched.clone()), Runs::new(of, watched)), shared.stop.clone());
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => return Err(ControllerError::Ended),
        () = leadership.lost.cancelled() => {}
        () = leave.cancelled() => {}
    }
    shared.stop.cancel();
    if leadership.lost.is_cancelled() {
        shared.crew.stop(&Why::Lost);
        let _ = tokio::time::timeout(LOST, work).await; // what has not let go by then ends with the process
        return Err(ControllerError::Lost);
    }
    shared.crew.park_after_step();
    let graceful = async {
        tokio::select! {
            () = tokio::time::sleep(options.grace) => {}
            () = at_once.cancelled() => {}
            () = leadership.lost.cancelled() => {}
            () = &mut work => return true,
        }
        false
    };
    let ended = graceful.await;
    if !ended {
        shared.crew.stop(if leadership.lost.is_cancelled() { &Why::Lost } else { &Why::Parked });
        if tokio::time::timeout(LAST, work).await.is_err() {
            tracing::warn!("a run has not let go in time; whoever has the Lease next takes it up");
            return Err(ControllerError::Stuck);
        }
    }
    leadership.release().await;
    drop(over);
    Ok(())
}

fn probes(health: Arc<Health>, leads: Arc<AtomicBool>, leave: CancellationToken) -> Probes {
    let alive = move || {
        let text = format!("the Lease was asked for {} s ago", health.last_turn().as_secs());
        if health.is_alive() { Ok(text) } else { Err(text) }
    };
    let ready = move || match (leave.is_cancelled(), leads.load(Ordering::Relaxed)) {
        (true, _) => Err("it is leaving".to_owned()),
        (false, true) => Ok("it has the Lease, and acts".to_owned()),
        (false, false) => Ok("it waits for the Lease".to_owned()),
    };
    Probes { alive: Box::new(alive), ready: Box::new(ready) }
}

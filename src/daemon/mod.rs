//! The long-running service of one stack: takes recovery points and drills them by its schedules, survives being killed at
//! any instant, and shows how the stack stands. Owns when something begins and who is told; what an operation does is
//! [`operation`](crate::operation)'s, when it is due [`schedule`](crate::schedule)'s, how the stack stands
//! [`status`](crate::status)'s.
//!
//! Its parts are tasks of their own in one set ([`run`]): the end of any of them that was not asked for ends the process,
//! which whoever supervises it starts anew. Beginning and going on after a crash are one path: nothing is remembered that
//! the store does not hold.

mod board;
mod book;
mod crew;
mod documents;
mod error;
mod health;
mod home;
mod http;
mod leader;
mod metrics;
mod operations;
mod page;
mod parts;
mod presence;
mod reload;
mod scheduler;
mod service;
mod signals;
mod since;
mod tell;
#[cfg(test)]
mod testing;
mod usage;
mod view;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use board::Board;
use book::Book;
use home::Opened;
use http::Window;
use operations::Operations;
use parts::Parts;
use reload::Reload;
use scheduler::Scheduler;
use tell::Teller;
use view::Lookout;

use crate::context::Context;
use crate::evidence::Examined;
use crate::run::Journals;
use crate::status::Known;

pub use documents::Sources;
pub use error::DaemonError;
pub use health::Health;
pub use http::{Probes, serve};
pub use signals::Signals;
pub use since::{Since, SinceError, read as read_since};

/// What the daemon is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    pub sources: Sources,
    /// Where it shows itself; nowhere without.
    pub listen: Option<SocketAddr>,
    /// How long running steps may go on once it leaves.
    pub grace: Duration,
}

/// What the command line prints with `-o json`, for the same documents over HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Forms {
    pub points: fn(&Known, Timestamp) -> String,
    /// With how many runs there are.
    pub runs: fn(&Known, usize, Timestamp) -> String,
    pub evidence: fn(&Examined, Timestamp) -> String,
}

/// What after the grace is needed at most: steps let go, answers end, the presence is taken back.
const LAST: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What is wrong with the documents, the address or the store at the start; later only the end of a part.
pub async fn run(options: Options, forms: Forms, cx: Context) -> Result<(), DaemonError> {
    let signals = Signals::listen()?;
    let seen = options.sources.fingerprint();
    let loaded = Arc::new(options.sources.load()?);
    let listener = listen(options.listen).await?;
    let (board, health) = (Arc::new(Board::default()), Arc::new(Health::default()));
    board.update_reloads(|reloads| reloads.loaded = Some(cx.clock.now()));
    let (documents, in_force) = watch::channel(loaded.clone());
    let (view, shown) = watch::channel(None);
    let (moved, moves) = watch::channel(0_u64);
    let journals: Arc<OnceLock<Arc<dyn Journals>>> = Arc::default();
    let asked = Arc::new(Notify::new());
    let (leave, at_once, gone) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let mut parts = Parts::new(leave.clone(), at_once.clone(), gone.clone());

    let (stop, now, again, end) = (leave.clone(), at_once.clone(), asked.clone(), gone.clone());
    parts.begin("signals", async move {
        signals.pass_on(&stop, &now, &again, &end).await;
        Ok(())
    });
    let (alive, end) = (health.clone(), gone.clone());
    parts.begin("watchdog", async move {
        service::watchdog(alive, &end).await;
        Ok(())
    });
    if let Some(listener) = listener {
        let window = Arc::new(Window {
            view: shown.clone(),
            documents: in_force.clone(),
            board: board.clone(),
            health: health.clone(),
            journals: journals.clone(),
            forms,
            clock: cx.clock.clone(),
        });
        let end = gone.clone();
        parts.begin("window", async move {
            http::serve(listener, window, &end).await;
            Ok(())
        });
    }

    let opening = home::open_when_there(&loaded.stack, &board, &health);
    let Some(home) = parts.unless_over(opening).await? else { return parts.end().await };
    let Some(keeper) = parts.unless_over(presence::claim(&home.store)).await? else { return parts.end().await };
    let end = gone.clone();
    parts.begin("presence", async move { keeper.keep(&end).await });
    let diary: Arc<dyn Journals> = Arc::from(crate::operation::journals(&home));
    let diary = journals.get_or_init(|| diary).clone();
    let store = home.store.clone();
    let (opened, homes) = watch::channel(Arc::new(home));

    let reload = Reload {
        sources: options.sources,
        seen,
        documents,
        door: Arc::new(Opened(opened)),
        board: board.clone(),
        clock: cx.clock.clone(),
        asked,
    };
    let stop = leave.clone();
    parts.begin("reload", async move {
        reload.run(&stop).await;
        Ok(())
    });
    let lookout = Lookout {
        documents: in_force.clone(),
        home: homes.clone(),
        journals: diary.clone(),
        board: board.clone(),
        moved: moves,
        view,
        cx: cx.clone(),
    };
    let end = gone.clone();
    parts.begin("lookout", async move {
        lookout.run(&end).await;
        Ok(())
    });
    let teller = Teller { view: shown, home: homes.clone(), board: board.clone(), cx: cx.clone() };
    let end = gone.clone();
    parts.begin("teller", async move {
        teller.run(&end).await;
        Ok(())
    });
    let scheduler = Scheduler {
        documents: in_force,
        store,
        book: Book::new(diary),
        leader: Arc::new(Operations { home: homes }),
        board,
        health,
        moved,
        cx,
        grace: options.grace,
    };
    let (stop, now) = (leave.clone(), at_once);
    parts.begin(parts::SCHEDULER, async move {
        scheduler.run(&stop, &now).await;
        Ok(())
    });
    tracing::info!(stack = %loaded.stack.name, schedules = loaded.schedules.len(), "the daemon serves");
    service::ready();
    let grace = options.grace;
    tokio::spawn(async move {
        leave.cancelled().await;
        service::stopping(grace + LAST);
    });
    parts.until_over().await
}

/// Nowhere without an address.
///
/// # Errors
/// When the address cannot be had.
pub async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, DaemonError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |source| DaemonError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tracing::info!(address = %bound, "listening on http://{bound}/");
    if !bound.ip().is_loopback() {
        tracing::warn!(address = %bound, "whoever reaches this address sees names, times and sizes of this stack; put a proxy \
                                          that asks who they are before it");
    }
    Ok(Some(listener))
}

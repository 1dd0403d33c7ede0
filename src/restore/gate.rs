//! Databases that are filled and verified wait here, beside the live ones, until everything else is verified too: then
//! all are promoted, or none.

use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::database::{options, restored_set, spec};
use super::plan::{Part, RestorePlan};
use super::report::RestoredSet;
use crate::context::Context;
use crate::data::DataError;
use crate::data::postgres::restore::{self as postgres, Observer, Restored, Step, Target};
use crate::point::Home;

/// One data set's databases, verified and not yet live. Dropped without [`Self::promote`] or [`Self::discard`] they are
/// left beside, and the next restore removes them.
pub struct Waiting {
    pub part: Part,
    begun: Instant,
    task: JoinHandle<Result<Restored, postgres::RestoreError>>,
    go: watch::Sender<bool>,
    cancel: CancellationToken,
}

/// What came of filling.
pub enum Filled {
    /// As recorded; it waits.
    Verified(Box<Waiting>),
    /// Not as recorded: what was made is gone again.
    Differs(Box<RestoredSet>),
}

/// Fills and verifies one data set's databases beside the live ones.
pub async fn fill(home: &Home, plan: &RestorePlan, part: &Part, cx: &Context) -> Result<Filled, DataError> {
    let begun = Instant::now();
    let (tell, mut told) = mpsc::channel(1);
    let (go, gate) = watch::channel(false);
    let cancel = cx.cancel.child_token();
    let mut options = options(plan, Target::InPlace);
    options.observer = observer(tell, gate, cancel.clone());
    let (repository, tree, spec) = (home.repository.clone(), part.member.tree, spec(part).clone());
    let own = Context { cancel: cancel.clone(), ..cx.clone() };
    let mut task = tokio::spawn(async move { postgres::restore(&repository, &tree, &spec, &options, &own).await });
    tokio::select! {
        biased;
        Some(()) = told.recv() => {
            Ok(Filled::Verified(Box::new(Waiting { part: part.clone(), begun, task, go, cancel })))
        }
        ended = &mut task => {
            let restored = ended.map_err(|_| lost())??;
            Ok(Filled::Differs(Box::new(restored_set(part, restored, begun))))
        }
    }
}

/// The task panicked, or the runtime is going down.
fn lost() -> DataError {
    DataError::PostgresRestore(postgres::RestoreError::Cancelled)
}

/// Says that the databases are verified, and holds them there until told to go on or to stop.
fn observer(tell: mpsc::Sender<()>, gate: watch::Receiver<bool>, cancel: CancellationToken) -> Observer {
    Observer::new(move |step| {
        let (tell, mut gate, cancel) = (tell.clone(), gate.clone(), cancel.clone());
        Box::pin(async move {
            if step != Step::Verified {
                return;
            }
            // Whoever does not listen any more has dropped the gate, too: then there is nobody to wait for.
            if tell.send(()).await.is_ok() {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    gone = async { gate.wait_for(|open| *open).await.is_err() } => {
                        if gone {
                            cancel.cancel();
                        }
                    }
                }
            }
        })
    })
}

impl Waiting {
    /// Swaps them with the live ones.
    pub async fn promote(self) -> Result<RestoredSet, DataError> {
        self.go.send_replace(true);
        let restored = self.task.await.map_err(|_| lost())??;
        Ok(restored_set(&self.part, restored, self.begun))
    }

    /// Removes them; what was live never noticed.
    pub async fn discard(self) {
        self.cancel.cancel();
        match self.task.await {
            Ok(Err(postgres::RestoreError::Cancelled)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, data = %self.part.name(), "a database beside the live one may be left; the next restore removes it");
            }
            Ok(Ok(_)) | Err(_) => tracing::error!(data = %self.part.name(), "a discarded restore went on"),
        }
    }
}

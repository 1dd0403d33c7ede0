//! Databases that are filled and verified wait here, beside the live ones, until everything else is verified too, and
//! once more when they carry the live names, until all of them do: then the run's journal knows where each former is.

use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::database::{options, restored_set, spec};
use super::plan::{Part, RestorePlan};
use super::report::RestoredSet;
use crate::context::Context;
use crate::data::DataError;
use crate::data::postgres::restore::{self as postgres, Observer, Restored, Step, Target};
use crate::point::Home;

/// One data set's databases, verified and not yet live. Dropped without [`Self::prove`] or [`Self::discard`] they are
/// left beside, and the next restore removes them.
pub struct Waiting {
    pub part: Part,
    begun: Instant,
    /// They carry the live names.
    swapped: bool,
    task: JoinHandle<Result<Restored, postgres::RestoreError>>,
    told: mpsc::Receiver<()>,
    go: watch::Sender<Go>,
    cancel: CancellationToken,
}

/// How far it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Go {
    Verify,
    Swap,
    Prove,
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
    let (go, gate) = watch::channel(Go::Verify);
    // Its own, because Ctrl-C counts only until the first promotion, which may be another data set's.
    let cancel = CancellationToken::new();
    let mut options = options(plan, Target::InPlace);
    options.observer = observer(tell, gate, cancel.clone());
    let (repository, tree, spec) = (home.repository.clone(), part.member.tree, spec(part).clone());
    let own = Context { cancel: cancel.clone(), ..cx.clone() };
    let mut task = tokio::spawn(async move { postgres::restore(&repository, &tree, &spec, &options, &own).await });
    let ended = tokio::select! {
        biased;
        Some(()) = told.recv() => {
            return Ok(Filled::Verified(Box::new(Waiting::new(part, begun, task, told, go, cancel))));
        }
        ended = &mut task => ended,
        () = cx.cancel.cancelled() => {
            cancel.cancel();
            drop(told); // it may be about to wait
            task.await
        }
    };
    Ok(Filled::Differs(Box::new(restored_set(part, done(ended)?, begun))))
}

fn done(ended: Result<Result<Restored, postgres::RestoreError>, JoinError>) -> Result<Restored, DataError> {
    match ended {
        Ok(done) => Ok(done?),
        Err(error) if error.is_panic() => Err(DataError::Defect { doing: "the restore of a database" }),
        Err(_) => Err(postgres::RestoreError::Cancelled.into()), // the runtime is going down
    }
}

/// Says that the databases are verified, later that they are swapped, and holds them at each until told to go on or stop.
fn observer(tell: mpsc::Sender<()>, gate: watch::Receiver<Go>, cancel: CancellationToken) -> Observer {
    Observer::new(move |step| {
        let (tell, mut gate, cancel) = (tell.clone(), gate.clone(), cancel.clone());
        Box::pin(async move {
            let needed = match step {
                Step::Verified => Go::Swap,
                Step::Renamed => Go::Prove,
                _ => return,
            };
            // Whoever does not listen any more has dropped the gate, too: then there is nobody to wait for.
            if tell.send(()).await.is_ok() {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    gone = async { gate.wait_for(|go| *go >= needed).await.is_err() } => {
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
    fn new(
        part: &Part,
        begun: Instant,
        task: JoinHandle<Result<Restored, postgres::RestoreError>>,
        told: mpsc::Receiver<()>,
        go: watch::Sender<Go>,
        cancel: CancellationToken,
    ) -> Self {
        Self { part: part.clone(), begun, swapped: false, task, told, go, cancel }
    }

    /// Swaps them with the live ones; they stay marked as what this run has swapped.
    ///
    /// # Errors
    /// Nothing was swapped: what was live is, and the databases beside are gone.
    pub async fn swap(&mut self) -> Result<(), DataError> {
        self.go.send_replace(Go::Swap);
        tokio::select! {
            biased;
            Some(()) = self.told.recv() => {
                self.swapped = true;
                Ok(())
            }
            ended = &mut self.task => match done(ended) {
                Ok(_) => Err(DataError::Defect { doing: "the swap of a database" }),
                Err(error) => Err(error),
            },
        }
    }

    /// After [`Self::swap`]: logs in as the application.
    ///
    /// # Errors
    /// `LoginRefused`: the former ones are back.
    pub async fn prove(self) -> Result<RestoredSet, DataError> {
        self.go.send_replace(Go::Prove);
        let restored = done(self.task.await)?;
        Ok(restored_set(&self.part, restored, self.begun))
    }

    /// Before [`Self::swap`]: removes them; what was live never noticed. After it: leaves them as they are, marked, to
    /// whoever brings the former ones back.
    pub async fn discard(self) {
        if self.task.is_finished() {
            return; // a swap that failed has cleaned up after itself
        }
        if self.swapped {
            self.task.abort();
            self.task.await.ok(); // its session is closed now
            return;
        }
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

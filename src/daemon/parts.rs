//! The daemon's parts as one set of tasks, in which the end of any is seen.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::DaemonError;

/// The part that ends last of its own: it waits for the runs.
pub const SCHEDULER: &str = "scheduler";
/// What the others have for ending once the scheduler has.
const LAST: Duration = Duration::from_secs(5);

type Ended = (&'static str, Result<(), DaemonError>);

/// All tasks of the daemon.
pub struct Parts {
    tasks: JoinSet<Ended>,
    /// The word to leave, that the grace is over, and that all is over.
    leave: CancellationToken,
    at_once: CancellationToken,
    gone: CancellationToken,
    schedules: bool,
}

impl Parts {
    #[must_use]
    pub fn new(leave: CancellationToken, at_once: CancellationToken, gone: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), leave, at_once, gone, schedules: false }
    }

    /// Begins a part.
    pub fn begin(&mut self, name: &'static str, part: impl Future<Output = Result<(), DaemonError>> + Send + 'static) {
        self.schedules |= name == SCHEDULER;
        self.tasks.spawn(async move { (name, part.await) });
    }

    /// What `work` yields; none when the daemon is to leave before.
    ///
    /// # Errors
    /// Those of `work`, and the end of a part meanwhile.
    pub async fn unless_over<T>(
        &mut self,
        work: impl Future<Output = Result<T, DaemonError>>,
    ) -> Result<Option<T>, DaemonError> {
        tokio::select! {
            biased;
            () = self.leave.cancelled() => Ok(None),
            Some(ended) = self.tasks.join_next() => Err(died(ended)),
            done = work => done.map(Some),
        }
    }

    /// Waits until the daemon was told to leave and its runs are ended or parked.
    ///
    /// # Errors
    /// The end of a part that was not asked for; the runs are parked before.
    pub async fn until_over(mut self) -> Result<(), DaemonError> {
        let mut fault = None;
        while self.schedules {
            let Some(ended) = self.tasks.join_next().await else { break };
            let name = ended.as_ref().ok().map(|(name, _)| *name);
            self.schedules &= name != Some(SCHEDULER);
            let asked = self.leave.is_cancelled() && matches!(&ended, Ok((_, Ok(()))));
            if !asked && fault.is_none() {
                let error = died(ended);
                tracing::error!(%error, "the daemon ends: runs are parked first");
                // A part that panicked may have been the scheduler: then nobody is left who would park anything.
                self.schedules &= name.is_some();
                fault = Some(error);
                self.at_once.cancel();
                self.leave.cancel();
            }
        }
        match (self.end().await, fault) {
            (_, Some(error)) | (Err(error), None) => Err(error),
            (Ok(()), None) => Ok(()),
        }
    }

    /// Ends what is left.
    ///
    /// # Errors
    /// What a part says at its end.
    pub async fn end(mut self) -> Result<(), DaemonError> {
        self.gone.cancel();
        let mut result = Ok(());
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Ok((_, Err(error))) = ended {
                    result = Err(error);
                }
            }
        };
        if tokio::time::timeout(LAST, all).await.is_err() {
            tracing::warn!("a part of the daemon has not ended in time; the process ends without it");
        }
        result
    }
}

fn died(ended: Result<Ended, JoinError>) -> DaemonError {
    match ended {
        Ok((_, Err(error))) => error,
        Ok((task, Ok(()))) => DaemonError::TaskEnded { task, why: "nobody asked it to".into() },
        Err(error) => DaemonError::TaskEnded { task: "a task", why: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> (Parts, CancellationToken) {
        let leave = CancellationToken::new();
        (Parts::new(leave.clone(), CancellationToken::new(), CancellationToken::new()), leave)
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_any_part_ends_the_daemon_and_the_runs_are_parked_first() {
        let (mut parts, leave) = parts();
        let told = leave.clone();
        let (sender, parked) = tokio::sync::oneshot::channel();
        parts.begin(SCHEDULER, async move {
            told.cancelled().await;
            sender.send(()).ok();
            Ok(())
        });
        parts.begin("window", async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(())
        });
        let error = parts.until_over().await.unwrap_err().to_string();
        assert_eq!(error, "`window`, a part of the daemon, ended by itself: nobody asked it to");
        parked.await.expect("the scheduler was told to leave before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_panics_ends_it_too() {
        let (mut parts, _) = parts();
        parts.begin(SCHEDULER, async { panic!("a defect") });
        assert!(matches!(parts.until_over().await, Err(DaemonError::TaskEnded { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_told_to_leave_leaves_without_an_error() {
        let (mut parts, leave) = parts();
        let (told, gone) = (leave.clone(), parts.gone.clone());
        parts.begin(SCHEDULER, async move {
            told.cancelled().await;
            Ok(())
        });
        parts.begin("window", async move {
            gone.cancelled().await;
            Ok(())
        });
        leave.cancel();
        parts.until_over().await.unwrap();
    }
}

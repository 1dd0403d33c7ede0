//! Several sessions that work through one schedule. The first failure stops the others and is the one that is told.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::connect::Canceller;
use super::error::RestoreError;
use super::schedule::{Next, Schedule, TaskId};

/// One member of a crew: a session that can do any task of the schedule.
pub trait Member: Send + 'static {
    /// Does `task`; `alone` when no other works now nor could.
    fn work(&mut self, task: TaskId, alone: bool) -> impl Future<Output = Result<(), RestoreError>> + Send;

    /// What ends the statements of its sessions from outside.
    fn cancellers(&self) -> Vec<Canceller>;
}

#[derive(Debug)]
struct Shared {
    schedule: Mutex<Schedule>,
    changed: Notify,
    stop: CancellationToken,
}

/// Works through `schedule` and hands the members back.
///
/// # Errors
/// The first failure of a member, or `Cancelled`.
///
/// # Cancel safety
/// When the future is dropped the members are aborted and their sessions closed.
pub async fn work<M: Member>(
    members: Vec<M>,
    schedule: Schedule,
    cancel: &CancellationToken,
) -> Result<Vec<M>, RestoreError> {
    let stop = cancel.child_token();
    let shared = Arc::new(Shared { schedule: Mutex::new(schedule), changed: Notify::new(), stop });
    let mut crew = JoinSet::new();
    for member in members {
        crew.spawn(until_done(member, Arc::clone(&shared)));
    }
    let (mut back, mut failure) = (Vec::new(), None);
    while let Some(ended) = crew.join_next().await {
        match ended {
            Ok(Ok(member)) => back.push(member),
            // Those that were stopped because another failed say `Cancelled`.
            Ok(Err(RestoreError::Cancelled)) if failure.is_some() => {}
            Ok(Err(error)) => {
                failure.get_or_insert(error);
                shared.stop.cancel();
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    failure.map_or(Ok(back), Err)
}

async fn until_done<M: Member>(mut member: M, shared: Arc<Shared>) -> Result<M, RestoreError> {
    let cancellers = member.cancellers();
    loop {
        // Listens before it looks, so that no change is missed in between.
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let next = shared.schedule.lock().unwrap_or_else(PoisonError::into_inner).next();
        match next {
            Next::Done => return Ok(member),
            Next::Wait => tokio::select! {
                () = changed => {}
                () = shared.stop.cancelled() => return Err(RestoreError::Cancelled),
            },
            Next::Run { task, alone } => {
                tokio::select! {
                    done = member.work(task, alone) => done?,
                    () = shared.stop.cancelled() => {
                        for canceller in &cancellers {
                            canceller.cancel().await;
                        }
                        return Err(RestoreError::Cancelled);
                    }
                }
                shared.schedule.lock().unwrap_or_else(PoisonError::into_inner).done(task);
                shared.changed.notify_waiters();
            }
        }
    }
}

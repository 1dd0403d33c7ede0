//! Blobs on their way to the workers, within a bound on bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};

use super::super::{BlobId, BlobKind};

/// Bytes that may wait or be worked on: enough that two workers never run dry while a chunk of 8 MiB is cut.
const BUDGET: usize = 24 << 20;

const NO_PANIC: &str = "no thread panics while it holds the queue";

/// One blob to be stored.
#[derive(Debug)]
pub struct Job {
    pub kind: BlobKind,
    pub id: BlobId,
    pub data: Vec<u8>,
    /// Given back when the job is done.
    pub _room: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub struct Queue {
    state: Mutex<Jobs>,
    /// Something to do, or closed.
    changed: Condvar,
    budget: Arc<Semaphore>,
    /// Nothing waits and nothing is worked on.
    idle: Notify,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    running: usize,
    closed: bool,
}

impl Queue {
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            budget: Arc::new(Semaphore::new(BUDGET)),
            idle: Notify::new(),
        }
    }

    /// Waits until `bytes` more may be under way; a blob above the whole budget takes all of it.
    pub async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, AcquireError> {
        let bytes = u32::try_from(bytes.min(BUDGET)).expect("the budget is below 4 GiB");
        Arc::clone(&self.budget).acquire_many_owned(bytes).await
    }

    pub fn push(&self, job: Job) {
        let mut jobs = self.state.lock().expect(NO_PANIC);
        if !jobs.closed {
            jobs.waiting.push_back(job);
            self.changed.notify_one();
        }
    }

    /// Blocks until there is a job; `None` once the queue is closed. Every job must be answered by [`Self::done`].
    pub fn pop(&self) -> Option<Job> {
        let mut jobs = self.state.lock().expect(NO_PANIC);
        loop {
            if jobs.closed {
                return None;
            }
            if let Some(job) = jobs.waiting.pop_front() {
                jobs.running += 1;
                return Some(job);
            }
            jobs = self.changed.wait(jobs).expect(NO_PANIC);
        }
    }

    pub fn done(&self) {
        let mut jobs = self.state.lock().expect(NO_PANIC);
        jobs.running -= 1;
        if jobs.running == 0 && jobs.waiting.is_empty() {
            self.idle.notify_waiters();
        }
    }

    /// Ends the workers after their current job, drops what waits, and wakes everybody who waits for room.
    pub fn close(&self) {
        let mut jobs = self.state.lock().expect(NO_PANIC);
        jobs.closed = true;
        jobs.waiting.clear();
        drop(jobs);
        self.budget.close();
        self.changed.notify_all();
        self.idle.notify_waiters();
    }

    /// Waits until nothing is waiting or worked on, or the queue is closed.
    pub async fn idle(&self) {
        loop {
            let woken = self.idle.notified();
            tokio::pin!(woken);
            woken.as_mut().enable(); // before looking, so that no wake-up is missed
            {
                let jobs = self.state.lock().expect(NO_PANIC);
                if jobs.closed || (jobs.running == 0 && jobs.waiting.is_empty()) {
                    return;
                }
            }
            woken.await;
        }
    }
}

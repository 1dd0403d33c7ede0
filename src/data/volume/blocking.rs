//! From the async world onto threads that may block, and back: file systems have no async calls worth the name.

use std::future::Future;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

use super::VolumeError;

/// The word to stop, and the way to ask async things from a blocking thread.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    token: CancellationToken,
    runtime: Handle,
}

/// Runs `work` on a blocking thread. Its [`Stop`] fires with `cx`, and when this future is dropped.
pub(super) async fn blocking<T: Send + 'static>(
    cx: &Context,
    work: impl FnOnce(Stop) -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, VolumeError> {
    let stop = Stop { token: cx.cancel.child_token(), runtime: Handle::current() };
    let _stops_when_dropped = stop.token.clone().drop_guard();
    match tokio::task::spawn_blocking(move || work(stop)).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(VolumeError::Cancelled), // the runtime is going down
    }
}

impl Stop {
    /// Outside of [`blocking`]; needs to be called inside a runtime.
    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
            std::sync::LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
        Self { token: CancellationToken::new(), runtime: RUNTIME.handle().clone() }
    }

    pub(super) fn check(&self) -> Result<(), VolumeError> {
        if self.token.is_cancelled() { Err(VolumeError::Cancelled) } else { Ok(()) }
    }

    /// Ends everything that shares this.
    pub(super) fn now(&self) {
        self.token.cancel();
    }

    /// Calls something that needs to know the runtime.
    pub(super) fn inside<T>(&self, call: impl FnOnce() -> T) -> T {
        let _inside = self.runtime.enter();
        call()
    }

    /// Waits for something async; gives up when told to stop.
    pub(super) fn wait<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, VolumeError>
    where
        VolumeError: From<E>,
    {
        let mut work = std::pin::pin!(work);
        // Most answers are in memory: those cost no look at the token.
        let _inside = self.runtime.enter();
        if let Some(ready) = work.as_mut().now_or_never() {
            return Ok(ready?);
        }
        self.runtime.block_on(async {
            tokio::select! {
                result = work => Ok(result?),
                () = self.token.cancelled() => Err(VolumeError::Cancelled),
            }
        })
    }
}

/// The first failure of several threads; it stops the others.
#[derive(Debug)]
pub(super) struct Failure {
    first: Mutex<Option<VolumeError>>,
    stop: Stop,
}

impl Failure {
    pub(super) fn new(stop: Stop) -> Self {
        Self { first: Mutex::new(None), stop }
    }

    /// Keeps the first error and stops everything.
    pub(super) fn note(&self, result: Result<(), VolumeError>) {
        if let Err(error) = result {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
            self.stop.now();
        }
    }

    /// The cause, rather than what it made the others say.
    pub(super) fn into_result(self) -> Result<(), VolumeError> {
        let first = self.first.into_inner().unwrap_or_else(PoisonError::into_inner);
        first.map_or(Ok(()), Err)
    }
}

/// Hands jobs to several threads, one each.
#[derive(Debug)]
pub(super) struct Jobs<T>(Mutex<mpsc::Receiver<T>>);

impl<T> Jobs<T> {
    pub(super) fn new(waiting: usize) -> (mpsc::SyncSender<T>, Self) {
        let (sender, receiver) = mpsc::sync_channel(waiting);
        (sender, Self(Mutex::new(receiver)))
    }

    /// The next job; none when the sender is gone.
    pub(super) fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }
}

/// A list for people that stays short: memory is bounded when everything is remarkable.
#[derive(Debug, Default)]
pub(super) struct Remarks(Mutex<(Vec<String>, u64)>);

impl Remarks {
    const MOST: usize = 1_000;

    pub(super) fn add(&self, remark: String) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.0.len() < Self::MOST {
            list.0.push(remark);
        } else {
            list.1 += 1;
        }
    }

    /// Sorted, so that the order of threads does not show.
    pub(super) fn into_list(self) -> Vec<String> {
        let (mut list, more) = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        list.sort_unstable();
        if more > 0 {
            list.push(format!("and {more} more"));
        }
        list
    }
}

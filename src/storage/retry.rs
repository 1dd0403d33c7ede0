//! Tries again what a store could not do just now. A decorator and not the SDK's own retries (which are off): it
//! covers the body of an answer too, holds for every store, and its waits can be tested with a paused clock.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Created, ObjectMeta, SharedStore, StorageError, Store, Swept};

/// How often and how far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, once the store has answered.
    pub attempts: u32,
    /// Tries in all while it never has: most likely the endpoint is mistyped, and a person waits.
    pub first_contact: u32,
    /// Doubled from try to try, up to `longest_delay`; a random half of it is left out, so that many clients do not
    /// come back in step.
    pub first_delay: Duration,
    pub longest_delay: Duration,
}

impl Default for RetryPolicy {
    /// 0.5 + 1 + 2 + 4 + 8 + 16 s at most: longer than a gateway takes to restart, shorter than a person's patience.
    fn default() -> Self {
        Self {
            attempts: 7,
            first_contact: 3,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(20),
        }
    }
}

impl RetryPolicy {
    /// The wait after try number `tried` (from 1 on); `jitter` is from 0 to 1.
    fn delay(&self, tried: u32, jitter: f64) -> Duration {
        let doubled = self.first_delay.saturating_mul(1 << (tried - 1).min(16)).min(self.longest_delay);
        doubled.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

/// A store that is asked again when it is [`StorageError::Unavailable`]. Every other error is an answer.
pub struct Retry {
    inner: SharedStore,
    policy: RetryPolicy,
    jitter: fn() -> f64,
    answered: AtomicBool,
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("inner", &self.inner).field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Retry {
    #[must_use]
    pub fn new(inner: SharedStore, policy: RetryPolicy) -> Arc<Self> {
        Self::with_jitter(inner, policy, rand::random::<f64>)
    }

    /// With a source of randomness of the caller's choice, from 0 to 1.
    #[must_use]
    pub fn with_jitter(inner: SharedStore, policy: RetryPolicy, jitter: fn() -> f64) -> Arc<Self> {
        Arc::new(Self { inner, policy, jitter, answered: AtomicBool::new(false) })
    }

    async fn run<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let mut tried = 0;
        loop {
            let error = match attempt().await {
                Err(error @ StorageError::Unavailable { .. }) => error,
                answer => {
                    self.answered.store(true, Ordering::Relaxed);
                    return answer;
                }
            };
            tried += 1;
            if tried >= self.allowed() {
                return Err(error);
            }
            let delay = self.policy.delay(tried, (self.jitter)());
            tracing::warn!(%error, tried, delay_ms = delay.as_millis() as u64, "the store did not serve, trying again");
            tokio::time::sleep(delay).await;
        }
    }

    fn allowed(&self) -> u32 {
        if self.answered.load(Ordering::Relaxed) { self.policy.attempts } else { self.policy.first_contact }
    }

    /// Whether the object that is there is the one whose creation was not answered.
    async fn is_ours(&self, key: &str, ours: &Bytes) -> Result<bool, StorageError> {
        match self.get(key).await {
            Ok(there) => Ok(there == ours),
            Err(StorageError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Store for Retry {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        self.run(|| self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.run(|| self.inner.get_range(key, range.clone())).await
    }

    async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        self.run(|| self.inner.put(key, parts.clone())).await
    }

    /// After a try whose answer was lost, an object that exists may be our own: its content decides.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
        let lost = AtomicBool::new(false);
        let created = self
            .run(|| async {
                let created = self.inner.create(key, bytes.clone()).await;
                lost.fetch_or(created.is_err(), Ordering::Relaxed);
                created
            })
            .await?;
        let lost = lost.into_inner();
        if created == Created::Exists && lost && self.is_ours(key, &bytes).await? {
            return Ok(Created::New);
        }
        Ok(created)
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.run(|| self.inner.delete(key)).await
    }

    async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        self.run(|| self.inner.stat(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        self.run(|| self.inner.list(prefix)).await
    }

    async fn sweep(&self, older_than: Duration) -> Result<Swept, StorageError> {
        self.run(|| self.inner.sweep(older_than)).await
    }
}

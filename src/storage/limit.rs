//! Limits: bytes a second, and how many operations at once. A decorator for any store; [`S3Store`](super::S3Store)
//! paces its bodies with the same [`RateLimiter`], so that a slow line is never filled for the length of a pack.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::{Created, ObjectMeta, SharedStore, StorageError, Store, Swept};

/// How hard a store may be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes a second towards the store; none = as fast as it goes.
    pub upload: Option<u64>,
    /// Bytes a second from the store.
    pub download: Option<u64>,
    /// Operations at once.
    pub concurrency: usize,
}

impl Default for Limits {
    /// Eight: packs of 16 MiB in flight are then 128 MiB, half of what drydock may take in all.
    fn default() -> Self {
        Self { upload: None, download: None, concurrency: 8 }
    }
}

/// Hands out instants so that bytes flow at a rate; what waited its turn is never made up for in a burst.
#[derive(Debug)]
pub struct RateLimiter {
    bytes_per_second: u64,
    free_at: Mutex<Option<Instant>>,
}

impl RateLimiter {
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(None) }
    }

    /// When these bytes may go; the line counts as busy with them from then on.
    pub fn reserve(&self, bytes: u64) -> Instant {
        let now = Instant::now();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = free_at.map_or(now, |at| at.max(now));
        *free_at = Some(start + self.time_for(bytes));
        start
    }

    /// Waits until these bytes may go.
    pub async fn wait(&self, bytes: u64) {
        tokio::time::sleep_until(self.reserve(bytes)).await;
    }

    /// How many bytes make a good portion: a tenth of a second's, and no less than a packet.
    #[must_use]
    pub fn portion(&self) -> usize {
        usize::try_from((self.bytes_per_second / 10).clamp(1_500, 256 * 1024)).unwrap_or(1_500)
    }

    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64)
    }
}

/// What is not larger is a word to others (a lock, a right to act, an entry of a journal) and never waits behind data: at
/// 300 KB/s packs keep the line busy for minutes, and a right that is not renewed in one is lost.
const WORD: usize = 64 << 10;

/// A store that is driven within [`Limits`]. An operation that waits for its turn holds nothing.
#[derive(Debug)]
pub struct Limited {
    inner: SharedStore,
    permits: Semaphore,
    /// Of what is small: as many again.
    words: Semaphore,
    upload: Option<RateLimiter>,
    download: Option<RateLimiter>,
}

impl Limited {
    #[must_use]
    pub fn new(inner: SharedStore, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            inner,
            permits: Semaphore::new(limits.concurrency.max(1)),
            words: Semaphore::new(limits.concurrency.max(1)),
            upload: limits.upload.map(RateLimiter::new),
            download: limits.download.map(RateLimiter::new),
        })
    }

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.permits.acquire().await.expect("the semaphore is never closed")
    }

    async fn turn_of_a_word(&self) -> SemaphorePermit<'_> {
        self.words.acquire().await.expect("the semaphore is never closed")
    }

    /// The turn of an upload of so many bytes, when the line is free for it.
    async fn turn_to_upload(&self, bytes: usize) -> SemaphorePermit<'_> {
        if bytes <= WORD {
            if let Some(limiter) = &self.upload {
                limiter.reserve(bytes as u64); // it counts, and does not wait
            }
            return self.turn_of_a_word().await;
        }
        let turn = self.turn().await;
        pace(self.upload.as_ref(), bytes).await;
        turn
    }
}

/// Before an upload, so that the line is not filled first; after a download, whose size is not known before.
async fn pace(limiter: Option<&RateLimiter>, bytes: usize) {
    if let Some(limiter) = limiter {
        limiter.wait(bytes as u64).await;
    }
}

#[async_trait]
impl Store for Limited {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        let _turn = self.turn().await;
        let bytes = self.inner.get(key).await?;
        pace(self.download.as_ref(), bytes.len()).await;
        Ok(bytes)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let _turn = self.turn().await;
        let bytes = self.inner.get_range(key, range).await?;
        pace(self.download.as_ref(), bytes.len()).await;
        Ok(bytes)
    }

    async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        let _turn = self.turn_to_upload(parts.iter().map(Bytes::len).sum()).await;
        self.inner.put(key, parts).await
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
        let _turn = self.turn_to_upload(bytes.len()).await;
        self.inner.create(key, bytes).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let _turn = self.turn_of_a_word().await;
        self.inner.delete(key).await
    }

    async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        let _turn = self.turn_of_a_word().await;
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        let _turn = self.turn().await;
        self.inner.list(prefix).await
    }

    async fn sweep(&self, older_than: Duration) -> Result<Swept, StorageError> {
        let _turn = self.turn().await;
        self.inner.sweep(older_than).await
    }
}

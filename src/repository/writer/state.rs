//! What all parts of a writer share: which blobs are under way, what went wrong first, and the counters.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::super::index::Index;
use super::super::pack::{self, PackedBlob};
use super::super::pool::Pool;
use super::super::{BlobId, BlobKind, Repository, RepositoryError};
use super::queue::Queue;
use super::{WriteStats, WriterOptions, upload};

const NO_PANIC: &str = "no thread panics while it changes the sets of blobs";

#[derive(Debug)]
pub struct State {
    pub repository: Repository,
    pub options: WriterOptions,
    pub queue: Queue,
    /// One for each pack that is closed and not yet stored.
    upload_slots: Arc<Semaphore>,
    /// Chunks: most are below 2 MiB.
    pub chunks: Pool,
    /// Packs: the target and the blob that exceeds it.
    pub packs: Pool,
    blobs: Mutex<Blobs>,
    failure: OnceLock<Arc<RepositoryError>>,
    /// Fires when there is a failure.
    pub stopped: CancellationToken,
    new_blobs: AtomicU64,
    new_bytes: AtomicU64,
    stored_bytes: AtomicU64,
    known_bytes: AtomicU64,
}

/// What the index alone does not tell.
#[derive(Debug, Default)]
struct Blobs {
    /// Claimed by somebody and not yet in an index.
    under_way: HashSet<(BlobKind, BlobId)>,
    /// In an index, but what lies there could not be read.
    unreadable: HashSet<(BlobKind, BlobId)>,
}

impl Blobs {
    fn is_known(&self, index: &Index, kind: BlobKind, id: BlobId) -> bool {
        let blob = (kind, id);
        self.under_way.contains(&blob) || (index.contains(kind, &id) && !self.unreadable.contains(&blob))
    }
}

impl State {
    pub fn new(repository: Repository, options: WriterOptions) -> Self {
        Self {
            repository,
            options,
            queue: Queue::new(),
            upload_slots: Arc::new(Semaphore::new(upload::CONCURRENT)),
            chunks: Pool::new(1 << 20, 8),
            packs: Pool::new(pack::TARGET + (2 << 20), 2),
            blobs: Mutex::default(),
            failure: OnceLock::new(),
            stopped: CancellationToken::new(),
            new_blobs: AtomicU64::new(0),
            new_bytes: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            known_bytes: AtomicU64::new(0),
        }
    }

    /// Notes what went wrong first and stops everything.
    pub fn fail(&self, error: RepositoryError) {
        self.failure.get_or_init(|| Arc::new(error));
        self.stopped.cancel();
        self.queue.close();
        self.upload_slots.close();
    }

    /// The right to close a pack; waits while the uploads are behind.
    pub async fn upload_slot(&self) -> Result<OwnedSemaphorePermit, RepositoryError> {
        Arc::clone(&self.upload_slots).acquire_owned().await.map_err(|_| self.failed())
    }

    /// The failure, if there is one.
    pub fn check(&self) -> Result<(), RepositoryError> {
        self.failure.get().map_or(Ok(()), |error| Err(RepositoryError::Writer(Arc::clone(error))))
    }

    /// Why a part of the writer is gone.
    pub fn failed(&self) -> RepositoryError {
        self.check().err().unwrap_or(RepositoryError::WorkerLost)
    }

    /// Waits until the workers have nothing to do.
    pub async fn idle(&self) -> Result<(), RepositoryError> {
        self.queue.idle().await;
        self.check()
    }

    pub fn is_known(&self, index: &RwLock<Index>, kind: BlobKind, id: &BlobId) -> bool {
        self.first_missing(index, kind, std::slice::from_ref(id)).is_none()
    }

    /// The first that is neither under way nor in an index.
    pub fn first_missing(&self, index: &RwLock<Index>, kind: BlobKind, ids: &[BlobId]) -> Option<BlobId> {
        let blobs = self.blobs.lock().expect(NO_PANIC);
        let index = index.read().expect(super::super::index::NO_PANIC);
        ids.iter().find(|id| !blobs.is_known(&index, kind, **id)).copied()
    }

    /// Takes it upon the caller to store the blob; false when somebody has.
    pub fn claim(&self, index: &RwLock<Index>, kind: BlobKind, id: BlobId) -> bool {
        let mut blobs = self.blobs.lock().expect(NO_PANIC);
        if blobs.is_known(&index.read().expect(super::super::index::NO_PANIC), kind, id) {
            return false;
        }
        blobs.unreadable.remove(&(kind, id));
        blobs.under_way.insert((kind, id))
    }

    /// As [`Self::claim`], for a blob that the index has and that is to move.
    pub fn claim_again(&self, kind: BlobKind, id: BlobId) -> bool {
        self.blobs.lock().expect(NO_PANIC).under_way.insert((kind, id))
    }

    /// The index has the blob, but it cannot be read: whoever comes with its bytes stores them again.
    pub fn note_unreadable(&self, kind: BlobKind, id: BlobId) {
        self.blobs.lock().expect(NO_PANIC).unreadable.insert((kind, id));
    }

    /// The blobs are in the index now; call after they were put there, so that at no time they are in neither.
    pub fn release(&self, stored: &[PackedBlob]) {
        let mut blobs = self.blobs.lock().expect(NO_PANIC);
        for blob in stored {
            blobs.under_way.remove(&(blob.kind, blob.id));
        }
    }

    /// The repository has these bytes already.
    pub fn give_back_known(&self, data: Vec<u8>) {
        self.known_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.chunks.give(data);
    }

    pub fn count_new(&self, plain: usize, stored: usize) {
        self.new_blobs.fetch_add(1, Ordering::Relaxed);
        self.new_bytes.fetch_add(plain as u64, Ordering::Relaxed);
        self.stored_bytes.fetch_add(stored as u64, Ordering::Relaxed);
    }

    pub fn stats(&self) -> WriteStats {
        WriteStats {
            new_blobs: self.new_blobs.load(Ordering::Relaxed),
            new_bytes: self.new_bytes.load(Ordering::Relaxed),
            stored_bytes: self.stored_bytes.load(Ordering::Relaxed),
            known_bytes: self.known_bytes.load(Ordering::Relaxed),
        }
    }
}

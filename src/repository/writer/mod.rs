//! The way in: bytes become chunks, chunks become sealed blobs, blobs become packs, packs become known.
//!
//! Callers cut and hash ([`FileSink`]); workers compress, seal and open again ([`worker`]); full packs are uploaded, and
//! only when they are durable an index names them ([`upload`]); the caller saves a snapshot last.

mod packs;
mod queue;
mod sink;
mod state;
mod upload;
mod worker;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{BlobId, BlobKind, NodeKind, Repository, RepositoryError, Tree, TreeId};
use packs::OpenPacks;
use sink::blob_id;
use state::State;
use upload::Message;

pub use sink::FileSink;

/// How a [`Writer`] writes.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// zstd's level.
    pub compression_level: i32,
    /// Open what was put into a pack again and compare it before the source is let go of.
    pub self_check: bool,
    /// Threads that compress, encrypt and check.
    pub workers: usize,
}

impl Default for WriterOptions {
    /// Level 1: on text in chunks of a megabyte as small as level 2 and a fifth faster (measured). Self-check on. A worker for each core up to four: each may hold three copies of a blob
    /// of 8 MiB, and four of them compress more than a gigabit line carries.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { compression_level: 1, self_check: true, workers: cores.min(4) }
    }
}

/// What a [`Writer`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteStats {
    /// Blobs that were not in the repository before, and their bytes before and after compression and encryption.
    pub new_blobs: u64,
    pub new_bytes: u64,
    pub stored_bytes: u64,
    /// Bytes that the repository had already.
    pub known_bytes: u64,
}

/// A file's content once it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    pub blobs: Vec<BlobId>,
    pub bytes: u64,
}

impl Repository {
    /// A writer into this repository. Needs a shared [`Lock`](super::Lock) for as long as it lives, and a tokio runtime.
    pub fn writer(&self, options: WriterOptions) -> Writer {
        let (uploads, received) = mpsc::unbounded_channel();
        let workers = options.workers.max(1);
        let state = Arc::new(State::new(self.clone(), options));
        tokio::spawn(upload::run(Arc::clone(&state), received));
        let runtime = tokio::runtime::Handle::current();
        let pipeline = Arc::new(Pipeline { state, packs: OpenPacks::default(), uploads, runtime });
        for number in 0..workers {
            worker::start(number, Arc::clone(&pipeline));
        }
        Writer { inner: Arc::new(Owner { pipeline, watch: OnceLock::new() }) }
    }
}

/// Puts blobs, files and trees into packs, several sources at once; cheap to clone. Waits when the workers are behind,
/// so memory stays bounded. Dropped without [`Self::finish`] it leaves packs that no index names: `prune` takes them.
#[derive(Debug, Clone)]
pub struct Writer {
    inner: Arc<Owner>,
}

/// What all clones share. Its drop ends the workers, and with them the uploads.
#[derive(Debug)]
struct Owner {
    pipeline: Arc<Pipeline>,
    /// What [`Writer::stop_on`] has begun.
    watch: OnceLock<tokio::task::AbortHandle>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get() {
            watch.abort();
        }
        self.pipeline.state.queue.close();
    }
}

/// What the workers share. The channel to the uploads closes with the last of them.
#[derive(Debug)]
struct Pipeline {
    state: Arc<State>,
    packs: OpenPacks,
    uploads: mpsc::UnboundedSender<Message>,
    /// For threads that are none of tokio's.
    runtime: tokio::runtime::Handle,
}

impl Writer {
    /// Ends the writer with `Cancelled` as soon as `cancel` fires: whoever waits for room, for an upload or for
    /// [`Self::finish`] is woken at once, however slow the store is. Only the first call counts.
    pub fn stop_on(&self, cancel: &CancellationToken) {
        let (state, cancel) = (Arc::downgrade(&self.inner.pipeline.state), cancel.clone());
        self.inner.watch.get_or_init(|| {
            let watch = async move {
                cancel.cancelled().await;
                if let Some(state) = state.upgrade() {
                    state.fail(RepositoryError::Cancelled);
                }
            };
            self.inner.pipeline.runtime.spawn(watch).abort_handle()
        });
    }

    /// A new file: feed it bytes, finish it, put the [`FileContent`] into a node.
    pub fn file(&self) -> FileSink {
        FileSink::new(self.clone())
    }

    /// Stores a whole small file, such as a manifest.
    pub async fn bytes(&self, bytes: Bytes) -> Result<FileContent, RepositoryError> {
        let mut file = self.file();
        file.write(&bytes).await?;
        file.finish().await
    }

    /// Stores a folder. Every blob and subtree that it names must have been handed to this writer or be in the
    /// repository.
    ///
    /// # Errors
    /// `BlobMissing` for the first that was not; `Tree` when names are not sorted or not fit for a folder.
    pub async fn tree(&self, tree: &Tree) -> Result<TreeId, RepositoryError> {
        for node in &tree.nodes {
            match &node.kind {
                NodeKind::File { content, .. } => self.require(BlobKind::Data, content).await?,
                NodeKind::Dir { subtree } => self.require(BlobKind::Tree, &[(*subtree).into()]).await?,
                _ => {}
            }
        }
        self.tree_json(tree.to_json()?).await
    }

    /// As [`Self::tree`], from the folder's JSON, so that a folder of a million entries is in memory once.
    pub async fn tree_json(&self, json: Vec<u8>) -> Result<TreeId, RepositoryError> {
        let id = blob_id(&json);
        self.store(BlobKind::Tree, id, json).await?;
        Ok(id.into())
    }

    /// Whether the repository has all of these blobs; asked once a file, for content taken over from a parent.
    pub async fn has_all(&self, kind: BlobKind, ids: &[BlobId]) -> Result<bool, RepositoryError> {
        Ok(self.first_missing(kind, ids).await?.is_none())
    }

    /// Whether the repository has this blob; for unchanged files whose content is taken over from a parent snapshot.
    pub async fn has(&self, kind: BlobKind, id: &BlobId) -> Result<bool, RepositoryError> {
        self.has_all(kind, std::slice::from_ref(id)).await
    }

    /// Says that this blob could not be read although the index has it: whoever comes with its bytes stores them again.
    pub fn note_unreadable(&self, kind: BlobKind, id: &BlobId) {
        self.inner.pipeline.state.note_unreadable(kind, *id);
    }

    /// Closes and uploads the open packs, then writes the index that makes them known. Afterwards a snapshot may be
    /// saved. Other clones must be done with their files.
    pub async fn finish(&self) -> Result<WriteStats, RepositoryError> {
        let Pipeline { state, packs, uploads, .. } = &*self.inner.pipeline;
        state.idle().await?;
        for pack in packs.take_all() {
            let slot = state.upload_slot().await?;
            let state_there = Arc::clone(state);
            let closed = tokio::task::spawn_blocking(move || worker::close(&state_there, pack));
            let closed = closed.await.map_err(|_| RepositoryError::WorkerLost)??;
            uploads.send(Message::Pack(closed, slot)).map_err(|_| state.failed())?;
        }
        let (done, answer) = tokio::sync::oneshot::channel();
        uploads.send(Message::Flush(done)).map_err(|_| state.failed())?;
        answer.await.map_err(|_| state.failed())?;
        state.check()?;
        Ok(state.stats())
    }

    /// Stores a blob of the repository once more, read and verified by the caller: for `prune`, which then drops the
    /// pack that it came from. An index lists both copies until it is replaced.
    pub(crate) async fn store_again(&self, kind: BlobKind, id: BlobId, data: Vec<u8>) -> Result<(), RepositoryError> {
        let state = &self.inner.pipeline.state;
        state.check()?;
        let room = state.queue.room_for(data.capacity()).await.map_err(|_| state.failed())?;
        if state.claim_again(kind, id) {
            state.queue.push(queue::Job { kind, id, data, _room: room });
        }
        Ok(())
    }

    async fn require(&self, kind: BlobKind, ids: &[BlobId]) -> Result<(), RepositoryError> {
        match self.first_missing(kind, ids).await? {
            None => Ok(()),
            Some(id) => Err(RepositoryError::BlobMissing { kind, id }),
        }
    }

    async fn first_missing(&self, kind: BlobKind, ids: &[BlobId]) -> Result<Option<BlobId>, RepositoryError> {
        let state = &self.inner.pipeline.state;
        let index = state.repository.index().await?;
        Ok(state.first_missing(index, kind, ids))
    }

    /// Hands a blob to the workers unless the repository has it; waits while too much is under way.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the blob is not stored and not taken for stored.
    async fn store(&self, kind: BlobKind, id: BlobId, data: Vec<u8>) -> Result<(), RepositoryError> {
        let state = &self.inner.pipeline.state;
        state.check()?;
        let index = state.repository.index().await?;
        if state.is_known(index, kind, &id) {
            state.give_back_known(data);
            return Ok(());
        }
        let room = state.queue.room_for(data.capacity()).await.map_err(|_| state.failed())?;
        if state.claim(index, kind, id) {
            state.queue.push(queue::Job { kind, id, data, _room: room });
        } else {
            state.give_back_known(data);
        }
        Ok(())
    }
}

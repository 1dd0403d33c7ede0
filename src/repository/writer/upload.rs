//! Packs on their way to the store, and the index files that follow them: an index never names a pack that is not
//! durable, and a blob is not taken for known in the index before its index file is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::super::index::{IndexFile, IndexPack, MAX_BLOBS_PER_FILE, NO_PANIC};
use super::super::pack::ClosedPack;
use super::super::{FileKind, RepositoryError};
use super::state::State;

/// Packs that may wait for an upload slot; each is 16 MiB of memory.
pub const WAITING: usize = 1;

/// Uploads at the same time: enough to hide the latency of an object store and of fsync, at 16 MiB of memory each.
const CONCURRENT: usize = 3;

/// An index file is written at least this often, so that what a later crash leaves behind is used by the next run.
/// restic does so every ten minutes, too.
const INDEX_AGE: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub enum Message {
    Pack(ClosedPack),
    /// Wait for all uploads, write the index, then answer; the state tells whether that went well.
    Flush(oneshot::Sender<()>),
}

/// Takes packs until the writer is gone; what is under way then is dropped.
pub async fn run(state: Arc<State>, mut messages: mpsc::Receiver<Message>) {
    let mut uploads = Uploads { state, running: JoinSet::new(), stored: Vec::new(), since: Instant::now() };
    while let Some(message) = messages.recv().await {
        let (result, answer) = match message {
            Message::Pack(_) if uploads.state.check().is_err() => continue,
            Message::Pack(pack) => (uploads.start(pack).await, None),
            Message::Flush(done) => (uploads.flush().await, Some(done)),
        };
        if let Err(error) = result {
            uploads.state.fail(error);
        }
        if let Some(done) = answer {
            done.send(()).ok(); // who has stopped waiting needs no answer
        }
    }
}

struct Uploads {
    state: Arc<State>,
    running: JoinSet<Result<IndexPack, RepositoryError>>,
    /// Durable, but in no index yet.
    stored: Vec<IndexPack>,
    /// When the last index file was written.
    since: Instant,
}

impl Uploads {
    /// Begins an upload as soon as there is a slot for it.
    async fn start(&mut self, pack: ClosedPack) -> Result<(), RepositoryError> {
        while self.running.len() >= CONCURRENT {
            self.join().await?;
        }
        self.running.spawn(store(Arc::clone(&self.state), pack));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), RepositoryError> {
        while !self.running.is_empty() {
            self.join().await?;
        }
        self.state.check()?;
        self.write_index().await
    }

    /// Waits for one upload; gives all of them up when the writer has failed or was told to stop.
    async fn join(&mut self) -> Result<(), RepositoryError> {
        let joined = tokio::select! {
            biased;
            () = self.state.stopped.cancelled() => {
                self.running.abort_all();
                return Err(self.state.failed());
            }
            joined = self.running.join_next() => joined,
        };
        let Some(result) = joined else { return Ok(()) };
        self.stored.push(result.map_err(|_| RepositoryError::WorkerLost)??);
        let blobs: usize = self.stored.iter().map(|pack| pack.blobs.len()).sum();
        if blobs >= MAX_BLOBS_PER_FILE || self.since.elapsed() >= INDEX_AGE {
            self.write_index().await?;
        }
        Ok(())
    }

    async fn write_index(&mut self) -> Result<(), RepositoryError> {
        self.since = Instant::now();
        if self.stored.is_empty() {
            return Ok(());
        }
        let file = IndexFile { supersedes: Vec::new(), packs: std::mem::take(&mut self.stored) };
        self.state.repository.save_index_file(&file).await?;
        let index = self.state.repository.index().await?;
        for pack in &file.packs {
            index.write().expect(NO_PANIC).insert(pack.id, &pack.blobs);
            self.state.release(&pack.blobs);
        }
        Ok(())
    }
}

async fn store(state: Arc<State>, pack: ClosedPack) -> Result<IndexPack, RepositoryError> {
    let ClosedPack { id, bytes, blobs } = pack;
    state.repository.store().put(&FileKind::Pack.key(&id.0), vec![bytes.into()]).await?;
    Ok(IndexPack { id, blobs })
}

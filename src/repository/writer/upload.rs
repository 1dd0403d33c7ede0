//! Packs on their way to the store, and the index files that follow them: an index never names a pack that is not
//! durable, and a blob is not taken for known in the index before its index file is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;

use super::super::index::{IndexFile, IndexPack, MAX_BLOBS_PER_FILE, NO_PANIC};
use super::super::pack::ClosedPack;
use super::super::{FileKind, RepositoryError};
use super::state::State;

/// Packs that are closed and not yet stored: enough to hide the latency of an object store and of fsync, at 16 MiB of
/// memory each.
pub const CONCURRENT: usize = 3;

/// An index file is written at least this often, so that what a later crash leaves behind is used by the next run.
/// restic does so every ten minutes, too.
const INDEX_AGE: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub enum Message {
    /// The slot is given back when the pack is stored.
    Pack(ClosedPack, OwnedSemaphorePermit),
    /// Wait for all uploads, write the index, then answer; the state tells whether that went well.
    Flush(oneshot::Sender<()>),
}

/// Takes packs until the writer is gone, has failed or was told to stop; what is under way then is dropped.
pub async fn run(state: Arc<State>, mut messages: mpsc::UnboundedReceiver<Message>) {
    let mut uploads = Uploads { state: Arc::clone(&state), running: JoinSet::new(), stored: Vec::new(), waiting: None };
    let result = tokio::select! {
        biased;
        () = state.stopped.cancelled() => return,
        result = uploads.serve(&mut messages) => result,
    };
    if let Err(error) = result {
        state.fail(error); // before `uploads` is dropped, and with it the answer that somebody waits for
    }
}

struct Uploads {
    state: Arc<State>,
    running: JoinSet<Result<IndexPack, RepositoryError>>,
    /// Durable, but in no index yet.
    stored: Vec<IndexPack>,
    /// Who waits for the running uploads and the index.
    waiting: Option<oneshot::Sender<()>>,
}

impl Uploads {
    async fn serve(&mut self, messages: &mut mpsc::UnboundedReceiver<Message>) -> Result<(), RepositoryError> {
        let mut since = Instant::now();
        loop {
            tokio::select! {
                Some(stored) = self.running.join_next() => {
                    self.stored.push(stored.map_err(|_| RepositoryError::WorkerLost)??);
                }
                message = messages.recv() => match message {
                    None => return Ok(()),
                    Some(Message::Pack(pack, slot)) => {
                        self.running.spawn(store(Arc::clone(&self.state), pack, slot));
                    }
                    Some(Message::Flush(done)) => self.waiting = Some(done),
                },
            }
            let blobs: usize = self.stored.iter().map(|pack| pack.blobs.len()).sum();
            let flush = self.waiting.is_some() && self.running.is_empty();
            if flush || blobs >= MAX_BLOBS_PER_FILE || since.elapsed() >= INDEX_AGE {
                self.write_index().await?;
                since = Instant::now();
            }
            if flush {
                self.waiting.take().map(|done| done.send(()).ok()); // who has stopped waiting needs no answer
            }
        }
    }

    async fn write_index(&mut self) -> Result<(), RepositoryError> {
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

async fn store(state: Arc<State>, pack: ClosedPack, _slot: OwnedSemaphorePermit) -> Result<IndexPack, RepositoryError> {
    let ClosedPack { id, bytes, blobs } = pack;
    let bytes = Bytes::from(bytes);
    state.repository.store().put(&FileKind::Pack.key(&id.0), vec![bytes.clone()]).await?;
    // the store has let go of it, unless it is slow to
    if let Ok(mut buffer) = bytes.try_into_mut() {
        buffer.clear();
        state.packs.give(buffer.into());
    }
    Ok(IndexPack { id, blobs })
}

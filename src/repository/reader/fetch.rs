//! Many blobs in the order of the packs: planned by the index, read with few requests, opened by several threads.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use crate::repository::index::{self, Location, Plan};
use crate::repository::{BlobId, BlobKind, FileKind, Repository, RepositoryError};

/// One request reads at most this much, unless a single blob is larger: measured on a local disk nothing is gained
/// above 1 MiB, an object store's latency of 50 ms is then less than its transfer at 50 MB/s.
const REQUEST: u64 = 4 << 20;

/// Bytes between two blobs that are read and thrown away rather than asked around: 5 ms at 50 MB/s.
const GAP: u64 = 256 << 10;

/// Sealed and plain bytes that may be under way or wait for the consumer.
const BUDGET: usize = 32 << 20;

/// Requests under way; the budget is usually reached before.
const AHEAD: usize = 4;

/// Neighbours in one pack.
#[derive(Debug)]
struct Request {
    blobs: Vec<Location>,
}

impl Request {
    fn range(&self) -> std::ops::Range<u64> {
        let end = |at: &Location| u64::from(at.blob.offset) + u64::from(at.blob.length);
        self.blobs[0].blob.offset.into()..end(self.blobs.last().expect("a request reads something"))
    }

    /// Bytes in memory while it is read and opened.
    fn cost(&self) -> u64 {
        let range = self.range();
        range.end - range.start + self.blobs.iter().map(|at| u64::from(at.blob.plain_length())).sum::<u64>()
    }

    fn takes(&self, next: &Location) -> bool {
        let range = self.range();
        let start = u64::from(next.blob.offset);
        next.pack == self.blobs[0].pack
            && start <= range.end + GAP
            && start + u64::from(next.blob.length) <= range.start + REQUEST
    }
}

/// What makes a plain blob of a sealed one.
type Open = fn(&Repository, &Location, &[u8]) -> Result<Bytes, RepositoryError>;

/// A blob, or why it cannot be had.
type Opened = (BlobId, Result<Bytes, RepositoryError>);

impl Repository {
    /// Many blobs in the order in which they lie in packs, each once, neighbours read with one request, opened by
    /// several threads; for restores and checks of whole trees, where the order does not matter. Bounded memory.
    /// Needs a tokio runtime. A blob that cannot be had is an error among the others: the stream goes on.
    pub fn fetch(
        &self,
        kind: BlobKind,
        wanted: Vec<BlobId>,
    ) -> impl Stream<Item = Result<(BlobId, Bytes), RepositoryError>> + Send + 'static {
        self.clone().fetch_opened(kind, wanted, Repository::open_blob)
    }

    /// As [`Self::fetch`], but leaves it to the caller to hash what it made of the blobs and compare it with their ids:
    /// a restore that reads its files back would otherwise hash everything twice (14 % of its time).
    pub fn fetch_unhashed(
        &self,
        kind: BlobKind,
        wanted: Vec<BlobId>,
    ) -> impl Stream<Item = Result<(BlobId, Bytes), RepositoryError>> + Send + 'static {
        self.clone().fetch_opened(kind, wanted, Repository::open_unhashed)
    }

    fn fetch_opened(
        self,
        kind: BlobKind,
        wanted: Vec<BlobId>,
        open: Open,
    ) -> impl Stream<Item = Result<(BlobId, Bytes), RepositoryError>> + Send + 'static {
        stream::once(async move {
            match self.fetch_each_opened(kind, wanted, open).await {
                Err(error) => stream::iter([Err(error)]).left_stream(),
                Ok(opened) => opened.map(|(id, result)| result.map(|bytes| (id, bytes))).right_stream(),
            }
        })
        .flatten()
    }

    /// As [`Self::fetch`], and says of which blob an error is: each that was wanted comes exactly once.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) async fn fetch_each(
        &self,
        kind: BlobKind,
        wanted: Vec<BlobId>,
    ) -> Result<impl Stream<Item = Opened> + Send + use<>, RepositoryError> {
        self.fetch_each_opened(kind, wanted, Repository::open_blob).await
    }

    async fn fetch_each_opened(
        &self,
        kind: BlobKind,
        wanted: Vec<BlobId>,
        open: Open,
    ) -> Result<impl Stream<Item = Opened> + Send + use<>, RepositoryError> {
        let (plan, missing) = self.plan(kind, wanted).await?;
        let missing = missing.into_iter().map(move |id| (id, Err(RepositoryError::BlobMissing { kind, id })));
        Ok(stream::iter(missing).chain(self.clone().run(plan, open)))
    }

    async fn plan(&self, kind: BlobKind, wanted: Vec<BlobId>) -> Result<(Plan, Vec<BlobId>), RepositoryError> {
        let index = self.index().await?;
        Ok(index.read().expect(index::NO_PANIC).plan(kind, wanted))
    }

    fn run(self, plan: Plan, open: Open) -> impl Stream<Item = Opened> + Send + 'static {
        let budget = Arc::new(Semaphore::new(BUDGET));
        stream::iter(requests(plan))
            .then(move |request| {
                let (repository, budget) = (self.clone(), Arc::clone(&budget));
                async move {
                    let cost = u32::try_from(request.cost().min(BUDGET as u64)).expect("the budget is below 4 GiB");
                    let room = budget.acquire_many_owned(cost).await.expect("nobody closes the budget");
                    let ids: Vec<BlobId> = request.blobs.iter().map(|at| at.blob.id).collect();
                    // a task of its own goes on while the consumer is busy
                    (AbortOnDropHandle::new(tokio::spawn(repository.read(request, open))), ids, room)
                }
            })
            .map(|(reading, ids, room)| async move {
                let lost = |_| ids.into_iter().map(|id| (id, Err(RepositoryError::WorkerLost))).collect();
                yielded(reading.await.unwrap_or_else(lost), room)
            })
            .buffer_unordered(AHEAD)
            .flatten()
    }

    async fn read(self, request: Request, open: Open) -> Vec<Opened> {
        let key = FileKind::Pack.key(&request.blobs[0].pack.0);
        let range = request.range();
        let mut opened = match self.store().get_range(&key, range.clone()).await {
            Ok(sealed) => self.open_all(request, range.start, sealed, open).await,
            Err(_) => request.blobs.into_iter().map(Err).collect(),
        };
        let mut results = Vec::with_capacity(opened.len());
        for result in opened.drain(..) {
            results.push(match result {
                Ok((id, plain)) => (id, Ok(plain)),
                // once more alone: another copy may serve, and if none does the error is the right one
                Err(at) => (at.blob.id, self.blob(at.blob.kind, &at.blob.id).await),
            });
        }
        results
    }

    /// The blobs of what was read, or where one lies that did not open.
    async fn open_all(
        &self,
        request: Request,
        start: u64,
        sealed: Bytes,
        open: Open,
    ) -> Vec<Result<(BlobId, Bytes), Location>> {
        let repository = self.clone();
        let open = move |at: Location| {
            let from = usize::try_from(u64::from(at.blob.offset) - start).expect("a request is far below 4 GiB");
            let sealed = &sealed[from..from + at.blob.length as usize];
            open(&repository, &at, sealed).map(|plain| (at.blob.id, plain)).map_err(|_| at)
        };
        let blobs = request.blobs.clone();
        tokio::task::spawn_blocking(move || blobs.into_iter().map(open).collect())
            .await
            .unwrap_or_else(|_| request.blobs.into_iter().map(Err).collect())
    }
}

/// The results one by one; their room is given back when the last was taken.
fn yielded(results: Vec<Opened>, room: OwnedSemaphorePermit) -> impl Stream<Item = Opened> + Send {
    stream::iter(results).map(move |result| {
        let _held = &room;
        result
    })
}

fn requests(plan: Plan) -> impl Iterator<Item = Request> + Send {
    let mut blobs = plan.peekable();
    std::iter::from_fn(move || {
        let mut request = Request { blobs: vec![blobs.next()?] };
        while let Some(next) = blobs.next_if(|next| request.takes(next)) {
            request.blobs.push(next);
        }
        Some(request)
    })
}

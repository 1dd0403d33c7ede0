//! A file's bytes in order, read ahead.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::repository::{BlobId, BlobKind, Repository, RepositoryError};

/// Plain bytes that may be read ahead of the consumer; a blob of 8 MiB and its neighbours fit.
const BUDGET: usize = 32 << 20;
/// Blobs that may be read ahead: hides an object store's latency at 1 MiB each.
const AHEAD: usize = 8;

impl Repository {
    /// A file's bytes in order, read ahead within bounded memory; every blob is verified before it is yielded.
    /// Needs a tokio runtime; ends after the first error.
    pub fn stream(&self, content: Vec<BlobId>) -> impl Stream<Item = Result<Bytes, RepositoryError>> + Send + 'static {
        let repository = self.clone();
        let budget = Arc::new(Semaphore::new(BUDGET));
        let blobs = futures_util::stream::iter(content).then(move |id| {
            let (repository, budget) = (repository.clone(), Arc::clone(&budget));
            async move {
                let length = repository.lengths(BlobKind::Data, &[id]).await?[0];
                let wanted = u32::try_from(length.min(BUDGET as u64)).expect("the budget is below 4 GiB");
                let room = budget.acquire_many_owned(wanted).await.expect("nobody closes the budget");
                // a task of its own reads and opens while the consumer is busy
                let blob = tokio::spawn(async move { repository.blob(BlobKind::Data, &id).await });
                Ok::<_, RepositoryError>((AbortOnDropHandle::new(blob), room))
            }
        });
        let opened = blobs
            .map(|started| async move {
                let (blob, _room) = started?;
                blob.await.map_err(|_| RepositoryError::WorkerLost)?
            })
            .buffered(AHEAD);
        until_the_first_error(opened)
    }
}

fn until_the_first_error<T: Send + 'static>(
    results: impl Stream<Item = Result<T, RepositoryError>> + Send + 'static,
) -> impl Stream<Item = Result<T, RepositoryError>> + Send + 'static {
    results.scan(false, |failed, result| {
        let item = (!*failed).then_some(result);
        *failed |= matches!(item, Some(Err(_)));
        std::future::ready(item)
    })
}

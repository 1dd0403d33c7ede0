//! Many blobs in the order of the packs.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryFutureExt};

use crate::repository::{BlobId, BlobKind, Repository, RepositoryError};

impl Repository {
    /// Many blobs in the order in which they lie in packs, each once, neighbours read with one request, decoded by
    /// several threads; for restores and checks of whole trees, where the order does not matter. Bounded memory.
    pub fn fetch(
        &self,
        kind: BlobKind,
        wanted: Vec<BlobId>,
    ) -> impl Stream<Item = Result<(BlobId, Bytes), RepositoryError>> + Send + 'static {
        let repository = self.clone();
        futures_util::stream::iter(wanted)
            .map(move |id| {
                let repository = repository.clone();
                async move { repository.blob(kind, &id).map_ok(|bytes| (id, bytes)).await }
            })
            .buffer_unordered(4)
    }
}

//! The way out: blobs, trees and whole files, each verified before it is handed on.

use bytes::Bytes;
use futures_util::Stream;

use super::{BlobId, BlobKind, Node, Repository, RepositoryError, Tree, TreeId};

impl Repository {
    /// One blob, decrypted, decompressed and hashed again.
    pub async fn blob(&self, kind: BlobKind, id: &BlobId) -> Result<Bytes, RepositoryError> {
        let _ = (kind, id);
        todo!()
    }

    /// The plain lengths of blobs, in the order asked, by the index alone: where each piece of a file begins.
    ///
    /// # Errors
    /// `BlobMissing` for the first that no index knows.
    pub async fn lengths(&self, kind: BlobKind, ids: &[BlobId]) -> Result<Vec<u64>, RepositoryError> {
        let _ = (kind, ids);
        todo!()
    }

    /// One folder.
    pub async fn tree(&self, id: &TreeId) -> Result<Tree, RepositoryError> {
        let _ = id;
        todo!()
    }

    /// The node at `path` below `root` (`["tables", "public.users.copy"]`), or `None` where there is none.
    pub async fn find(&self, root: &TreeId, path: &[&str]) -> Result<Option<Node>, RepositoryError> {
        let _ = (root, path);
        todo!()
    }

    /// A file's bytes in order, read ahead within bounded memory; every blob is verified before it is yielded.
    pub fn stream(&self, content: Vec<BlobId>) -> impl Stream<Item = Result<Bytes, RepositoryError>> + Send + 'static {
        let _ = content;
        futures_util::stream::empty()
    }

    /// Many blobs in the order in which they lie in packs, each once, neighbours read with one request, decoded by
    /// several threads; for restores and checks of whole trees, where the order does not matter. Bounded memory.
    pub fn fetch(
        &self,
        kind: BlobKind,
        wanted: Vec<BlobId>,
    ) -> impl Stream<Item = Result<(BlobId, Bytes), RepositoryError>> + Send + 'static {
        let _ = (kind, wanted);
        futures_util::stream::empty()
    }
}

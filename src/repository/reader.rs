//! The way out: blobs, trees and whole files, each verified before it is handed on.

mod fetch;
mod near;
mod open_blob;
mod packs;
mod stream;

pub use near::TreeReader;
pub(crate) use packs::PackVerdict;

use bytes::Bytes;

use super::index::{self, Location};
use super::{BlobId, BlobKind, FileKind, Node, NodeKind, Repository, RepositoryError, Tree, TreeId};

impl Repository {
    /// One blob, decrypted, decompressed and hashed again. Where one copy is damaged or gone, another serves.
    pub async fn blob(&self, kind: BlobKind, id: &BlobId) -> Result<Bytes, RepositoryError> {
        let copies = self.locate(kind, id).await?;
        let mut failure = RepositoryError::BlobMissing { kind, id: *id };
        for copy in copies {
            match self.read_copy(copy).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The plain lengths of blobs, in the order asked, by the index alone: where each piece of a file begins.
    ///
    /// # Errors
    /// `BlobMissing` for the first that no index knows.
    pub async fn lengths(&self, kind: BlobKind, ids: &[BlobId]) -> Result<Vec<u64>, RepositoryError> {
        let index = self.index().await?.read().expect(index::NO_PANIC);
        let length = |id: &BlobId| {
            let copy = index.find(kind, id).next().ok_or(RepositoryError::BlobMissing { kind, id: *id })?;
            Ok(copy.blob.plain_length().into())
        };
        ids.iter().map(length).collect()
    }

    /// One folder.
    pub async fn tree(&self, id: &TreeId) -> Result<Tree, RepositoryError> {
        let json = self.blob(BlobKind::Tree, &(*id).into()).await?;
        Tree::from_json(&json)
            .map_err(|error| RepositoryError::Damaged { what: format!("tree {id}"), how: error.to_string() })
    }

    /// The node at `path` below `root` (`["tables", "public.users.copy"]`), or `None` where there is none.
    pub async fn find(&self, root: &TreeId, path: &[&str]) -> Result<Option<Node>, RepositoryError> {
        let Some((name, folders)) = path.split_last() else { return Ok(None) };
        let mut tree = self.tree(root).await?;
        for folder in folders {
            let Some(Node { kind: NodeKind::Dir { subtree }, .. }) = tree.get(folder.as_bytes()) else {
                return Ok(None);
            };
            tree = self.tree(subtree).await?;
        }
        Ok(tree.get(name.as_bytes()).cloned())
    }

    async fn locate(&self, kind: BlobKind, id: &BlobId) -> Result<Vec<Location>, RepositoryError> {
        Ok(self.index().await?.read().expect(index::NO_PANIC).find(kind, id).collect())
    }

    async fn read_copy(&self, copy: Location) -> Result<Bytes, RepositoryError> {
        let (start, length) = (u64::from(copy.blob.offset), u64::from(copy.blob.length));
        let sealed = self.store().get_range(&FileKind::Pack.key(&copy.pack.0), start..start + length).await?;
        self.open_on_a_thread(copy, sealed).await
    }
}

//! The files of a Postgres snapshot by their paths.

use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};

use super::super::manifest::{self, Manifest};
use super::error::RestoreError;
use crate::repository::{BlobId, NodeKind, Repository, RepositoryError, TreeId};

/// One snapshot's folder in its repository.
#[derive(Debug, Clone)]
pub struct Files {
    repository: Repository,
    tree: TreeId,
}

impl Files {
    pub fn new(repository: &Repository, tree: &TreeId) -> Self {
        Self { repository: repository.clone(), tree: *tree }
    }

    pub async fn manifest(&self) -> Result<Manifest, RestoreError> {
        Ok(Manifest::read(&self.read(manifest::FILE).await?)?)
    }

    /// A file's blobs and size.
    pub async fn content(&self, path: &str) -> Result<Vec<BlobId>, RestoreError> {
        let parts: Vec<&str> = path.split('/').collect();
        let node = self.repository.find(&self.tree, &parts).await?;
        match node.map(|node| node.kind) {
            Some(NodeKind::File { content, .. }) => Ok(content),
            _ => Err(RestoreError::Missing { path: path.to_owned() }),
        }
    }

    /// A file that is small enough for memory: documents, scripts, lists.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, RestoreError> {
        let mut stream = Box::pin(self.stream(path).await?);
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    /// A file of any size, read ahead within bounded memory.
    pub async fn stream(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, RepositoryError>> + Send + '_, RestoreError> {
        Ok(self.blobs(self.content(path).await?))
    }

    pub fn blobs(&self, content: Vec<BlobId>) -> impl Stream<Item = Result<Bytes, RepositoryError>> + Send + '_ {
        self.repository.stream(content)
    }

    /// A file of any size, line by line.
    pub async fn lines(&self, path: &str) -> Result<Lines<'_>, RestoreError> {
        Ok(Lines { pieces: Box::pin(self.stream(path).await?), rest: Bytes::new(), begun: Vec::new() })
    }

    /// The names in the folder at `path` with each file's blobs, in the order of the names.
    pub async fn folder(&self, path: &str) -> Result<Vec<(String, Vec<BlobId>)>, RestoreError> {
        let missing = || RestoreError::Missing { path: path.to_owned() };
        let parts: Vec<&str> = path.split('/').collect();
        let node = self.repository.find(&self.tree, &parts).await?.ok_or_else(missing)?;
        let NodeKind::Dir { subtree } = node.kind else { return Err(missing()) };
        let nodes = self.repository.tree(&subtree).await?.nodes;
        let file = |node: crate::repository::Node| match node.kind {
            NodeKind::File { content, .. } => Some((String::from_utf8(node.name).ok()?, content)),
            _ => None,
        };
        Ok(nodes.into_iter().filter_map(file).collect())
    }
}

/// The lines of a file, without their ends.
pub struct Lines<'a> {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, RepositoryError>> + Send + 'a>>,
    rest: Bytes,
    begun: Vec<u8>,
}

impl Lines<'_> {
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, RestoreError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.rest) {
                self.begun.extend_from_slice(&self.rest.split_to(end));
                self.rest.advance(1);
                return Ok(Some(std::mem::take(&mut self.begun)));
            }
            self.begun.extend_from_slice(&std::mem::take(&mut self.rest));
            match self.pieces.next().await {
                Some(piece) => self.rest = piece?,
                None if self.begun.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.begun))),
            }
        }
    }
}

//! Every tree that snapshots reach, each once: what `check` and `prune` stand on.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;

use super::{BlobKind, Node, NodeKind, Repository, RepositoryError, Tree, TreeId};
use crate::context::Context;

/// A larger folder is parsed on a thread of its own; below this the way there costs more.
const SMALL: usize = 64 << 10;

/// Folders that are parsed at the same time.
const PARSERS: usize = 2;

/// What one tree holds: its folders, and what `look` made of its nodes.
pub(super) struct Visited<T> {
    pub children: Vec<TreeId>,
    pub seen: T,
}

/// Reads all trees below `roots`, level by level in the order of the packs, and hands each to `visit` once, or why it
/// cannot be read. `look` sees every node, on whichever thread parses it. Takes 32 bytes a tree and the largest folder.
///
/// # Errors
/// `Cancelled`, or when there is no index.
pub(super) async fn walk<T: Default + Send + 'static>(
    repository: &Repository,
    roots: impl IntoIterator<Item = TreeId>,
    cx: &Context,
    look: impl Fn(&Node, &mut T) + Send + Sync + 'static,
    mut visit: impl FnMut(TreeId, Result<Visited<T>, RepositoryError>),
) -> Result<(), RepositoryError> {
    let look = Arc::new(look);
    let mut seen: HashSet<TreeId> = HashSet::new();
    let mut level: Vec<TreeId> = roots.into_iter().filter(|root| seen.insert(*root)).collect();
    while !level.is_empty() {
        let wanted = std::mem::take(&mut level).into_iter().map(Into::into).collect();
        let opened = repository.fetch_each(BlobKind::Tree, wanted).await?;
        let parsed = opened.map(|(id, json)| parse(id.into(), json, Arc::clone(&look))).buffer_unordered(PARSERS);
        let mut parsed = std::pin::pin!(parsed);
        loop {
            let next = tokio::select! {
                () = cx.cancel.cancelled() => return Err(RepositoryError::Cancelled),
                next = parsed.next() => next,
            };
            let Some((id, visited)) = next else { break };
            if let Ok(visited) = &visited {
                level.extend(visited.children.iter().filter(|child| seen.insert(**child)));
            }
            visit(id, visited);
        }
    }
    Ok(())
}

type Parsed<T> = (TreeId, Result<Visited<T>, RepositoryError>);

async fn parse<T: Default + Send + 'static>(
    id: TreeId,
    json: Result<Bytes, RepositoryError>,
    look: Arc<impl Fn(&Node, &mut T) + Send + Sync + 'static>,
) -> Parsed<T> {
    let json = match json {
        Ok(json) => json,
        Err(error) => return (id, Err(error)),
    };
    if json.len() <= SMALL {
        return (id, parse_here(id, &json, &*look));
    }
    let parsed = tokio::task::spawn_blocking(move || parse_here(id, &json, &*look));
    (id, parsed.await.unwrap_or(Err(RepositoryError::WorkerLost)))
}

fn parse_here<T: Default>(
    id: TreeId,
    json: &[u8],
    look: &impl Fn(&Node, &mut T),
) -> Result<Visited<T>, RepositoryError> {
    let mut visited = Visited { children: Vec::new(), seen: T::default() };
    Tree::each(json, |node| {
        if let NodeKind::Dir { subtree } = node.kind {
            visited.children.push(subtree);
        }
        look(&node, &mut visited.seen);
        Ok(())
    })
    .map_err(|error: super::TreeError| RepositoryError::Damaged {
        what: format!("tree {id}"),
        how: error.to_string(),
    })?;
    Ok(visited)
}

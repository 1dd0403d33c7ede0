//! Small folders of documents, as restic snapshots hold them.

use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::PointError;
use crate::repository::{Node, NodeKind, Repository, Tree, TreeId, Writer};
use crate::stack::Name;

/// A document is a few kilobytes; one with a hundred thousand gaps is some 20 MiB. More is not one of ours.
const MAX_DOCUMENT: u64 = 256 << 20;

/// Stores `documents` (name, content) as one folder, dated `time`; names are sorted here.
///
/// # Errors
/// When the repository cannot be written.
pub async fn folder(
    writer: &Writer,
    time: Timestamp,
    mut documents: Vec<(&'static str, Vec<u8>)>,
) -> Result<TreeId, PointError> {
    documents.sort_by_key(|(name, _)| *name);
    let mut tree = Tree::default();
    for (name, bytes) in documents {
        let content = writer.bytes(Bytes::from(bytes)).await?;
        tree.nodes.push(node(name, NodeKind::File { content: content.blobs, bytes: content.bytes }, time));
    }
    Ok(writer.tree(&tree).await?)
}

/// A file of this process's user that nobody else may read.
fn node(name: &str, kind: NodeKind, time: Timestamp) -> Node {
    let at = time.as_nanosecond();
    Node {
        name: name.as_bytes().to_vec(),
        kind,
        mode: 0o600,
        mtime_ns: at,
        atime_ns: at,
        ctime_ns: at,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        user: user(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 1,
        extended_attributes: Vec::new(),
    }
}

/// The tree of a member's snapshot: one folder with the data set's name, so that stock `restic restore` of all members
/// into one place gives each its own. `root` is the folder's own metadata, where the source is a folder.
///
/// # Errors
/// When the repository cannot be written.
pub async fn named(
    writer: &Writer,
    name: &Name,
    tree: TreeId,
    root: Option<Node>,
    time: Timestamp,
) -> Result<TreeId, PointError> {
    let kind = NodeKind::Dir { subtree: tree };
    let folder = match root {
        Some(root) => Node { name: name.as_str().as_bytes().to_vec(), kind, ..root },
        None => Node { mode: 0o700, ..node(name.as_str(), kind, time) },
    };
    Ok(writer.tree(&Tree { nodes: vec![folder] }).await?)
}

/// This process's user by name, or by number where it has none.
pub fn user() -> String {
    let uid = rustix::process::getuid().as_raw();
    uzers::get_user_by_uid(uid)
        .and_then(|user| user.name().to_str().map(str::to_owned))
        .unwrap_or_else(|| uid.to_string())
}

/// The document `name` in `tree`; `what` says whose it is.
///
/// # Errors
/// [`PointError::NoFile`] when there is none, or when the repository cannot be read.
pub async fn document(
    repository: &Repository,
    tree: &TreeId,
    name: &'static str,
    what: &str,
) -> Result<Vec<u8>, PointError> {
    let missing = || PointError::NoFile { what: what.to_owned(), name };
    let node = repository.find(tree, &[name]).await?.ok_or_else(missing)?;
    let NodeKind::File { content, bytes } = node.kind else { return Err(missing()) };
    if bytes > MAX_DOCUMENT {
        return Err(missing());
    }
    let mut stream = Box::pin(repository.stream(content));
    let mut document = Vec::new();
    while let Some(piece) = stream.try_next().await? {
        document.extend_from_slice(&piece);
    }
    Ok(document)
}

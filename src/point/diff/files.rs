//! Two trees: folders with the same id are the same and not looked into.

use super::{How, SetDiff};
use crate::point::PointError;
use crate::repository::{Node, NodeKind, Repository, Tree, TreeId};

/// Folders that are still to be compared: the path, and each side's where it has one.
type Waiting = (String, Option<TreeId>, Option<TreeId>);

/// Lists what was added, removed and changed below.
pub async fn compare(
    repository: &Repository,
    former: TreeId,
    latter: TreeId,
    diff: &mut SetDiff,
) -> Result<(), PointError> {
    let mut waiting: Vec<Waiting> = vec![(String::new(), Some(former), Some(latter))];
    while let Some((path, former, latter)) = waiting.pop() {
        let (former, latter) = (open(repository, former).await?, open(repository, latter).await?);
        for node in &former.nodes {
            pair(&path, Some(node), latter.get(&node.name), diff, &mut waiting);
        }
        for node in latter.nodes.iter().filter(|node| former.get(&node.name).is_none()) {
            pair(&path, None, Some(node), diff, &mut waiting);
        }
    }
    Ok(())
}

async fn open(repository: &Repository, tree: Option<TreeId>) -> Result<Tree, PointError> {
    match tree {
        Some(tree) => Ok(repository.tree(&tree).await?),
        None => Ok(Tree::default()),
    }
}

fn pair(path: &str, former: Option<&Node>, latter: Option<&Node>, diff: &mut SetDiff, waiting: &mut Vec<Waiting>) {
    let Some(node) = latter.or(former) else { return };
    let path = format!("{path}{}", String::from_utf8_lossy(&node.name));
    let folder = |node: Option<&Node>| match node.map(|node| &node.kind) {
        Some(NodeKind::Dir { subtree }) => Some(*subtree),
        _ => None,
    };
    let (was, is) = (folder(former), folder(latter));
    if was != is {
        waiting.push((format!("{path}/"), was, is));
    }
    match (former, latter) {
        (Some(_), None) => diff.add(path, How::Removed, None),
        (None, Some(_)) => diff.add(path, How::Added, None),
        (Some(was), Some(is)) => {
            if let Some(detail) = change(was, is) {
                diff.add(path, How::Changed, Some(detail));
            }
        }
        (None, None) => {}
    }
}

/// What changed of an entry itself; a folder whose content alone changed is not changed.
fn change(was: &Node, is: &Node) -> Option<String> {
    let content = match (&was.kind, &is.kind) {
        (NodeKind::Dir { .. }, NodeKind::Dir { .. }) => None,
        (NodeKind::File { content: a, bytes: m }, NodeKind::File { content: b, bytes: n }) if a != b => {
            Some(format!("{m} bytes, now {n}"))
        }
        (a, b) if a != b => Some("another kind or target".to_owned()),
        _ => None,
    };
    let metadata =
        (was.mode, was.uid, was.gid, &was.extended_attributes) != (is.mode, is.uid, is.gid, &is.extended_attributes);
    content.or_else(|| metadata.then(|| "owner, mode or attributes".to_owned()))
}

//! What snapshots reach: every tree whole, every blob there; and which snapshots a loss touches.

use std::collections::{BTreeSet, HashMap};

use super::super::index::NO_PANIC;
use super::super::walk::{Visited, walk};
use super::super::{BlobId, BlobKind, Node, NodeKind, Repository, RepositoryError, Snapshot, SnapshotId, TreeId};
use super::report::{Findings, Object};
use crate::context::Context;

/// Damages whose snapshots are looked up one by one; all together are always looked up.
const MAPPED: usize = 100;

/// Walks everything that snapshots reach, and, where something is lost, once more for what that touches.
pub async fn check(
    repository: &Repository,
    snapshots: &[(SnapshotId, Snapshot)],
    findings: &mut Findings,
    cx: &Context,
) -> Result<(), RepositoryError> {
    find(repository, snapshots, findings, cx).await?;
    if findings.has_losses() {
        let graph = touched(repository, snapshots, findings, cx).await?;
        graph.attribute(snapshots, findings);
    }
    Ok(())
}

fn roots(snapshots: &[(SnapshotId, Snapshot)]) -> impl Iterator<Item = TreeId> {
    snapshots.iter().map(|(_, snapshot)| snapshot.tree)
}

/// Blobs that no index knows, and the first entry that needs each.
type Missing = Vec<(BlobId, String)>;

async fn find(
    repository: &Repository,
    snapshots: &[(SnapshotId, Snapshot)],
    findings: &mut Findings,
    cx: &Context,
) -> Result<(), RepositoryError> {
    repository.index().await?;
    let task = cx.progress.task("check trees", 0, 0);
    let there = repository.clone();
    let look = move |node: &Node, missing: &mut Missing| {
        let NodeKind::File { content, .. } = &node.kind else { return };
        let index = there.index_cell().get().expect("it was read above").read().expect(NO_PANIC);
        for id in content.iter().filter(|id| !index.contains(BlobKind::Data, id)) {
            missing.push((*id, String::from_utf8_lossy(&node.name).into_owned()));
        }
    };
    let mut defect = None;
    walk(repository, roots(snapshots), cx, look, |id, visited| {
        task.add_items(1);
        findings.report.trees += 1;
        if let Err(error) = note(repository, id, visited, findings) {
            defect.get_or_insert(error);
        }
    })
    .await?;
    task.finish();
    defect.map_or(Ok(()), Err)
}

fn note(
    repository: &Repository,
    id: TreeId,
    visited: Result<Visited<Missing>, RepositoryError>,
    findings: &mut Findings,
) -> Result<(), RepositoryError> {
    match visited {
        Ok(Visited { seen: missing, .. }) => {
            for (blob, name) in missing {
                let problem = format!("it is in no index, and `{name}` in tree {id} needs it");
                findings.damage(Object::Blob(BlobKind::Data, blob), problem);
            }
            Ok(())
        }
        Err(error) => {
            let index = repository.index_cell().get().expect("the walk has used it").read().expect(NO_PANIC);
            match findings.loss(&index, BlobKind::Tree, &id.into()) {
                // The reading of packs or their listing has said it already.
                Some(Object::Pack(_)) => Ok(()),
                _ => findings.take_tree(id, error),
            }
        }
    }
}

/// Which trees lose something, and which tree holds which: 8 bytes for every folder of every folder.
struct Graph {
    numbers: HashMap<TreeId, u32>,
    /// (child, parent), sorted.
    edges: Vec<(u32, u32)>,
    /// Trees that lose something themselves, and to which damage that is put down; `None` where that is not listed.
    losses: Vec<(u32, Option<usize>)>,
}

async fn touched(
    repository: &Repository,
    snapshots: &[(SnapshotId, Snapshot)],
    findings: &Findings,
    cx: &Context,
) -> Result<Graph, RepositoryError> {
    let task = cx.progress.task("find what the damage touches", 0, findings.report.trees);
    let index = repository.index().await?;
    let look = |node: &Node, content: &mut Vec<BlobId>| {
        if let NodeKind::File { content: blobs, .. } = &node.kind {
            content.extend_from_slice(blobs);
        }
    };
    let mut graph = Graph { numbers: HashMap::new(), edges: Vec::new(), losses: Vec::new() };
    walk(repository, roots(snapshots), cx, look, |id, visited| {
        task.add_items(1);
        let number = graph.number(id);
        match visited {
            Ok(Visited { children, seen: content }) => {
                for child in children {
                    let child = graph.number(child);
                    graph.edges.push((child, number));
                }
                let index = index.read().expect(NO_PANIC);
                let lost = content.iter().filter_map(|blob| findings.loss(&index, BlobKind::Data, blob));
                let lost: BTreeSet<_> = lost.map(|object| findings.number(&object)).collect();
                graph.losses.extend(lost.into_iter().map(|damage| (number, damage)));
            }
            Err(_) => {
                let tree = Object::Blob(BlobKind::Tree, id.into());
                let cause = findings.loss(&index.read().expect(NO_PANIC), BlobKind::Tree, &id.into());
                // A tree that could not be read this time is no loss; one may be lost without being listed.
                if cause.is_some() || findings.is_lost_tree(&id) {
                    graph.losses.push((number, cause.and_then(|c| findings.number(&c)).or(findings.number(&tree))));
                }
            }
        }
    })
    .await?;
    graph.edges.sort_unstable();
    task.finish();
    Ok(graph)
}

impl Graph {
    fn number(&mut self, id: TreeId) -> u32 {
        let next = u32::try_from(self.numbers.len()).expect("fewer than 2³² trees fit into memory");
        *self.numbers.entry(id).or_insert(next)
    }

    /// Writes the touched snapshots into the report: all of them, and those of each of the first damages.
    fn attribute(&self, snapshots: &[(SnapshotId, Snapshot)], findings: &mut Findings) {
        let all = self.roots_above(self.losses.iter().map(|(tree, _)| *tree), snapshots);
        findings.report.damaged_snapshots.extend(all);
        let damages: BTreeSet<usize> = self.losses.iter().filter_map(|(_, damage)| *damage).collect();
        for damage in damages.into_iter().take(MAPPED) {
            let trees = self.losses.iter().filter(|(_, d)| *d == Some(damage)).map(|(tree, _)| *tree);
            let touched = self.roots_above(trees, snapshots);
            findings.report.damage[damage].snapshots.extend(touched);
        }
    }

    /// The snapshots whose root is one of `trees` or above one.
    fn roots_above(
        &self,
        trees: impl Iterator<Item = u32>,
        snapshots: &[(SnapshotId, Snapshot)],
    ) -> BTreeSet<SnapshotId> {
        let mut above = vec![false; self.numbers.len()];
        let mut open: Vec<u32> = trees.collect();
        while let Some(tree) = open.pop() {
            if std::mem::replace(&mut above[tree as usize], true) {
                continue;
            }
            let first = self.edges.partition_point(|(child, _)| *child < tree);
            open.extend(self.edges[first..].iter().take_while(|(child, _)| *child == tree).map(|(_, parent)| *parent));
        }
        let touched = |tree: &TreeId| self.numbers.get(tree).is_some_and(|number| above[*number as usize]);
        snapshots.iter().filter(|(_, snapshot)| touched(&snapshot.tree)).map(|(id, _)| *id).collect()
    }
}

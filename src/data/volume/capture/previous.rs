//! A folder as an earlier snapshot has it: what a capture need not read again.

use crate::failure::{Category, Failure};
use crate::repository::{BlobKind, Node, NodeKind, RepositoryError, Tree, TreeId};

use super::super::VolumeError;
use super::super::path::shown;
use super::session::Session;

#[derive(Debug, Default)]
pub(super) struct Previous {
    nodes: Vec<Node>,
}

impl Previous {
    /// Loads the folder. One that is damaged or lost is as good as none, and said: then all of it is read again.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(super) fn load(session: &Session, tree: Option<TreeId>, path: &[u8]) -> Result<Self, VolumeError> {
        let Some(tree) = tree.filter(|_| !session.reread) else { return Ok(Self::default()) };
        match Self::read(session, tree) {
            Err(error) if error.category() == Category::Integrity => {
                let folder = if path.is_empty() { "the root folder".into() } else { shown(path) };
                session
                    .notes
                    .add(format!("{folder}: the former snapshot of it cannot be used, all is read again: {error}"));
                Ok(Self::default())
            }
            other => other,
        }
    }

    fn read(session: &Session, tree: TreeId) -> Result<Self, VolumeError> {
        let json = session.stop.wait(session.repository.blob(BlobKind::Tree, &tree.into()))?;
        let mut nodes = Vec::new();
        Tree::each(&json, |mut node| {
            // Asked anew at every capture; empty strings take no memory, which counts in a folder of a million.
            node.user = String::new();
            node.group = String::new();
            nodes.push(node);
            Ok(())
        })
        .map_err(|error: crate::repository::TreeError| RepositoryError::Damaged {
            what: format!("tree {tree}"),
            how: error.to_string(),
        })?;
        Ok(Self { nodes })
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.binary_search_by(|node| node.name.as_slice().cmp(name)).ok().map(|at| &self.nodes[at])
    }

    pub(super) fn subtree(&self, name: &[u8]) -> Option<TreeId> {
        match self.get(name)?.kind {
            NodeKind::Dir { subtree } => Some(subtree),
            _ => None,
        }
    }
}

//! A folder as an earlier snapshot has it: what a capture need not read again.

use crate::failure::{Category, Failure};
use crate::repository::{Node, NodeKind, RepositoryError, Tree, TreeId};

use super::super::VolumeError;
use super::super::path::shown;
use super::session::Session;

#[derive(Debug, Default)]
pub(super) struct Previous {
    nodes: Vec<Node>,
    /// It was there once, or something above it, and cannot be read any more.
    pub lost: bool,
}

/// What an earlier snapshot has of a folder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Former {
    Nothing,
    Tree(TreeId),
    /// What would tell cannot be read.
    Lost,
}

impl From<Option<TreeId>> for Former {
    fn from(tree: Option<TreeId>) -> Self {
        tree.map_or(Self::Nothing, Self::Tree)
    }
}

impl Previous {
    /// Loads the folder. One that is damaged or lost is as good as none, and said: then all of it is read again, and no
    /// tree below it is taken for stored that cannot be read. It is loaded also where nothing of it will be taken over:
    /// trees that come out as they were would be taken for stored there, too.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(super) fn load(session: &Session, former: Former, path: &[u8]) -> Result<Self, VolumeError> {
        let tree = match former {
            Former::Nothing => return Ok(Self::default()),
            Former::Lost => return Ok(Self { lost: true, ..Self::default() }),
            Former::Tree(tree) => tree,
        };
        match Self::read(session, tree) {
            Err(error) if error.category() == Category::Integrity => {
                let folder = if path.is_empty() { "the root folder".into() } else { shown(path) };
                session
                    .notes
                    .add(format!("{folder}: the former snapshot of it cannot be used, all is read again: {error}"));
                Ok(Self { lost: true, ..Self::default() })
            }
            other => other,
        }
    }

    fn read(session: &Session, tree: TreeId) -> Result<Self, VolumeError> {
        let json = session.stop.wait(session.former.json(&tree))?;
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
        Ok(Self { nodes, lost: false })
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.binary_search_by(|node| node.name.as_slice().cmp(name)).ok().map(|at| &self.nodes[at])
    }

    pub(super) fn subtree(&self, name: &[u8]) -> Former {
        match self.get(name).map(|node| &node.kind) {
            Some(NodeKind::Dir { subtree }) => Former::Tree(*subtree),
            _ if self.lost => Former::Lost,
            _ => Former::Nothing,
        }
    }
}

//! The snapshot's folders, entry by entry: a folder of a million entries is in memory as JSON, never as nodes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::repository::{Node, Repository, RepositoryError, Tree, TreeError, TreeId, TreeReader};

use super::VolumeError;
use super::blocking::Stop;

/// A restore walks the trees several times (space, content, folders, verification); so much of their JSON is kept
/// between the walks, about 80,000 files' worth.
const KEPT_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(super) struct Trees {
    reader: TreeReader,
    stop: Stop,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    json: HashMap<TreeId, Bytes>,
    bytes: usize,
}

/// What ended a walk over a tree.
#[derive(Debug)]
enum Ended {
    Unreadable(TreeError),
    By(VolumeError),
}

impl From<TreeError> for Ended {
    fn from(error: TreeError) -> Self {
        Self::Unreadable(error)
    }
}

impl Trees {
    pub(super) fn new(repository: Repository, stop: Stop) -> Self {
        Self { reader: TreeReader::new(repository), stop, kept: Mutex::default() }
    }

    /// Hands every entry of the folder to `take`, in the order of their names.
    ///
    /// # Errors
    /// What `take` returns; `Damaged` where the tree cannot be read.
    pub(super) fn each(
        &self,
        tree: &TreeId,
        mut take: impl FnMut(Node) -> Result<(), VolumeError>,
    ) -> Result<(), VolumeError> {
        let json = self.json(tree)?;
        Tree::each(&json, |node| take(node).map_err(Ended::By)).map_err(|ended| match ended {
            Ended::By(error) => error,
            Ended::Unreadable(error) => {
                RepositoryError::Damaged { what: format!("tree {tree}"), how: error.to_string() }.into()
            }
        })
    }

    fn json(&self, tree: &TreeId) -> Result<Bytes, VolumeError> {
        if let Some(json) = self.kept().json.get(tree) {
            return Ok(json.clone());
        }
        let json = self.stop.wait(self.reader.json(tree))?;
        let mut kept = self.kept();
        if kept.bytes + json.len() <= KEPT_BYTES {
            kept.bytes += json.len();
            kept.json.insert(*tree, json.clone());
        }
        Ok(json)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

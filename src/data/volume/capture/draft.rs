//! A folder on its way into the repository: its entries come in as they are read, out of order; the last one stores it
//! and so becomes an entry of the folder above.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::repository::{Node, NodeKind, TreeBuilder, TreeId};

use super::super::VolumeError;
use super::session::Session;

/// JSON of a usual node; only a hint for the buffer.
const NODE_JSON_BYTES: usize = 420;

#[derive(Debug)]
pub(super) struct Draft {
    /// Below the volume; empty for the root.
    pub path: Vec<u8>,
    above: Above,
    /// What the former snapshot has of it is lost, so its tree may be as well.
    suspect: bool,
    /// The folder itself; its subtree is put in when it is known.
    node: Node,
    /// Entries that are not settled yet.
    open: AtomicUsize,
    entries: Mutex<Entries>,
}

/// Who gets the finished folder.
#[derive(Debug)]
pub(super) enum Above {
    Folder { draft: Arc<Draft>, at: usize },
    Nobody(Arc<OnceLock<TreeId>>),
}

/// The tree's JSON so far, and the entries that wait for an earlier one: so a folder of a million entries is in memory
/// once, as text.
#[derive(Debug)]
struct Entries {
    json: TreeBuilder,
    next: usize,
    waiting: BTreeMap<usize, Option<Node>>,
}

impl Draft {
    /// A folder of `count` entries, each of which must be settled once.
    pub(super) fn new(path: Vec<u8>, suspect: bool, node: Node, above: Above, count: usize) -> Arc<Self> {
        let json = TreeBuilder::with_capacity(64 + count * NODE_JSON_BYTES);
        let entries = Mutex::new(Entries { json, next: 0, waiting: BTreeMap::new() });
        Arc::new(Self { path, suspect, above, node, open: AtomicUsize::new(count), entries })
    }

    /// Takes the entry at position `at` of the listing; `None` when it turned out not to be there.
    ///
    /// # Errors
    /// Whatever the repository says when this was the last entry and the folder is stored.
    pub(super) fn settle(&self, session: &Session, at: usize, node: Option<Node>) -> Result<(), VolumeError> {
        let mut node = node;
        let (mut draft, mut at) = (self, at);
        loop {
            draft.take(at, node)?;
            if draft.open.fetch_sub(1, Ordering::AcqRel) != 1 {
                return Ok(());
            }
            match draft.store(session)? {
                None => return Ok(()),
                Some((above, place, stored)) => (draft, at, node) = (above, place, Some(stored)),
            }
        }
    }

    /// Stores a folder that has no entries at all.
    pub(super) fn settle_empty(&self, session: &Session) -> Result<(), VolumeError> {
        match self.store(session)? {
            None => Ok(()),
            Some((above, at, node)) => above.settle(session, at, Some(node)),
        }
    }

    fn take(&self, at: usize, node: Option<Node>) -> Result<(), VolumeError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.waiting.insert(at, node);
        loop {
            let next = entries.next;
            let Some(node) = entries.waiting.remove(&next) else { return Ok(()) };
            if let Some(node) = node {
                entries.json.push(&node).map_err(Session::not_a_tree(&self.path))?;
            }
            entries.next += 1;
        }
    }

    fn store(&self, session: &Session) -> Result<Option<(&Draft, usize, Node)>, VolumeError> {
        let json = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut entries.json).finish()
        };
        let subtree = if self.suspect { session.mend_tree(json)? } else { session.store_tree(json)? };
        match &self.above {
            Above::Nobody(result) => {
                result.get_or_init(|| subtree);
                Ok(None)
            }
            Above::Folder { draft, at } => {
                let node = Node { kind: NodeKind::Dir { subtree }, ..self.node.clone() };
                Ok(Some((draft, *at, node)))
            }
        }
    }
}

//! What the walk and the readers of one capture share, and how a node is made of what was seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::{Category, Failure};
use crate::progress::Task;
use crate::repository::{BlobKind, Node, NodeKind, Repository, RepositoryError, TreeError, TreeId, TreeReader, Writer};

use super::super::VolumeError;
use super::super::attributes::Attributes;
use super::super::blocking::{Remarks, Stop};
use super::super::exclude::Excludes;
use super::super::owners::Owners;
use super::super::path::shown;
use super::super::status::{Kind, Status};
use super::links::Links;

#[derive(Debug)]
pub(super) struct Session {
    pub repository: Repository,
    /// Reads the folders of the former snapshot.
    pub former: TreeReader,
    pub writer: Writer,
    pub excludes: Excludes,
    pub one_file_system: bool,
    pub reread: bool,
    pub stop: Stop,
    pub task: Arc<Task>,
    pub owners: Owners,
    pub links: Links,
    pub warnings: Remarks,
    pub notes: Remarks,
    /// Bytes read from disk: neither holes nor what was taken over.
    pub read_bytes: AtomicU64,
    /// Entries that are no folders.
    pub items: AtomicU64,
}

impl Session {
    pub(super) fn new(
        repository: Repository,
        writer: Writer,
        excludes: Excludes,
        one_file_system: bool,
        reread: bool,
        stop: Stop,
        task: Arc<Task>,
    ) -> Self {
        Self {
            former: TreeReader::new(repository.clone()),
            repository,
            writer,
            excludes,
            one_file_system,
            reread,
            stop,
            task,
            owners: Owners::default(),
            links: Links::default(),
            warnings: Remarks::default(),
            notes: Remarks::default(),
            read_bytes: AtomicU64::new(0),
            items: AtomicU64::new(0),
        }
    }

    pub(super) fn node(&self, name: &[u8], status: &Status, kind: NodeKind, attributes: Attributes) -> Node {
        let links = recorded_links(status);
        Node {
            name: name.to_vec(),
            kind,
            mode: status.mode,
            mtime_ns: status.mtime_ns,
            atime_ns: status.atime_ns,
            ctime_ns: status.ctime_ns,
            uid: status.uid,
            gid: status.gid,
            user: self.owners.user(status.uid),
            group: self.owners.group(status.gid),
            inode: status.inode,
            device_id: status.device,
            links,
            extended_attributes: attributes,
        }
    }

    /// The node of an entry that has not changed since `previous` was taken, without opening it. Its access time and
    /// attributes are the former ones: attributes cannot change without ctime, and an access time that follows every
    /// reader would store every folder anew each day.
    ///
    /// # Errors
    /// Whatever the repository says when it is asked for the file's blobs.
    pub(super) fn unchanged(&self, status: &Status, previous: Option<&Node>) -> Result<Option<Node>, VolumeError> {
        let Some(node) = previous else { return Ok(None) };
        if self.reread || !status.is_unchanged_since(node) {
            return Ok(None);
        }
        if let NodeKind::File { content, .. } = &node.kind
            && !content.is_empty()
            && !self.stop.wait(self.writer.has_all(BlobKind::Data, content))?
        {
            return Ok(None);
        }
        let (user, group) = (self.owners.user(status.uid), self.owners.group(status.gid));
        let (device_id, links) = (status.device, recorded_links(status));
        Ok(Some(Node { user, group, device_id, links, ..node.clone() }))
    }

    pub(super) fn store_tree(&self, json: Vec<u8>) -> Result<TreeId, VolumeError> {
        self.stop.wait(self.writer.tree_json(json))
    }

    /// Stores a folder that the repository may name and not be able to give: it is stored again where it cannot be read.
    pub(super) fn mend_tree(&self, json: Vec<u8>) -> Result<TreeId, VolumeError> {
        let tree = self.store_tree(json.clone())?;
        match self.stop.wait(self.repository.blob(BlobKind::Tree, &tree.into())) {
            Ok(_) => Ok(tree),
            // It is damaged, or on its way just now: then the writer knows that it has it.
            Err(error) if error.category() == Category::Integrity => {
                self.writer.note_unreadable(BlobKind::Tree, &tree.into());
                self.store_tree(json)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn count_item(&self, bytes: u64) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.task.add_items(1);
        self.task.add_bytes(bytes);
    }

    /// Says that an attribute's name is no UTF-8, which a tree's JSON cannot hold.
    pub(super) fn unkept<'a>(&'a self, path: &'a [u8]) -> impl FnMut(&[u8]) + 'a {
        move |name| {
            self.notes.add(format!(
                "{}: the attribute {} has a name that is no UTF-8 and is not kept",
                shown(path),
                shown(name)
            ));
        }
    }

    /// For `map_err`: a folder that cannot be written as a tree.
    pub(super) fn not_a_tree(path: &[u8]) -> impl FnOnce(TreeError) -> VolumeError + '_ {
        move |error| {
            let what = format!("the folder {}", shown(path));
            VolumeError::Repository(RepositoryError::Damaged { what, how: error.to_string() })
        }
    }
}

/// restic records no link count for folders, FIFOs and sockets; of FIFOs and sockets we do where there are several
/// names, or a restore could not join them again.
fn recorded_links(status: &Status) -> u64 {
    match status.kind {
        Kind::Folder => 0,
        Kind::Fifo | Kind::Socket if status.links <= 1 => 0,
        _ => status.links,
    }
}

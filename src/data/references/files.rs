//! Files of a captured volume by path, many at once. Claims come sorted, so each folder is read about once; folders that
//! a batch needs are fetched together, because each is a blob of its own and a store may be far away.

use std::collections::HashMap;

use futures_util::StreamExt;

use crate::repository::{BlobId, BlobKind, Node, NodeKind, Repository, RepositoryError, Tree, TreeError, TreeId};

use super::error::ReferenceError;
use super::judge::Claim;

/// Folders kept between batches; one folder of a million files alone is larger, and is kept for as long as it is used.
const KEPT_BYTES: usize = 48 << 20;

/// A file as the volume has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) bytes: u64,
    pub(super) content: Vec<BlobId>,
}

pub(super) struct Files {
    repository: Repository,
    root: TreeId,
    folders: HashMap<TreeId, Folder>,
    kept_bytes: usize,
    /// Counts batches; folders of older ones go first.
    batch: u64,
}

/// A folder's entries, as tight as they can be held: names in one buffer, blobs in another.
struct Folder {
    names: Vec<u8>,
    blobs: Vec<BlobId>,
    entries: Vec<Entry>,
    used_in: u64,
}

struct Entry {
    /// Where its name ends; it begins where the one before ends.
    name_end: u32,
    kind: EntryKind,
}

enum EntryKind {
    File { bytes: u64, blobs: std::ops::Range<u32> },
    Folder(TreeId),
    Other,
}

impl Folder {
    fn parse(id: TreeId, json: &[u8], batch: u64) -> Result<Self, RepositoryError> {
        let mut folder = Self { names: Vec::new(), blobs: Vec::new(), entries: Vec::new(), used_in: batch };
        Tree::each(json, |node: Node| folder.push(node)).map_err(|error: TreeError| RepositoryError::Damaged {
            what: format!("tree {id}"),
            how: error.to_string(),
        })?;
        Ok(folder)
    }

    fn push(&mut self, node: Node) -> Result<(), TreeError> {
        let too_large = || TreeError::Json("it has more than 4 GiB of names".into());
        self.names.extend_from_slice(&node.name);
        let name_end = u32::try_from(self.names.len()).map_err(|_| too_large())?;
        let kind = match node.kind {
            NodeKind::File { content, bytes } => {
                let from = self.blobs.len();
                self.blobs.extend(content);
                let range = (u32::try_from(from), u32::try_from(self.blobs.len()));
                let (Ok(from), Ok(to)) = range else { return Err(too_large()) };
                EntryKind::File { bytes, blobs: from..to }
            }
            NodeKind::Dir { subtree } => EntryKind::Folder(subtree),
            _ => EntryKind::Other,
        };
        self.entries.push(Entry { name_end, kind });
        Ok(())
    }

    fn name(&self, at: usize) -> &[u8] {
        let from = if at == 0 { 0 } else { self.entries[at - 1].name_end };
        &self.names[from as usize..self.entries[at].name_end as usize]
    }

    /// Entries are sorted by name.
    fn get(&self, name: &[u8]) -> Option<&EntryKind> {
        let (mut low, mut high) = (0, self.entries.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(&self.entries[middle].kind),
            }
        }
        None
    }

    fn bytes(&self) -> usize {
        self.names.capacity()
            + self.blobs.capacity() * size_of::<BlobId>()
            + self.entries.capacity() * size_of::<Entry>()
    }
}

impl Files {
    pub(super) fn new(repository: Repository, root: TreeId) -> Self {
        Self { repository, root, folders: HashMap::new(), kept_bytes: 0, batch: 0 }
    }

    /// The file of each claim, or `None` where there is none.
    pub(super) async fn look_up(&mut self, claims: &[Claim]) -> Result<Vec<Option<Found>>, ReferenceError> {
        self.batch += 1;
        self.let_go();
        let mut at: Vec<Option<TreeId>> = claims.iter().map(|_| Some(self.root)).collect();
        let mut found: Vec<Option<Found>> = claims.iter().map(|_| None).collect();
        let depth = claims.iter().map(|claim| claim.path.len()).max().unwrap_or(0);
        for level in 0..depth {
            self.load(at.iter().flatten().copied()).await?;
            for ((claim, at), found) in claims.iter().zip(&mut at).zip(&mut found) {
                let entry = at.take().and_then(|folder| {
                    let folder = self.folders.get_mut(&folder)?;
                    folder.used_in = self.batch;
                    let folder = &*folder;
                    Some((folder, folder.get(claim.path.get(level)?)?))
                });
                let is_last = level + 1 == claim.path.len();
                match entry {
                    Some((folder, EntryKind::File { bytes, blobs })) if is_last => {
                        let content = folder.blobs[blobs.start as usize..blobs.end as usize].to_vec();
                        *found = Some(Found { bytes: *bytes, content });
                    }
                    Some((_, EntryKind::Folder(next))) if !is_last => *at = Some(*next),
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    /// Fetches the folders that are not there yet, neighbours with one request.
    async fn load(&mut self, wanted: impl Iterator<Item = TreeId>) -> Result<(), ReferenceError> {
        let mut missing: Vec<TreeId> = wanted.filter(|id| !self.folders.contains_key(id)).collect();
        missing.sort_unstable();
        missing.dedup();
        let blobs = missing.into_iter().map(BlobId::from).collect();
        let mut fetched = Box::pin(self.repository.fetch(BlobKind::Tree, blobs));
        while let Some(blob) = fetched.next().await {
            let (id, json) = blob?;
            let folder = Folder::parse(id.into(), &json, self.batch)?;
            self.kept_bytes += folder.bytes();
            self.folders.insert(id.into(), folder);
        }
        Ok(())
    }

    /// Forgets folders that the last batch did not use, oldest first, while there are too many.
    fn let_go(&mut self) {
        if self.kept_bytes <= KEPT_BYTES {
            return;
        }
        let mut ages: Vec<(u64, TreeId)> = self.folders.iter().map(|(id, folder)| (folder.used_in, *id)).collect();
        ages.sort_unstable();
        for (used_in, id) in ages {
            if self.kept_bytes <= KEPT_BYTES || used_in + 1 >= self.batch {
                break;
            }
            if let Some(folder) = self.folders.remove(&id) {
                self.kept_bytes -= folder.bytes();
            }
        }
    }
}

//! What a check found: for people, scripts and the verb that maps snapshots to recovery points.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use serde::{Serialize, Serializer};

use super::super::index::Index;
use super::super::{BlobId, BlobKind, IndexId, KeyId, PackId, RepositoryError, SnapshotId, TreeId};
use crate::failure::{Category, Failure};

/// Listed damages, their problems, and what could not be read: the first so many of each, all are counted.
const LISTED: usize = 1_000;
const PROBLEMS: usize = 20;

/// What was read and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    pub index_files: u64,
    pub snapshots: u64,
    pub trees: u64,
    /// Packs that an index names, and their bytes in the store.
    pub packs: u64,
    pub pack_bytes: u64,
    /// Copies of blobs in them, and how many of these are not the first.
    pub blobs: u64,
    pub duplicate_blobs: u64,
    /// Packs that no index names: what an interrupted writer left; `prune` removes them.
    pub unused_packs: u64,
    pub unused_bytes: u64,
    /// Packs that were read whole, their bytes and blobs.
    pub packs_read: u64,
    pub bytes_read: u64,
    pub blobs_read: u64,
    /// The first 1,000 damaged objects; how many there are in all.
    pub damage: Vec<Damage>,
    pub damage_count: u64,
    /// Every snapshot that cannot be restored whole, also by what is not listed.
    pub damaged_snapshots: BTreeSet<SnapshotId>,
    /// What the store did not give this time: nothing is known about it.
    pub unread: Vec<Unread>,
    pub unread_count: u64,
}

/// One object that is not as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    pub object: Object,
    /// Its first 20 problems.
    pub problems: Vec<String>,
    /// The snapshots that need what is lost with it. Empty: nothing is lost, or (past 100 damages) it was not looked up
    /// one by one; [`CheckReport::damaged_snapshots`] is always complete.
    pub snapshots: BTreeSet<SnapshotId>,
}

/// Something that could not be read, and why; another attempt may succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    pub what: String,
    pub why: String,
}

/// What is damaged. Displayed as `pack 1f2e…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    Config,
    Key(KeyId),
    Index(IndexId),
    Snapshot(SnapshotId),
    Pack(PackId),
    Blob(BlobKind, BlobId),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => f.write_str("config"),
            Self::Key(id) => write!(f, "key {id}"),
            Self::Index(id) => write!(f, "index {id}"),
            Self::Snapshot(id) => write!(f, "snapshot {id}"),
            Self::Pack(id) => write!(f, "pack {id}"),
            Self::Blob(BlobKind::Data, id) => write!(f, "data blob {id}"),
            Self::Blob(BlobKind::Tree, id) => write!(f, "tree blob {id}"),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl CheckReport {
    /// What the check amounts to: nothing, damage (which weighs more), or that not all could be read.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        match (self.damage_count, self.unread_count) {
            (0, 0) => None,
            (0, _) => Some(Category::Unavailable),
            _ => Some(Category::Integrity),
        }
    }
}

/// The report while it grows, and the damaged blobs for later steps.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub report: CheckReport,
    numbers: HashMap<Object, usize>,
    /// Packs of which nothing can be had, and single blobs of others.
    gone: HashSet<PackId>,
    lost: HashSet<(PackId, BlobId)>,
    /// Trees that are damaged or in no index, also those past what is listed.
    lost_trees: HashSet<TreeId>,
}

impl Findings {
    /// Notes a problem of an object; several of one object are one damage.
    pub fn damage(&mut self, object: Object, problem: String) {
        let damage = &mut self.report.damage;
        let known = self.numbers.get(&object).copied();
        let number = known.unwrap_or(damage.len());
        if known.is_none() {
            self.report.damage_count += 1;
            if damage.len() == LISTED {
                return;
            }
            self.numbers.insert(object, number);
            damage.push(Damage { object, problems: Vec::new(), snapshots: BTreeSet::new() });
        }
        let problems = &mut damage[number].problems;
        if problems.len() < PROBLEMS {
            problems.push(problem);
        }
    }

    /// Files an error under damage or under what could not be read. A file that was listed and is not there is damage.
    ///
    /// # Errors
    /// `Cancelled` and what is a defect of ours come back.
    pub fn take(&mut self, object: Object, error: RepositoryError) -> Result<(), RepositoryError> {
        match error {
            RepositoryError::Cancelled | RepositoryError::WorkerLost => return Err(error),
            RepositoryError::Damaged { how, .. } => self.damage(object, how),
            error if error.category() == Category::Integrity => self.damage(object, error.to_string()),
            error => self.could_not_read(object.to_string(), error.to_string()),
        }
        Ok(())
    }

    /// As [`Self::take`], and remembers a tree that is damaged however many others are.
    pub fn take_tree(&mut self, id: TreeId, error: RepositoryError) -> Result<(), RepositoryError> {
        if error.category() == Category::Integrity {
            self.lost_trees.insert(id);
        }
        self.take(Object::Blob(BlobKind::Tree, id.into()), error)
    }

    pub fn is_lost_tree(&self, id: &TreeId) -> bool {
        self.lost_trees.contains(id)
    }

    pub fn could_not_read(&mut self, what: String, why: String) {
        self.report.unread_count += 1;
        if self.report.unread.len() < LISTED {
            self.report.unread.push(Unread { what, why });
        }
    }

    pub fn pack_is_gone(&mut self, pack: PackId) {
        self.gone.insert(pack);
    }

    pub fn blob_is_lost(&mut self, pack: PackId, blob: BlobId) {
        self.lost.insert((pack, blob));
    }

    /// The object to which the loss of a blob is put down; `None` while a copy of it is there.
    pub fn loss(&self, index: &Index, kind: BlobKind, id: &BlobId) -> Option<Object> {
        let mut cause = Object::Blob(kind, *id);
        for copy in index.find(kind, id) {
            if !self.gone.contains(&copy.pack) && !self.lost.contains(&(copy.pack, *id)) {
                return None;
            }
            cause = Object::Pack(copy.pack);
        }
        Some(cause)
    }

    /// Whether anything that a snapshot might need is known to be lost.
    pub fn has_losses(&self) -> bool {
        let named = |damage: &Damage| matches!(damage.object, Object::Pack(_) | Object::Blob(..));
        // Past what is listed nobody knows what else there is.
        self.report.damage_count > self.report.damage.len() as u64 || self.report.damage.iter().any(named)
    }

    pub fn number(&self, object: &Object) -> Option<usize> {
        self.numbers.get(object).copied()
    }

    pub fn into_report(self) -> CheckReport {
        self.report
    }
}

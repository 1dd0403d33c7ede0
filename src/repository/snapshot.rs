//! Snapshot files, as restic writes them.

use jiff::Timestamp;

use super::{SnapshotId, TreeId};

/// One snapshot. Source: restic 0.14 `internal/restic/snapshot.go`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub time: Timestamp,
    pub parent: Option<SnapshotId>,
    pub tree: TreeId,
    pub paths: Vec<String>,
    pub hostname: String,
    pub username: String,
    pub uid: u32,
    pub gid: u32,
    pub tags: Vec<String>,
    pub original: Option<SnapshotId>,
}

//! Snapshot files, as restic writes them.

use jiff::Timestamp;

use super::{Repository, RepositoryError, SnapshotId, TreeId};

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

impl Repository {
    /// Every snapshot, in no particular order.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>, RepositoryError> {
        todo!()
    }

    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, RepositoryError> {
        todo!()
    }

    /// Stores a snapshot; the caller has called [`Writer::finish`] before, so that all it names is in an index.
    pub async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<SnapshotId, RepositoryError> {
        todo!()
    }

    pub async fn remove_snapshot(&self, id: &SnapshotId) -> Result<(), RepositoryError> {
        todo!()
    }
}

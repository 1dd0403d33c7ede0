//! Snapshot files, as restic writes them.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::{FileKind, Repository, RepositoryError, SnapshotId, TreeId};
use crate::failure::{Category, Failure};
use crate::storage::StorageError;

/// Small files asked for at once: hides a store's latency (about 50 ms for S3) and stays far below its limits.
const LOADS: usize = 16;

/// One snapshot. Source: restic 0.14 `internal/restic/snapshot.go`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Stored in UTC; restic stores its own zone's offset, which is read and not kept.
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotId>,
    pub tree: TreeId,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub paths: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<SnapshotId>,
    /// Everything else that is in the file (`excludes`; since restic 0.17 `program_version` and `summary`; what newer
    /// ones may add), kept as it is when a snapshot is written again with other tags.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Snapshot {
    /// A snapshot of `tree` taken at `time`; everything else is empty.
    #[must_use]
    pub fn new(time: Timestamp, tree: TreeId) -> Self {
        Self {
            time,
            parent: None,
            tree,
            paths: Vec::new(),
            hostname: String::new(),
            username: String::new(),
            uid: 0,
            gid: 0,
            tags: Vec::new(),
            original: None,
            other: BTreeMap::new(),
        }
    }

    /// The plaintext of the snapshot's file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and JSON values can always be written")
    }

    /// Reads the plaintext of a snapshot's file.
    ///
    /// # Errors
    /// When it is no snapshot: no time, no tree, wrong types.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Go writes a list that was never made as `null`.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What [`Repository::readable_snapshots`] found.
#[derive(Debug, Default)]
pub struct ReadableSnapshots {
    pub readable: Vec<(SnapshotId, Snapshot)>,
    pub damaged: Vec<(SnapshotId, RepositoryError)>,
}

impl Repository {
    /// Every snapshot, in no particular order.
    ///
    /// # Errors
    /// `Damaged` for the first that cannot be read; `check` names them all.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>, RepositoryError> {
        let files = self.list_files(FileKind::Snapshot).await?;
        stream::iter(files)
            .map(|file| async move {
                let id = SnapshotId(file.id);
                Ok((id, self.snapshot(&id).await?))
            })
            .buffer_unordered(LOADS)
            .try_collect()
            .await
    }

    /// As [`Self::snapshots`], for those who must go on where some are damaged: these come in the second list. One that
    /// is removed while we look is in neither.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn readable_snapshots(&self) -> Result<ReadableSnapshots, RepositoryError> {
        let files = self.list_files(FileKind::Snapshot).await?;
        let load = |id: SnapshotId| async move { (id, self.snapshot(&id).await) };
        let mut loads = stream::iter(files).map(|file| load(SnapshotId(file.id))).buffer_unordered(LOADS);
        let mut found = ReadableSnapshots::default();
        while let Some((id, loaded)) = loads.next().await {
            match loaded {
                Ok(snapshot) => found.readable.push((id, snapshot)),
                Err(RepositoryError::Storage(StorageError::NotFound { .. })) => {}
                Err(error) if error.category() == Category::Integrity => found.damaged.push((id, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, RepositoryError> {
        let json = self.load_file(FileKind::Snapshot, &id.0).await?;
        Snapshot::from_json(&json)
            .map_err(|error| RepositoryError::Damaged { what: format!("snapshot {id}"), how: error.to_string() })
    }

    /// Stores a snapshot; the caller has called [`Writer::finish`](super::Writer::finish) before, so that all it names
    /// is in an index.
    pub async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<SnapshotId, RepositoryError> {
        self.save_file(FileKind::Snapshot, &snapshot.to_json()).await.map(SnapshotId)
    }

    pub async fn remove_snapshot(&self, id: &SnapshotId) -> Result<(), RepositoryError> {
        self.remove_file(FileKind::Snapshot, &id.0).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fields and their order are those of restic 0.18's `internal/restic/snapshot.go`, the values made up.
    const RESTIC_0_18: &str = r#"{"time":"2025-03-30T03:00:00.123456789+02:00","parent":"1111111111111111111111111111111111111111111111111111111111111111","tree":"2222222222222222222222222222222222222222222222222222222222222222","paths":["/srv/data"],"hostname":"host","username":"root","excludes":["x"],"tags":["a","b"],"program_version":"restic 0.18.0","summary":{"backup_start":"2025-03-30T03:00:00.123456789+02:00","backup_end":"2025-03-30T03:00:01.5+02:00","files_new":1,"total_bytes_processed":18446744073709551615}}"#;

    #[test]
    fn a_snapshot_of_newer_restic_keeps_what_we_do_not_know() {
        let mut snapshot = Snapshot::from_json(RESTIC_0_18.as_bytes()).unwrap();
        assert_eq!(snapshot.time, "2025-03-30T01:00:00.123456789Z".parse().unwrap());
        assert_eq!(snapshot.tags, ["a", "b"]);
        assert_eq!((snapshot.uid, snapshot.gid, snapshot.original), (0, 0, None));
        snapshot.tags.push("kept".into());
        let mut expected: serde_json::Value = serde_json::from_str(RESTIC_0_18).unwrap();
        expected["time"] = "2025-03-30T01:00:00.123456789Z".into();
        expected["tags"] = serde_json::json!(["a", "b", "kept"]);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&snapshot.to_json()).unwrap(), expected);
    }

    #[test]
    fn a_bare_snapshot_is_written_as_restic_writes_it() {
        let mut snapshot = Snapshot::new("2024-01-02T03:04:05.5Z".parse().unwrap(), TreeId([0x22; 32]));
        snapshot.paths = vec!["/chatwoot-db".into()];
        snapshot.hostname = "papg".into();
        assert_eq!(
            String::from_utf8(snapshot.to_json()).unwrap(),
            format!(
                r#"{{"time":"2024-01-02T03:04:05.5Z","tree":"{}","paths":["/chatwoot-db"],"hostname":"papg"}}"#,
                "22".repeat(32)
            )
        );
    }

    #[test]
    fn the_committed_snapshot_is_read_and_written_for_ever() {
        let json = include_bytes!("../../tests/fixtures/formats/snapshot-1.json");
        let snapshot = Snapshot::from_json(json).unwrap();
        assert_eq!(snapshot.time.as_nanosecond(), 1_767_323_045_000_000_006);
        assert_eq!((snapshot.parent, snapshot.original), (Some(SnapshotId([0x11; 32])), Some(SnapshotId([0x33; 32]))));
        assert_eq!(snapshot.to_json(), json);
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let tree = "22".repeat(32);
        for (bad, why) in [
            ("{}".to_owned(), "missing field `time`"),
            (r#"{"time":"2024-01-02T03:04:05Z","paths":null}"#.into(), "missing field `tree`"),
            (r#"{"time":"2024-01-02T03:04:05Z","tree":null,"paths":[]}"#.into(), "invalid type: null"),
            (r#"{"time":"2024-01-02T03:04:05Z","tree":"12","paths":[]}"#.into(), "is not an id"),
            (format!(r#"{{"time":"yesterday","tree":"{tree}"}}"#), "failed to parse"),
        ] {
            let error = Snapshot::from_json(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
        let null = format!(r#"{{"time":"2024-01-02T03:04:05Z","tree":"{tree}","paths":null,"tags":null}}"#);
        assert_eq!(Snapshot::from_json(null.as_bytes()).unwrap().paths, Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_snapshot_survives_the_round_trip(
            ns in 0i128..4_000_000_000_000_000_000, ids in any::<[[u8; 32]; 3]>(), has in any::<(bool, bool)>(),
            words in prop::collection::vec(any::<String>(), 2..6), uid: u32, gid: u32,
        ) {
            let mut snapshot = Snapshot::new(Timestamp::from_nanosecond(ns).unwrap(), TreeId(ids[0]));
            snapshot.parent = has.0.then_some(SnapshotId(ids[1]));
            snapshot.original = has.1.then_some(SnapshotId(ids[2]));
            (snapshot.hostname, snapshot.username) = (words[0].clone(), words[1].clone());
            (snapshot.uid, snapshot.gid) = (uid, gid);
            (snapshot.paths, snapshot.tags) = (words[1..].to_vec(), words[2..].to_vec());
            prop_assert_eq!(Snapshot::from_json(&snapshot.to_json()).unwrap(), snapshot);
        }
    }
}

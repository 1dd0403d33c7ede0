//! `proven.json`: a drill's word that a recovery point restores, in a snapshot of its own so that it is encrypted, whole or
//! not there, and goes with its point. Format version 1.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Home, Point, PointError, PointId, document, files, folder, proven_tags, versioned};
use crate::repository::{Repository, Snapshot, WriterOptions};

/// What the newest drill that a point has passed measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proven {
    pub format_version: u32,
    pub point: PointId,
    /// The drill's run.
    pub run: String,
    /// When it was verified.
    pub time: Timestamp,
    /// `drydock 0.1.0`.
    pub tool: String,
    /// From the beginning of the work to all of it verified.
    pub rto_ms: u64,
    /// How large the data sets were together, which is what `rtoMs` is to be seen against.
    pub bytes: u64,
    /// How many assertions held.
    pub assertions: u64,
    /// Whether the scratch server flushed to disk as production does.
    pub fsync: bool,
}

impl Proven {
    pub const FORMAT_VERSION: u32 = 1;
    pub const FILE: &str = "proven.json";

    /// Reads the marker in `snapshot`.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub async fn read(repository: &Repository, snapshot: &Snapshot, point: PointId) -> Result<Self, PointError> {
        let what = format!("the drill's mark of recovery point {point}");
        let json = document(repository, &snapshot.tree, Self::FILE, &what).await?;
        versioned::read(&what, &json, Self::FORMAT_VERSION)
    }
}

/// Marks `point` as proven; former marks of it go once the new one is stored. Twice is fine. The caller holds a shared
/// lock.
///
/// # Errors
/// When the repository cannot be written.
pub async fn prove(home: &Home, point: &Point, proven: &Proven) -> Result<(), PointError> {
    let writer = home.repository.writer(WriterOptions::default());
    let json = serde_json::to_vec_pretty(proven).expect("names, numbers and texts are JSON");
    let tree = folder(&writer, proven.time, vec![(Proven::FILE, json)]).await?;
    writer.finish().await?;
    let mut snapshot = Snapshot::new(proven.time, tree);
    snapshot.tags = proven_tags(&home.stack.name, point.id);
    snapshot.hostname = home.stack.name.to_string();
    snapshot.paths = vec![format!("/{}", Proven::FILE)];
    snapshot.username = files::user();
    let stored = home.repository.save_snapshot(&snapshot).await?;
    for former in point.proofs.iter().filter(|former| **former != stored) {
        home.repository.remove_snapshot(former).await?;
    }
    Ok(())
}

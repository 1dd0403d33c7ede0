//! `keep.json`: a person's word that a recovery point stays, in a snapshot of its own so that it is encrypted, whole or
//! not there, and goes with one `unkeep`. Format version 1.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Home, Point, PointError, PointId, document, files, folder, keep_tags, versioned};
use crate::repository::{Repository, Snapshot, SnapshotId, Writer, WriterOptions};
use crate::stack::Name;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keep {
    pub format_version: u32,
    pub point: PointId,
    pub reason: String,
    /// From then on the rules count again; none = for ever.
    pub until: Option<Timestamp>,
    pub time: Timestamp,
    /// `user@host`, for whoever asks later.
    pub by: String,
}

impl Keep {
    pub const FORMAT_VERSION: u32 = 1;
    pub const FILE: &str = "keep.json";

    /// Whether it still holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether it ends later than one until `until` would.
    fn outlasts(&self, until: Option<Timestamp>) -> bool {
        until.is_some_and(|until| self.until.is_none_or(|own| own > until))
    }

    async fn store(&self, repository: &Repository, writer: &Writer, stack: &Name) -> Result<SnapshotId, PointError> {
        let json = serde_json::to_vec_pretty(self).expect("names, numbers and texts are JSON");
        let tree = folder(writer, self.time, vec![(Self::FILE, json)]).await?;
        writer.finish().await?;
        let mut snapshot = Snapshot::new(self.time, tree);
        snapshot.tags = keep_tags(stack, self.point);
        snapshot.hostname = stack.to_string();
        snapshot.paths = vec![format!("/{}", Self::FILE)];
        snapshot.username = files::user();
        Ok(repository.save_snapshot(&snapshot).await?)
    }

    /// Reads the keep in `snapshot`.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub async fn read(repository: &Repository, snapshot: &Snapshot, point: PointId) -> Result<Self, PointError> {
        let what = format!("the keep of recovery point {point}");
        let json = document(repository, &snapshot.tree, Self::FILE, &what).await?;
        versioned::read(&what, &json, Self::FORMAT_VERSION)
    }
}

/// For people: `for ever by root@papg-0: before the audit`.
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            None => f.write_str("for ever")?,
            Some(until) => write!(f, "until {until:.0}")?,
        }
        write!(f, " by {}: {}", self.by, self.reason)
    }
}

/// Keeps `point`; a former keep of it is replaced by one that lasts at least as long. The caller holds a shared lock.
///
/// # Errors
/// `Shortens` where somebody has kept it for longer; when the repository cannot be written.
pub async fn keep(
    home: &Home,
    point: &Point,
    reason: &str,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Keep, PointError> {
    if let Some(former) = point.keep.as_ref().filter(|former| former.holds(now) && former.outlasts(until)) {
        return Err(PointError::Shortens { id: point.id.to_string(), former: former.to_string() });
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let keep = Keep {
        format_version: Keep::FORMAT_VERSION,
        point: point.id,
        reason: reason.to_owned(),
        until,
        time: now,
        by: format!("{}@{host}", files::user()),
    };
    let writer = home.repository.writer(WriterOptions::default());
    keep.store(&home.repository, &writer, &home.stack.name).await?;
    unkeep(home, point).await?; // only what was there before: the new one is stored, so the point was never without
    Ok(keep)
}

/// Removes what keeps `point`. The caller holds a shared lock.
///
/// # Errors
/// When the repository cannot be written.
pub async fn unkeep(home: &Home, point: &Point) -> Result<(), PointError> {
    for snapshot in &point.keeps {
        home.repository.remove_snapshot(snapshot).await?;
    }
    Ok(())
}

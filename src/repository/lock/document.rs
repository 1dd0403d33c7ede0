//! A lock file's JSON, and what people are told about a lock.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::LockId;

/// Source: restic `internal/restic/lock.go`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    pub time: Timestamp,
    pub exclusive: bool,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub pid: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Document {
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can always be written")
    }

    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

/// For people: `PID 7 on papg-0 by root since 2026-06-15T12:00:00Z, exclusively`.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.hostname.split_once(super::machine::MARK).map_or(self.hostname.as_str(), |(host, _)| host);
        write!(f, "PID {} on {host} by {} since {:.0}", self.pid, self.username, self.time)?;
        if self.exclusive { f.write_str(", exclusively") } else { Ok(()) }
    }
}

/// A lock as people and doctors see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockInfo {
    pub id: LockId,
    /// Process, host and user, and since when; or that it cannot be read.
    pub holder: String,
    /// `None` when it cannot be read.
    pub exclusive: Option<bool>,
    /// By the store's clock.
    pub age_seconds: u64,
    pub state: LockState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockState {
    Live,
    /// Dated in the future: it will not grow old before the clock has come there, so only a person can tell.
    Ahead,
    /// Not refreshed for 30 minutes.
    Stale,
    /// Its process is gone.
    Dead,
}

//! A lock file's JSON, and what people are told about a lock.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::LockId;
use crate::process::{Process, host_of};

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
    /// A lock of `process`; the keeper sets its time.
    pub fn of(process: &Process, exclusive: bool) -> Self {
        Self {
            time: Timestamp::UNIX_EPOCH,
            exclusive,
            hostname: process.name(),
            username: process.username.clone(),
            pid: i64::from(process.pid),
            uid: process.uid,
            gid: process.gid,
        }
    }

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
        let host = host_of(&self.hostname);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_the_host_without_what_tells_processes_apart() {
        let mut process = Process::this().clone();
        (process.host, process.username, process.pid) = ("papg-0".into(), "root".into(), 7);
        let time = "2026-06-15T12:00:00.5Z".parse().unwrap();
        let lock = Document { time, ..Document::of(&process, true) };
        assert_eq!(lock.to_string(), "PID 7 on papg-0 by root since 2026-06-15T12:00:00Z, exclusively");
        assert_eq!(Document::from_json(&lock.to_json()).unwrap(), lock);
        let restic = br#"{"time":"2026-06-15T14:00:00.123456789+02:00","exclusive":false,"hostname":"h","username":"u","pid":5,"uid":1,"gid":2}"#;
        let lock = Document::from_json(restic).unwrap();
        assert_eq!(lock.to_string(), "PID 5 on h by u since 2026-06-15T12:00:00Z");
    }

    #[test]
    fn the_committed_lock_is_read_and_written_for_ever() {
        let json = include_bytes!("../../../tests/fixtures/formats/lock-1.json");
        let lock = Document::from_json(json).unwrap();
        assert_eq!(lock.to_json(), json);
        assert_eq!(lock.to_string(), "PID 7 on papg-0 by root since 2026-01-02T03:04:05Z, exclusively");
    }
}

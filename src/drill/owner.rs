//! `owner.json`: whose a sandbox is, so that what a crash leaves is told from what is in use. Format version 1.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DrillError;
use crate::point::PointId;
use crate::process;
use crate::stack::Name;

/// The process that made a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    pub format_version: u32,
    pub run: String,
    pub stack: Name,
    pub point: PointId,
    pub time: Timestamp,
    pub pid: u32,
    /// Clock ticks since boot, of `/proc/<pid>/stat`: a later process of the same number is another.
    pub started: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
    /// A person wants it to stay when its process is gone.
    pub kept: bool,
}

impl Owner {
    pub const FORMAT_VERSION: u32 = 1;
    pub const FILE: &str = "owner.json";

    /// This process.
    pub(super) fn ourselves(run: &str, stack: &Name, point: PointId, time: Timestamp) -> Self {
        let pid = std::process::id();
        Self {
            format_version: Self::FORMAT_VERSION,
            run: run.to_owned(),
            stack: stack.clone(),
            point,
            time,
            pid,
            started: process::started(pid).unwrap_or(0),
            boot: process::boot().unwrap_or_default(),
            kept: false,
        }
    }

    /// Of the sandbox in `folder`; `None` where there is none, or one that is not understood: another version's may be in
    /// use.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let json = std::fs::read(folder.join(Self::FILE)).ok()?;
        let owner: Self = serde_json::from_slice(&json).ok()?;
        (owner.format_version == Self::FORMAT_VERSION).then_some(owner)
    }

    /// Whether its process is alive, or may be.
    pub(super) fn lives(&self) -> bool {
        self.boot == process::boot().unwrap_or_default() && process::may_live(self.pid, Some(self.started))
    }

    /// Writes it whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), DrillError> {
        let json = serde_json::to_vec_pretty(self).expect("names, numbers and texts are JSON");
        let (new, path) = (folder.join("owner.json.new"), folder.join(Self::FILE));
        std::fs::write(&new, json)
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(DrillError::folder("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &str = include_str!("../../tests/fixtures/formats/drill-owner-1.json");

    #[test]
    fn version_1_is_read_and_written_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(Owner::FILE), FIXTURE).unwrap();
        let owner = Owner::of(folder.path()).unwrap();
        assert_eq!((owner.pid, owner.kept), (4711, false));
        owner.write(folder.path()).unwrap();
        let written = std::fs::read(folder.path().join(Owner::FILE)).unwrap();
        let value = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&written), value(FIXTURE.as_bytes()));
    }

    #[test]
    fn another_process_of_the_same_number_is_not_the_owner() {
        let point = PointId::random();
        let ours = Owner::ourselves("drill-shop-1", &"shop".parse().unwrap(), point, Timestamp::UNIX_EPOCH);
        assert!(ours.lives());
        assert!(!Owner { started: ours.started + 1, ..ours.clone() }.lives());
        assert!(!Owner { boot: "another".into(), ..ours }.lives());
    }
}

//! The live folder's own metadata: it stays where it is, so it is changed in place and not exchanged.

use std::os::fd::AsFd;

use jiff::Timestamp;
use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::repository::Node;

use super::super::VolumeError;
use super::super::attributes::{Attributes, Bearer};
use super::super::folder::Folder;
use super::super::restore::times;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Root {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    /// Name and value, the value as Base64.
    #[serde(with = "base64_values")]
    pub attributes: Attributes,
}

impl Root {
    pub(super) fn of_node(node: &Node) -> Self {
        let Node { mode, uid, gid, atime_ns, mtime_ns, .. } = *node;
        let (atime, mtime) = (timestamp(atime_ns), timestamp(mtime_ns));
        Self { mode, uid, gid, atime, mtime, attributes: node.extended_attributes.clone() }
    }

    pub(super) fn of(live: &Folder) -> Result<Self, VolumeError> {
        let status = live.own_status().map_err(VolumeError::file("look at", b"."))?;
        let attributes = Bearer::Open(live.as_fd()).read(|_| {});
        let attributes = attributes.map_err(VolumeError::file("read the attributes of", b"."))?;
        let (mode, uid, gid) = (status.mode, status.uid, status.gid);
        let (atime, mtime) = (timestamp(status.atime_ns), timestamp(status.mtime_ns));
        Ok(Self { mode, uid, gid, atime, mtime, attributes })
    }

    /// Makes the folder's metadata this. Owner and attributes that this process may not set are left: the comparison of
    /// the folder tells.
    pub(super) fn apply(&self, live: &Folder) -> Result<(), Errno> {
        let bearer = Bearer::Open(live.as_fd());
        refused_is_found_later(fchown(live, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid))))?;
        for (name, _) in bearer.read(|_| {})? {
            if !self.attributes.iter().any(|(n, _)| *n == name) {
                refused_is_found_later(bearer.remove(&name))?;
            }
        }
        fchmod(live, Mode::from_raw_mode(self.mode))?;
        for (name, value) in &self.attributes {
            refused_is_found_later(bearer.set(name, value))?;
        }
        self.apply_times(live)
    }

    pub(super) fn apply_times(&self, live: &Folder) -> Result<(), Errno> {
        times(live.as_fd(), self.atime.as_nanosecond(), self.mtime.as_nanosecond())
    }
}

/// Years before -9999 and after 9999 are on no disk.
fn timestamp(ns: i128) -> Timestamp {
    Timestamp::from_nanosecond(ns).unwrap_or(if ns < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn refused_is_found_later(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::INVAL) => Ok(()),
        other => other,
    }
}

mod base64_values {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::Attributes;

    pub(super) fn serialize<S: Serializer>(attributes: &Attributes, serializer: S) -> Result<S::Ok, S::Error> {
        let encoded: Vec<_> = attributes.iter().map(|(name, value)| (name, BASE64_STANDARD.encode(value))).collect();
        encoded.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
        let encoded: Vec<(String, String)> = Vec::deserialize(deserializer)?;
        let decoded = encoded.into_iter().map(|(name, value)| Ok((name, BASE64_STANDARD.decode(value)?)));
        decoded.collect::<Result<_, base64::DecodeError>>().map_err(D::Error::custom)
    }
}

//! What a capture is going to read, by a walk that opens no file.

use std::collections::HashSet;
use std::path::Path;

use rustix::io::Errno;

use crate::context::Context;
use crate::data::Estimate;
use crate::stack::VolumeSpec;

use super::VolumeError;
use super::blocking::{Stop, blocking};
use super::exclude::Excludes;
use super::folder::Folder;
use super::path::join;
use super::status::{Kind, Status};

/// Counts the files below `folder` and their bytes, holes left out, each hard-linked file once.
///
/// # Errors
/// The folder that cannot be listed; `Cancelled`.
pub async fn estimate(folder: &Path, spec: &VolumeSpec, cx: &Context) -> Result<Estimate, VolumeError> {
    let excludes = Excludes::new(&spec.exclude)?;
    let (path, one_file_system) = (folder.to_owned(), spec.one_file_system);
    let counted = blocking(cx, move |stop| {
        let root = Folder::open(&path).map_err(VolumeError::root(&path))?;
        let device = root.own_status().map_err(VolumeError::file("look at", b"."))?.device;
        let only = one_file_system.then_some(device);
        let mut count = Count { excludes, only, linked: HashSet::new(), estimate: Estimate::default() };
        let mut folders = vec![Vec::new()];
        while let Some(path) = folders.pop() {
            count.folder(&root, &path, &stop, &mut folders)?;
        }
        Ok(count.estimate)
    });
    counted.await
}

struct Count {
    excludes: Excludes,
    /// The only file system to look at.
    only: Option<u64>,
    linked: HashSet<(u64, u64)>,
    estimate: Estimate,
}

impl Count {
    fn folder(&mut self, root: &Folder, path: &[u8], stop: &Stop, below: &mut Vec<Vec<u8>>) -> Result<(), VolumeError> {
        let folder = match root.below(path) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()), // gone since it was listed
            folder => folder.map_err(VolumeError::file("open", path))?,
        };
        let entries = match folder.entries() {
            Err(Errno::NOENT) if !path.is_empty() => return Ok(()),
            entries => entries.map_err(VolumeError::file("list", path))?,
        };
        for entry in entries {
            stop.check()?;
            let path = join(path, &entry.name);
            if self.excludes.leave_out(&path) {
                continue;
            }
            let status = match folder.status(&entry.name) {
                Err(Errno::NOENT) => continue,
                status => status.map_err(VolumeError::file("look at", &path))?,
            };
            if self.only.is_some_and(|device| device != status.device) {
                continue;
            }
            match status.kind {
                Kind::Folder => below.push(path),
                _ => self.entry(&status),
            }
        }
        Ok(())
    }

    fn entry(&mut self, status: &Status) {
        self.estimate.items += 1;
        let is_new = status.links < 2 || self.linked.insert((status.device, status.inode));
        if status.kind == Kind::File && is_new {
            self.estimate.bytes += status.bytes.min(status.blocks.saturating_mul(512).max(1 << 12));
        }
    }
}

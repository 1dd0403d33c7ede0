//! Links' targets, devices' numbers, and which names are one file.

use std::collections::HashMap;

use crate::repository::{Node, NodeKind};

use super::super::VolumeError;
use super::super::folder::Folder;
use super::super::path::shown;
use super::super::restore::Linked;
use super::super::status::Status;
use super::report::Report;

/// Anything that is neither file nor folder, and of the right kind.
pub(super) fn special(
    report: &Report<'_>,
    folder: &Folder,
    path: &[u8],
    node: &Node,
    status: &Status,
) -> Result<(), VolumeError> {
    match &node.kind {
        NodeKind::Symlink { target } => {
            report.count("links", 1);
            let found = folder.link_target(&node.name).map_err(VolumeError::file("read the link", path))?;
            if *target != found {
                report.differs(path, format!("link to {}", shown(target)), format!("link to {}", shown(&found)));
            }
        }
        NodeKind::CharDevice { device } | NodeKind::BlockDevice { device } => {
            report.count("special files", 1);
            if *device != status.represents {
                report.differs(path, device_shown(*device), device_shown(status.represents));
            }
        }
        _ => report.count("special files", 1),
    }
    Ok(())
}

fn device_shown(device: u64) -> String {
    format!("device {}:{}", rustix::fs::major(device), rustix::fs::minor(device))
}

/// Holds names that were one file to being one now, and others to being several.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The inode that stands for a recorded one here, and names to come.
    found: HashMap<Linked, (u64, u64)>,
}

impl Links {
    pub(super) fn check(&mut self, report: &Report<'_>, path: &[u8], node: &Node, status: &Status) {
        let Some(linked) = Linked::of(node) else {
            if !matches!(node.kind, NodeKind::Dir { .. }) && node.links == 1 && status.links > 1 {
                report.differs(path, "one name", format!("{} names", status.links));
            }
            return;
        };
        report.count("hard links", 1);
        let Some((inode, to_come)) = self.found.get_mut(&linked) else {
            self.found.insert(linked, (status.inode, node.links - 1));
            return;
        };
        if *inode != status.inode {
            report.differs(path, "another name of a file met before", "a file of its own");
        }
        *to_come -= 1;
        if *to_come == 0 {
            self.found.remove(&linked);
        }
    }
}

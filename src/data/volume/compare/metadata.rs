//! Owner, mode, modification time and attributes against the record.

use std::os::fd::AsFd;

use jiff::Timestamp;

use crate::repository::{Node, NodeKind};

use super::super::VolumeError;
use super::super::attributes::Attributes;
use super::super::folder::Folder;
use super::super::path::shown;
use super::super::status::Status;
use super::report::{Forgiven, Report};

/// Labels that the system puts on a file by its own rules, also where the snapshot has none.
const SYSTEMS_OWN: [&str; 4] = ["security.selinux", "security.ima", "security.evm", "security.SMACK64"];

/// Fractions of a second, in nanoseconds, to which file systems keep times.
const GRAINS: [i128; 4] = [100, 1_000, 1_000_000, 1_000_000_000];

pub(super) fn of_folder(report: &Report<'_>, folder: &Folder, path: &[u8], node: &Node) -> Result<(), VolumeError> {
    let status = folder.own_status().map_err(VolumeError::file("look at", path))?;
    let attributes = super::attributes_of(folder.as_fd(), path)?;
    report.count("folders", 1);
    check(report, path, node, &status, &attributes);
    Ok(())
}

pub(super) fn check(report: &Report<'_>, path: &[u8], node: &Node, status: &Status, found: &Attributes) {
    let owned = owner(report, path, node, status);
    mode(report, path, node, status, owned);
    time(report, path, node, status);
    attributes(report, path, &node.extended_attributes, found);
}

/// Whether owner and group are the recorded ones.
fn owner(report: &Report<'_>, path: &[u8], node: &Node, status: &Status) -> bool {
    let owned = (node.uid, node.gid) == (status.uid, status.gid);
    if !owned && report.shortfalls.forgive_owner() {
        report.forgive(Forgiven::Owner);
    } else if !owned {
        let (expected, found) = ((node.uid, node.gid), (status.uid, status.gid));
        report.differs(path, format!("owner {}:{}", expected.0, expected.1), format!("owner {}:{}", found.0, found.1));
    }
    owned
}

fn mode(report: &Report<'_>, path: &[u8], node: &Node, status: &Status, owned: bool) {
    if matches!(node.kind, NodeKind::Symlink { .. }) || node.mode == status.mode {
        return; // a link has no mode of its own
    }
    if !owned && report.shortfalls.forgive_owner() && node.mode & 0o1777 == status.mode & 0o1777 {
        report.forgive(Forgiven::SetId);
    } else {
        report.differs(path, format!("mode {:04o}", node.mode), format!("mode {:04o}", status.mode));
    }
}

fn time(report: &Report<'_>, path: &[u8], node: &Node, status: &Status) {
    let (expected, found) = (node.mtime_ns, status.mtime_ns);
    if expected == found {
        return;
    }
    let coarser = GRAINS.iter().any(|grain| found % grain == 0 && expected.div_euclid(*grain) * grain == found);
    if coarser {
        report.forgive(Forgiven::Time);
    } else {
        report.differs(path, format!("modified {}", time_shown(expected)), format!("modified {}", time_shown(found)));
    }
}

fn time_shown(ns: i128) -> String {
    Timestamp::from_nanosecond(ns).map_or_else(|_| format!("{ns} ns"), |time| time.to_string())
}

fn attributes(report: &Report<'_>, path: &[u8], expected: &Attributes, found: &Attributes) {
    report.count("attributes", expected.len() as u64);
    for (name, value) in expected {
        let there = found.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        if there == Some(value) {
            continue;
        }
        if report.shortfalls.forgive_attribute(name) {
            report.forgive(Forgiven::Attribute);
            continue;
        }
        let expected = format!("attribute {name} = {}", shown(value));
        match there {
            Some(other) => report.differs(path, expected, format!("attribute {name} = {}", shown(other))),
            None => report.differs(path, expected, format!("no attribute {name}")),
        }
    }
    for (name, value) in found {
        if !expected.iter().any(|(n, _)| n == name) && !SYSTEMS_OWN.contains(&name.as_str()) {
            report.differs(path, format!("no attribute {name}"), format!("attribute {name} = {}", shown(value)));
        }
    }
}

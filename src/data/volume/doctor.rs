//! What would keep a volume from being captured or restored, each with the fix.

use std::path::Path;

use rustix::fs::{Access, AtFlags, accessat, fgetxattr, fstatvfs};
use rustix::io::Errno;

use crate::context::Context;
use crate::finding::Finding;
use crate::stack::VolumeSpec;

use super::VolumeError;
use super::estimate::estimate;
use super::exclude::Excludes;
use super::folder::Folder;

/// Looks at the volume without changing anything: whether it is there and can be read, whether a restored copy has
/// room beside it, and what its file system can keep.
pub async fn doctor(name: &str, spec: &VolumeSpec, cx: &Context) -> Vec<Finding> {
    let Some(path) = &spec.path else {
        let claim = spec.claim.as_deref().unwrap_or_default();
        let detail = format!("the claim {claim} can only be read in its cluster");
        return vec![Finding::problem(name, detail, "run it in the cluster, or give the folder as `path`")];
    };
    let folder = match open(path) {
        Ok(folder) => folder,
        Err((detail, fix)) => return vec![Finding::problem(name, detail, fix)],
    };
    let mut findings = vec![reach(name, path, &folder)];
    if let Err(error) = Excludes::new(&spec.exclude) {
        findings.push(Finding::problem(name, error.to_string(), "correct the pattern in the stack file"));
        return findings;
    }
    findings.push(contents(name, path, spec, &folder, cx).await);
    findings.extend([attributes(name, path, &folder), in_place(name, path, &folder)]);
    findings
}

fn open(path: &Path) -> Result<Folder, (String, String)> {
    let shown = path.display();
    Folder::open(path).map_err(|errno| match errno {
        Errno::NOENT => (format!("{shown} does not exist"), "correct `path`, or mount the volume".to_owned()),
        Errno::NOTDIR => (format!("{shown} is not a folder"), "name the folder that holds the files".to_owned()),
        Errno::ACCESS => (format!("{shown} may not be read by this user"), "run drydock as root".to_owned()),
        errno => (format!("{shown} cannot be opened: {errno}"), "look at the disk and its mount".to_owned()),
    })
}

fn reach(name: &str, path: &Path, folder: &Folder) -> Finding {
    let shown = path.display();
    if rustix::process::geteuid().is_root() {
        return Finding::good(name, format!("{shown} is a folder, read as root"));
    }
    match accessat(folder, c".", Access::READ_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Finding::warning(
            name,
            format!("{shown} is read without root: a file that its owner has closed would fail the snapshot"),
            "run drydock as root; a restore without root cannot bring back owners and devices",
        ),
        Err(errno) => {
            Finding::problem(name, format!("{shown} may not be read by this user: {errno}"), "run drydock as root")
        }
    }
}

/// Size and count, and whether a second copy fits beside the first.
async fn contents(name: &str, path: &Path, spec: &VolumeSpec, folder: &Folder, cx: &Context) -> Finding {
    let size = match estimate(path, spec, cx).await {
        Ok(size) => size,
        Err(error) => return unlisted(name, &error),
    };
    let free = match fstatvfs(folder) {
        Ok(free) => free,
        Err(errno) => {
            let detail = format!("the free space of {} cannot be asked for: {errno}", path.display());
            return Finding::warning(name, detail, "look at the file system");
        }
    };
    let free_bytes = free.f_bavail.saturating_mul(free.f_frsize);
    let held = format!("{} files, {} MiB; {} MiB are free", size.items, size.bytes >> 20, free_bytes >> 20);
    if size.bytes > free_bytes {
        let fix = "make room for a second copy, or restore to another file system with `--to DIR`";
        return Finding::warning(name, format!("{held}: too little for an in-place restore"), fix);
    }
    if free.f_files > 0 && size.items > free.f_favail {
        let detail = format!("{held}, but only {} inodes: too few for an in-place restore", free.f_favail);
        return Finding::warning(name, detail, "restore to another file system with `--to DIR`");
    }
    Finding::good(name, format!("{held}, enough for an in-place restore"))
}

fn unlisted(name: &str, error: &VolumeError) -> Finding {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let fix = "run drydock as root, or leave it out with `exclude`";
    Finding::problem(name, format!("{error}{cause}"), fix)
}

fn attributes(name: &str, path: &Path, folder: &Folder) -> Finding {
    match fgetxattr(folder, c"user.drydock.probe", &mut [0; 1][..]) {
        Err(Errno::NOTSUP) => Finding::warning(
            name,
            format!("the file system of {} keeps no extended attributes", path.display()),
            "nothing to do unless a restore brings files that have some: they would be reported as differences",
        ),
        _ => Finding::good(name, "extended attributes and ACLs are kept"),
    }
}

/// Mounts inside the volume, half-done in-place restores, a file system that cannot be written.
fn in_place(name: &str, path: &Path, folder: &Folder) -> Finding {
    if let Some(mount) = super::mounts::inside(path) {
        let detail = format!("{} is mounted inside the volume: it cannot be restored in place", mount.display());
        return Finding::warning(name, detail, "unmount it for an in-place restore, or restore with `--to DIR`");
    }
    match accessat(folder, c".", Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => Finding::good(name, "it can be restored in place"),
        Err(errno) => {
            let detail = format!("{} cannot be written, so not restored in place: {errno}", path.display());
            Finding::warning(name, detail, "mount it read-write and run drydock as root, or restore with `--to DIR`")
        }
    }
}

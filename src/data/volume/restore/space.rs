//! Whether it will fit, asked before anything is written.

use std::collections::HashSet;

use rustix::fs::fstatvfs;

use crate::data::Estimate;
use crate::repository::{BlobId, BlobKind, Node, NodeKind};

use super::super::VolumeError;
use super::super::folder::Folder;
use super::Restore;

/// What a snapshot needs of a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Size {
    /// All files' lengths.
    pub content_bytes: u64,
    /// Entries of all folders.
    pub entries: u64,
    /// What the files occupy, in whole blocks, without the holes that are known.
    pub disk_bytes: u64,
    pub inodes: u64,
}

/// Common file systems give out space in blocks of this size.
const BLOCK: u64 = 4 << 10;

/// Walks all trees once.
pub(in super::super) fn needed(restore: &Restore) -> Result<Size, VolumeError> {
    let mut size = Size::default();
    let mut linked = HashSet::new();
    let mut folders = vec![restore.tree];
    while let Some(tree) = folders.pop() {
        restore.stop.check()?;
        restore.trees.each(&tree, |node| {
            size.entries += 1;
            let is_new = node.links < 2 || linked.insert((node.device_id, node.inode));
            size.inodes += u64::from(is_new);
            match &node.kind {
                NodeKind::Dir { subtree } => {
                    size.disk_bytes += BLOCK;
                    folders.push(*subtree);
                }
                NodeKind::File { content, bytes } => {
                    size.content_bytes += bytes;
                    if is_new {
                        let data = bytes.saturating_sub(holes(restore, &node, content)?);
                        size.disk_bytes += data.next_multiple_of(BLOCK);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(size)
}

/// Bytes of blobs that are all zeros. Only a blob that comes twice in a row is looked at: a long hole is the same chunk
/// over and over, and hashing zeros of every blob's length would cost as much as reading the files.
fn holes(restore: &Restore, node: &Node, content: &[BlobId]) -> Result<u64, VolumeError> {
    if !content.array_windows().any(|[a, b]| a == b) {
        return Ok(0);
    }
    let lengths = lengths(restore, node, content)?;
    let (mut zeros, mut after_zeros) = (0, false);
    for (at, id) in content.iter().enumerate() {
        let comes_again = content.get(at + 1) == Some(id) || (at > 0 && content[at - 1] == *id);
        // the end of a hole is a shorter chunk
        after_zeros = (comes_again || after_zeros) && restore.zeros.is(id, lengths[at]);
        if after_zeros {
            zeros += lengths[at];
        }
    }
    Ok(zeros)
}

/// The lengths of a file's blobs.
///
/// # Errors
/// `Length` when they are not as long together as the snapshot says that the file is.
pub(in super::super) fn lengths(restore: &Restore, node: &Node, content: &[BlobId]) -> Result<Vec<u64>, VolumeError> {
    let lengths = restore.stop.wait(restore.repository.lengths(BlobKind::Data, content))?;
    let found = lengths.iter().sum();
    match node.kind {
        NodeKind::File { bytes, .. } if bytes != found => {
            Err(VolumeError::Length { path: super::super::path::shown(&node.name), recorded: bytes, found })
        }
        _ => Ok(lengths),
    }
}

/// Refuses where it cannot fit.
pub(in super::super) fn check(size: &Size, folder: &Folder) -> Result<(), VolumeError> {
    let free = fstatvfs(folder).map_err(VolumeError::file("ask for the free space of", b"."))?;
    // root may use what is set aside for it
    let blocks = if rustix::process::geteuid().is_root() { free.f_bfree } else { free.f_bavail };
    let free_bytes = blocks.saturating_mul(free.f_frsize);
    if size.disk_bytes > free_bytes {
        return Err(VolumeError::NoSpace { path: target_name(folder), needed_bytes: size.disk_bytes, free_bytes });
    }
    // 0 in all: a file system that makes inodes as it needs them
    if free.f_files > 0 && size.inodes > free.f_ffree {
        return Err(VolumeError::NoInodes { path: target_name(folder), needed: size.inodes, free: free.f_ffree });
    }
    Ok(())
}

/// Why [`check`] would refuse. What is recorded knows no holes, so the trees decide where that does not fit.
pub(in super::super) fn refuse_too_small(
    restore: &Restore,
    recorded: Estimate,
    folder: &Folder,
) -> Result<Option<VolumeError>, VolumeError> {
    let at_most = Size {
        content_bytes: recorded.bytes,
        entries: recorded.items,
        disk_bytes: recorded.bytes.saturating_add(recorded.items.saturating_mul(BLOCK)),
        inodes: recorded.items,
    };
    let refused = |result: Result<(), VolumeError>| match result {
        Ok(()) => Ok(None),
        Err(error @ (VolumeError::NoSpace { .. } | VolumeError::NoInodes { .. })) => Ok(Some(error)),
        Err(error) => Err(error),
    };
    match refused(check(&at_most, folder))? {
        None => Ok(None),
        Some(_) => refused(check(&needed(restore)?, folder)),
    }
}

/// The folder's path as the kernel knows it.
fn target_name(folder: &Folder) -> String {
    let link = String::from_utf8_lossy(&folder.proc_path(b"")).trim_end_matches('/').to_owned();
    std::fs::read_link(link).map_or_else(|_| "the target".into(), |path| path.display().to_string())
}

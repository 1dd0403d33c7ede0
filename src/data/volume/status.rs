//! What `statx` says of one entry, in the words of the tree.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::io::Errno;

use crate::repository::{Node, NodeKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    File,
    Folder,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
}

impl Kind {
    fn of_mode(mode: u16) -> Self {
        match u32::from(mode) & 0o170_000 {
            0o040_000 => Self::Folder,
            0o120_000 => Self::Symlink,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            _ => Self::File,
        }
    }

    pub(super) fn of(kind: &NodeKind) -> Self {
        match kind {
            NodeKind::File { .. } => Self::File,
            NodeKind::Dir { .. } => Self::Folder,
            NodeKind::Symlink { .. } => Self::Symlink,
            NodeKind::Fifo => Self::Fifo,
            NodeKind::Socket => Self::Socket,
            NodeKind::CharDevice { .. } => Self::CharDevice,
            NodeKind::BlockDevice { .. } => Self::BlockDevice,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Symlink => "symbolic link",
            Self::Fifo => "FIFO",
            Self::Socket => "socket",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub kind: Kind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub inode: u64,
    /// The file system that it lies on.
    pub device: u64,
    /// What a device node stands for.
    pub represents: u64,
    pub links: u64,
    pub bytes: u64,
    /// What it occupies, in units of 512 bytes.
    pub blocks: u64,
    pub mtime_ns: i128,
    pub atime_ns: i128,
    pub ctime_ns: i128,
    /// When the inode was made; 0 where the file system does not keep it.
    pub born_ns: i128,
}

impl Status {
    /// Of the entry `name` of `folder`, which is not followed when it is a link.
    pub(super) fn of_entry(folder: impl AsFd, name: &[u8]) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(folder, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME).map(|s| Self::from(&s))
    }

    pub(super) fn of_open(fd: impl AsFd) -> Result<Self, Errno> {
        statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME).map(|s| Self::from(&s))
    }

    /// Nothing that a write, a truncation or a change of metadata leaves alone.
    pub(super) fn same_state(&self, other: &Self) -> bool {
        self.inode == other.inode
            && self.bytes == other.bytes
            && self.mtime_ns == other.mtime_ns
            && self.ctime_ns == other.ctime_ns
    }

    /// Whether `node`, read by an earlier capture, still describes this: restic's own rule.
    pub(super) fn is_unchanged_since(&self, node: &Node) -> bool {
        let same_size = match node.kind {
            NodeKind::File { bytes, .. } => bytes == self.bytes,
            _ => true,
        };
        Kind::of(&node.kind) == self.kind
            && same_size
            && node.inode == self.inode
            && node.mtime_ns == self.mtime_ns
            && node.ctime_ns == self.ctime_ns
    }

    /// Occupies less than its length: it has holes (or is compressed by its file system, which does no harm here).
    pub(super) fn is_sparse(&self) -> bool {
        self.blocks.saturating_mul(512) < self.bytes
    }
}

impl From<&Statx> for Status {
    fn from(s: &Statx) -> Self {
        Self {
            kind: Kind::of_mode(s.stx_mode),
            mode: u32::from(s.stx_mode) & 0o7777,
            uid: s.stx_uid,
            gid: s.stx_gid,
            inode: s.stx_ino,
            device: makedev(s.stx_dev_major, s.stx_dev_minor),
            represents: makedev(s.stx_rdev_major, s.stx_rdev_minor),
            links: u64::from(s.stx_nlink),
            bytes: s.stx_size,
            blocks: s.stx_blocks,
            mtime_ns: nanoseconds(&s.stx_mtime),
            atime_ns: nanoseconds(&s.stx_atime),
            ctime_ns: nanoseconds(&s.stx_ctime),
            born_ns: nanoseconds(&s.stx_btime),
        }
    }
}

fn nanoseconds(time: &StatxTimestamp) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

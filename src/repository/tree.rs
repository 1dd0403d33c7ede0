//! Trees and nodes as restic's JSON: one folder a tree, one entry a node, sorted by name as bytes.
//! Source: restic 0.14 `internal/restic/node.go` and `tree.go`; `linktarget_raw` since 0.16.

use super::{BlobId, TreeId};

/// What an entry of a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    File { content: Vec<BlobId>, bytes: u64 },
    Dir { subtree: TreeId },
    Symlink { target: Vec<u8> },
    Fifo,
    Socket,
    CharDevice { device: u64 },
    BlockDevice { device: u64 },
}

/// One entry of a folder. Names are bytes, as the file system has them (restic's JSON quotes what is not UTF-8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: Vec<u8>,
    pub kind: NodeKind,
    /// Unix permission bits including set-uid, set-gid and sticky (0o7777); Go's `FileMode` bits in the JSON.
    pub mode: u32,
    /// Nanoseconds since the epoch.
    pub mtime_ns: i128,
    pub atime_ns: i128,
    pub ctime_ns: i128,
    pub uid: u32,
    pub gid: u32,
    pub user: String,
    pub group: String,
    pub inode: u64,
    pub device_id: u64,
    pub links: u64,
    /// Name and value, as the file system has them; POSIX ACLs are `system.posix_acl_access` and `…_default`.
    pub extended_attributes: Vec<(String, Vec<u8>)>,
}

/// One folder's entries, sorted by name as bytes; [`Writer::tree`](super::Writer::tree) refuses others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub nodes: Vec<Node>,
}

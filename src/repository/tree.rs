//! Trees and nodes as restic's JSON: one folder a tree, one entry a node, sorted by name as bytes, byte for byte what
//! restic writes, so that both store an unchanged folder once. Refuses trees whose names could lead out of the folder
//! that they are restored into.
//! Source: restic 0.14 `internal/restic/node.go` and `tree.go`; `linktarget_raw` since 0.16.

mod json_read;
mod json_write;
#[cfg(test)]
mod tests;

pub use json_write::TreeBuilder;

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
    /// Nanoseconds since the epoch; years before 0 and after 9999 are stored as 0 and 9999, as restic does.
    pub mtime_ns: i128,
    pub atime_ns: i128,
    pub ctime_ns: i128,
    pub uid: u32,
    pub gid: u32,
    pub user: String,
    pub group: String,
    pub inode: u64,
    pub device_id: u64,
    /// Names of the same inode; restic leaves it 0 for folders, FIFOs and sockets.
    pub links: u64,
    /// Name and value, as the file system has them; POSIX ACLs are `system.posix_acl_access` and `…_default`.
    pub extended_attributes: Vec<(String, Vec<u8>)>,
}

/// One folder's entries, sorted by name as bytes; [`Writer::tree`](super::Writer::tree) refuses others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub nodes: Vec<Node>,
}

/// Why bytes are no tree, or nodes cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("its JSON cannot be read: {0}")]
    Json(String),
    #[error("the name `{0}` can be no entry of a folder")]
    Name(String),
    #[error("`{name}` does not come after `{previous}`: entries must be sorted by name, each name once")]
    Order { previous: String, name: String },
    #[error("the entry `{name}` {how}")]
    Node { name: String, how: String },
}

impl Tree {
    /// The tree's blob: what is hashed, stored and read by restic.
    ///
    /// # Errors
    /// When names are not fit for a folder, not sorted or not unique.
    pub fn to_json(&self) -> Result<Vec<u8>, TreeError> {
        let mut builder = TreeBuilder::with_capacity(json_write::estimate(&self.nodes));
        self.nodes.iter().try_for_each(|node| builder.push(node))?;
        Ok(builder.finish())
    }

    /// Reads a tree's blob. Fields that newer programs write are passed over.
    ///
    /// # Errors
    /// When it is not a tree, or one that must not be restored: names that are empty, `.`, `..`, hold `/` or NUL, come
    /// twice or out of order.
    pub fn from_json(json: &[u8]) -> Result<Self, TreeError> {
        let mut nodes = Vec::new();
        Self::each(json, |node| {
            nodes.push(node);
            Ok(())
        })?;
        Ok(Self { nodes })
    }

    /// As [`Self::from_json`], one entry after the other, so that a folder of a million entries is never in memory as
    /// nodes. What was handed to `take` before an error was found must not be relied upon.
    ///
    /// # Errors
    /// As [`Self::from_json`], and what `take` returns.
    pub fn each<E: From<TreeError>>(json: &[u8], take: impl FnMut(Node) -> Result<(), E>) -> Result<(), E> {
        json_read::each(json, take)
    }

    /// The entry of that name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.binary_search_by(|node| node.name.as_slice().cmp(name)).ok().map(|at| &self.nodes[at])
    }
}

/// Holds the names of one folder to what a folder can hold: read and write share it.
#[derive(Debug, Default)]
struct Names {
    last: Vec<u8>,
}

impl Names {
    /// `/` and NUL are in no file name, the empty one, `.` and `..` mean something else: following one of them would
    /// lead a restore out of its target.
    fn admit(&mut self, name: &[u8]) -> Result<(), TreeError> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|b| matches!(b, b'/' | 0)) {
            return Err(TreeError::Name(text(name)));
        }
        if name <= self.last.as_slice() {
            return Err(TreeError::Order { previous: text(&self.last), name: text(name) });
        }
        self.last.clear();
        self.last.extend_from_slice(name);
        Ok(())
    }
}

/// Go's `os.FileMode`: permissions in the low nine bits, the rest in bits of its own. Source: Go `io/fs/fs.go`.
mod go_mode {
    pub const DIR: u32 = 1 << 31;
    pub const SYMLINK: u32 = 1 << 27;
    pub const DEVICE: u32 = 1 << 26;
    pub const NAMED_PIPE: u32 = 1 << 25;
    pub const SOCKET: u32 = 1 << 24;
    pub const CHAR_DEVICE: u32 = 1 << 21;
    /// Unix bit, Go bit.
    pub const SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
}

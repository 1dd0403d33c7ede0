//! The JSON that restic's `TreeJSONBuilder` makes, in its order of fields, straight into one buffer.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::super::golang::{push_json_string, push_quoted, push_time};
use super::{Names, Node, NodeKind, TreeError, go_mode};

/// A tree's JSON while it grows: for folders of so many entries that their nodes and their JSON should not be in memory
/// at once (about 230 and 450 bytes an entry).
#[derive(Debug)]
pub struct TreeBuilder {
    json: Vec<u8>,
    names: Names,
    quoted: Vec<u8>,
}

impl Default for TreeBuilder {
    fn default() -> Self {
        Self::with_capacity(1024)
    }
}

impl TreeBuilder {
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut json = Vec::with_capacity(bytes);
        json.extend_from_slice(HEAD);
        Self { json, names: Names::default(), quoted: Vec::new() }
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// When its name is not fit for a folder or does not come after the last one's.
    pub fn push(&mut self, node: &Node) -> Result<(), TreeError> {
        self.names.admit(&node.name)?;
        if self.json.len() > HEAD.len() {
            self.json.push(b',');
        }
        self.quoted.clear();
        push_quoted(&mut self.quoted, &node.name);
        push_node(&mut self.json, node, &self.quoted);
        Ok(())
    }

    /// The tree's blob.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.json.extend_from_slice(b"]}\n");
        self.json
    }
}

const HEAD: &[u8] = b"{\"nodes\":[";

/// Somewhat more than the JSON will take, so that a large buffer is not grown and copied.
pub fn estimate(nodes: &[Node]) -> usize {
    let one = |node: &Node| {
        let content = match &node.kind {
            NodeKind::File { content, .. } => 67 * content.len(),
            NodeKind::Dir { .. } => 80,
            NodeKind::Symlink { target } => 30 + target.len(),
            _ => 0,
        };
        let attributes: usize = node.extended_attributes.iter().map(|(n, v)| 40 + n.len() + v.len() * 4 / 3).sum();
        400 + node.name.len() + node.user.len() + node.group.len() + content + attributes
    };
    nodes.iter().map(one).sum::<usize>() + 64
}

fn push_node(out: &mut Vec<u8>, node: &Node, quoted_name: &[u8]) {
    let (kind, type_bits) = kind_name(&node.kind);
    out.extend_from_slice(b"{\"name\":");
    push_json_string(out, quoted_name);
    text(out, ",\"type\":", kind);
    number(out, ",\"mode\":", u64::from(to_go_mode(node.mode) | type_bits));
    for (key, ns) in [(",\"mtime\":", node.mtime_ns), (",\"atime\":", node.atime_ns), (",\"ctime\":", node.ctime_ns)] {
        out.extend_from_slice(key.as_bytes());
        push_time(out, ns);
    }
    always(out, ",\"uid\":", u64::from(node.uid));
    always(out, ",\"gid\":", u64::from(node.gid));
    text(out, ",\"user\":", &node.user);
    text(out, ",\"group\":", &node.group);
    number(out, ",\"inode\":", node.inode);
    number(out, ",\"device_id\":", node.device_id);
    if let NodeKind::File { bytes, .. } = node.kind {
        number(out, ",\"size\":", bytes);
    }
    number(out, ",\"links\":", node.links);
    if let NodeKind::Symlink { target } = &node.kind {
        push_target(out, target);
    }
    push_attributes(out, &node.extended_attributes);
    if let NodeKind::CharDevice { device } | NodeKind::BlockDevice { device } = node.kind {
        number(out, ",\"device\":", device);
    }
    push_content(out, &node.kind);
    out.push(b'}');
}

/// restic's name of the kind and Go's type bits.
fn kind_name(kind: &NodeKind) -> (&'static str, u32) {
    match kind {
        NodeKind::File { .. } => ("file", 0),
        NodeKind::Dir { .. } => ("dir", go_mode::DIR),
        NodeKind::Symlink { .. } => ("symlink", go_mode::SYMLINK),
        NodeKind::Fifo => ("fifo", go_mode::NAMED_PIPE),
        NodeKind::Socket => ("socket", go_mode::SOCKET),
        NodeKind::CharDevice { .. } => ("chardev", go_mode::DEVICE | go_mode::CHAR_DEVICE),
        NodeKind::BlockDevice { .. } => ("dev", go_mode::DEVICE),
    }
}

fn to_go_mode(mode: u32) -> u32 {
    go_mode::SPECIAL.iter().filter(|(unix, _)| mode & unix != 0).fold(mode & 0o777, |go, (_, bit)| go | bit)
}

/// A target that is not UTF-8 is kept whole in `linktarget_raw`, which restic knows since 0.16; `linktarget` then holds
/// what Go's encoder makes of it.
fn push_target(out: &mut Vec<u8>, target: &[u8]) {
    if target.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"linktarget\":");
    push_json_string(out, target);
    if std::str::from_utf8(target).is_err() {
        out.extend_from_slice(b",\"linktarget_raw\":");
        base64(out, target);
    }
}

fn push_attributes(out: &mut Vec<u8>, attributes: &[(String, Vec<u8>)]) {
    for (i, (name, value)) in attributes.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b",\"extended_attributes\":[{\"name\":" } else { b",{\"name\":" });
        push_json_string(out, name.as_bytes());
        out.extend_from_slice(b",\"value\":");
        base64(out, value);
        out.push(b'}');
    }
    if !attributes.is_empty() {
        out.push(b']');
    }
}

/// `[]` for an empty file, `null` for what has no content; a folder's subtree comes after it.
fn push_content(out: &mut Vec<u8>, kind: &NodeKind) {
    match kind {
        NodeKind::File { content, .. } => {
            out.extend_from_slice(b",\"content\":[");
            for (i, blob) in content.iter().enumerate() {
                out.extend_from_slice(if i == 0 { b"\"" } else { b",\"" });
                hex(out, &blob.0);
                out.push(b'"');
            }
            out.push(b']');
        }
        NodeKind::Dir { subtree } => {
            out.extend_from_slice(b",\"content\":null,\"subtree\":\"");
            hex(out, &subtree.0);
            out.push(b'"');
        }
        _ => out.extend_from_slice(b",\"content\":null"),
    }
}

/// A field that Go leaves out when it is empty.
fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    if !value.is_empty() {
        out.extend_from_slice(key.as_bytes());
        push_json_string(out, value.as_bytes());
    }
}

/// A field that Go leaves out when it is 0.
fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    if value != 0 {
        always(out, key, value);
    }
}

fn always(out: &mut Vec<u8>, key: &str, mut value: u64) {
    out.extend_from_slice(key.as_bytes());
    let start = out.len();
    loop {
        out.push(b"0123456789"[(value % 10) as usize]);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out[start..].reverse();
}

fn base64(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64_STANDARD.encode(value).as_bytes());
    out.push(b'"');
}

fn hex(out: &mut Vec<u8>, id: &[u8; 32]) {
    let start = out.len();
    out.resize(start + 64, 0);
    hex::encode_to_slice(id, &mut out[start..]).expect("64 digits hold 32 bytes");
}

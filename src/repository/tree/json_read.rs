//! Reads a tree's JSON entry by entry.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::golang::{parse_time, unquote};
use super::super::{BlobId, TreeId};
use super::{Names, Node, NodeKind, TreeError, go_mode};

pub fn each<E: From<TreeError>>(json: &[u8], mut take: impl FnMut(Node) -> Result<(), E>) -> Result<(), E> {
    let mut stopped = None;
    let mut names = Names::default();
    let mut admit = |raw: RawNode<'_>| -> Result<(), E> {
        let node = raw.into_node()?;
        names.admit(&node.name)?;
        take(node)
    };
    let mut parser = serde_json::Deserializer::from_slice(json);
    let whole =
        TreeSeed { take: &mut admit, stopped: &mut stopped }.deserialize(&mut parser).and_then(|()| parser.end());
    match (stopped, whole) {
        (Some(error), _) => Err(error),
        (None, whole) => whole.map_err(|error| TreeError::Json(error.to_string()).into()),
    }
}

/// A node's fields as they are in the JSON. Unknown ones (`generic_attributes` of Windows, whatever comes) are passed
/// over; `error`, which old versions wrote into nodes that they could not read whole, too: the missing content says it.
#[derive(Deserialize)]
struct RawNode<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    mode: u32,
    #[serde(borrow, default)]
    mtime: Option<Text<'a>>,
    #[serde(borrow, default)]
    atime: Option<Text<'a>>,
    #[serde(borrow, default)]
    ctime: Option<Text<'a>>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    user: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    inode: u64,
    #[serde(default)]
    device_id: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    links: u64,
    #[serde(borrow, default)]
    linktarget: Cow<'a, str>,
    #[serde(borrow, default)]
    linktarget_raw: Option<Text<'a>>,
    #[serde(borrow, default)]
    extended_attributes: Option<Vec<RawAttribute<'a>>>,
    #[serde(default)]
    device: u64,
    #[serde(default)]
    content: Option<Vec<BlobId>>,
    #[serde(default)]
    subtree: Option<TreeId>,
}

/// Text that lies in the JSON as it is and needs no copy; serde borrows inside an `Option` only through a type of our own.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct RawAttribute<'a> {
    name: String,
    #[serde(borrow, default)]
    value: Option<Text<'a>>,
}

impl RawNode<'_> {
    fn into_node(mut self) -> Result<Node, TreeError> {
        let Some(name) = unquote(&self.name) else { return Err(self.error("has a name that is not quoted right")) };
        let attributes = self.extended_attributes.take().unwrap_or_default();
        let extended_attributes = attributes
            .into_iter()
            .map(|a| Some((a.name, BASE64_STANDARD.decode(a.value.as_ref().map_or("", |v| &*v.0)).ok()?)))
            .collect::<Option<_>>()
            .ok_or_else(|| self.error("has an extended attribute that is not base64"))?;
        Ok(Node {
            name,
            kind: self.kind()?,
            mode: from_go_mode(self.mode),
            mtime_ns: self.time(self.mtime.as_ref())?,
            atime_ns: self.time(self.atime.as_ref())?,
            ctime_ns: self.time(self.ctime.as_ref())?,
            uid: self.uid,
            gid: self.gid,
            user: self.user,
            group: self.group,
            inode: self.inode,
            device_id: self.device_id,
            links: self.links,
            extended_attributes,
        })
    }

    fn kind(&mut self) -> Result<NodeKind, TreeError> {
        Ok(match &*self.kind {
            "file" => {
                let content = self.content.take().unwrap_or_default();
                if content.is_empty() && self.size != 0 {
                    return Err(self.error(&format!("has {} bytes and no content", self.size)));
                }
                NodeKind::File { content, bytes: self.size }
            }
            "dir" => {
                NodeKind::Dir { subtree: self.subtree.ok_or_else(|| self.error("is a folder and names no tree"))? }
            }
            "symlink" => NodeKind::Symlink { target: self.target()? },
            "fifo" => NodeKind::Fifo,
            "socket" => NodeKind::Socket,
            "chardev" => NodeKind::CharDevice { device: self.device },
            "dev" => NodeKind::BlockDevice { device: self.device },
            other => return Err(self.error(&format!("is of the kind `{other}`, which cannot be restored"))),
        })
    }

    fn target(&self) -> Result<Vec<u8>, TreeError> {
        match &self.linktarget_raw {
            None => Ok(self.linktarget.as_bytes().to_vec()),
            Some(raw) => {
                BASE64_STANDARD.decode(&*raw.0).map_err(|_| self.error("has a link target that is not base64"))
            }
        }
    }

    /// Without a time Go reads its zero, which is the year 1.
    fn time(&self, text: Option<&Text<'_>>) -> Result<i128, TreeError> {
        const GO_ZERO_NS: i128 = -62_135_596_800_000_000_000;
        text.map_or(Ok(GO_ZERO_NS), |t| parse_time(&t.0).ok_or_else(|| self.error(&format!("has the time `{}`", t.0))))
    }

    fn error(&self, how: &str) -> TreeError {
        TreeError::Node { name: self.name.to_string(), how: how.to_owned() }
    }
}

fn from_go_mode(mode: u32) -> u32 {
    go_mode::SPECIAL.iter().filter(|(_, go)| mode & go != 0).fold(mode & 0o777, |unix, (bit, _)| unix | bit)
}

/// `{"nodes": […]}`: hands each entry on as soon as it is read. An error of `take` ends the parse and is kept aside,
/// because serde's errors carry text only.
struct TreeSeed<'t, F, E> {
    take: &'t mut F,
    stopped: &'t mut Option<E>,
}

impl<'de, F: FnMut(RawNode<'de>) -> Result<(), E>, E> DeserializeSeed<'de> for TreeSeed<'_, F, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(RawNode<'de>) -> Result<(), E>, E> Visitor<'de> for TreeSeed<'_, F, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tree")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = false;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key != "nodes" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if std::mem::replace(&mut seen, true) {
                return Err(serde::de::Error::duplicate_field("nodes"));
            }
            map.next_value_seed(NodesSeed { take: &mut *self.take, stopped: &mut *self.stopped })?;
        }
        if seen { Ok(()) } else { Err(serde::de::Error::missing_field("nodes")) }
    }
}

struct NodesSeed<'t, F, E> {
    take: &'t mut F,
    stopped: &'t mut Option<E>,
}

impl<'de, F: FnMut(RawNode<'de>) -> Result<(), E>, E> DeserializeSeed<'de> for NodesSeed<'_, F, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, F: FnMut(RawNode<'de>) -> Result<(), E>, E> Visitor<'de> for NodesSeed<'_, F, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of nodes")
    }

    /// Go writes a list that was never made as `null`.
    fn visit_none<D: serde::de::Error>(self) -> Result<(), D> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut nodes: A) -> Result<(), A::Error> {
        while let Some(node) = nodes.next_element::<RawNode<'de>>()? {
            if let Err(error) = (self.take)(node) {
                *self.stopped = Some(error);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

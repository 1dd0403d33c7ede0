//! Index files' JSON. Source: restic `doc/design.rst`, "Indexing".

use serde::{Deserialize, Serialize};

use crate::repository::pack::PackedBlob;
use crate::repository::{BlobId, BlobKind, IndexId, PackId};

/// One index file: packs and the blobs in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexFile {
    /// Files that this one replaces; they may be gone already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<IndexId>,
    pub packs: Vec<IndexPack>,
}

/// One pack as an index lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPack {
    pub id: PackId,
    pub blobs: Vec<PackedBlob>,
}

#[derive(Serialize, Deserialize)]
struct BlobJson {
    id: BlobId,
    r#type: KindJson,
    offset: u32,
    length: u32,
    /// restic leaves it out where it is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uncompressed_length: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindJson {
    Data,
    Tree,
}

impl Serialize for PackedBlob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let r#type = match self.kind {
            BlobKind::Data => KindJson::Data,
            BlobKind::Tree => KindJson::Tree,
        };
        let Self { id, offset, length, uncompressed, .. } = *self;
        BlobJson { id, r#type, offset, length, uncompressed_length: uncompressed }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PackedBlob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let BlobJson { id, r#type, offset, length, uncompressed_length } = BlobJson::deserialize(deserializer)?;
        let kind = match r#type {
            KindJson::Data => BlobKind::Data,
            KindJson::Tree => BlobKind::Tree,
        };
        Ok(Self { kind, id, offset, length, uncompressed: uncompressed_length.filter(|&length| length != 0) })
    }
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// restic's `doc/design.rst`, shortened.
    const EXAMPLE: &str = r#"{
      "supersedes": ["ed54ae36197f4745ebc4b54d10e0f623eaaaedd03013eb7ae90df881b7781452"],
      "packs": [{
        "id": "73d04e6125cf3c28a299cc2f3cca3b78ceac396e4fcf9575e34536b26782413c",
        "blobs": [
          {"id": "3ec79977ef0cf5de7b08cd12b874cd0f62bbaf7f07f3497a5b1bbcc8cb39b1ce", "type": "data", "offset": 0, "length": 38},
          {"id": "9ccb846e60d90d4eb915848add7aa7ea1e4bbabfc60e573db9f7bfb2789afbae", "type": "tree", "offset": 38,
           "length": 112, "uncompressed_length": 511}]}]}"#;

    #[test]
    fn the_design_documents_example_is_read_and_written_again() {
        let file: IndexFile = serde_json::from_str(EXAMPLE).unwrap();
        let blobs = &file.packs[0].blobs;
        assert_eq!(file.supersedes.len(), 1);
        assert_eq!((blobs[0].kind, blobs[0].length, blobs[0].uncompressed), (BlobKind::Data, 38, None));
        assert_eq!((blobs[1].kind, blobs[1].offset, blobs[1].uncompressed), (BlobKind::Tree, 38, Some(511)));
        let without_spaces: String = EXAMPLE.split_whitespace().collect();
        assert_eq!(serde_json::to_string(&file).unwrap(), without_spaces);
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for json in [
            r#"{"packs":[{"id":"73","blobs":[]}]}"#,
            r#"{"packs":[{"blobs":[]}]}"#,
            &EXAMPLE.replace("\"tree\"", "\"forest\""),
            &EXAMPLE.replace("\"offset\": 0", "\"offset\": -1"),
            &EXAMPLE.replace("\"length\": 38", "\"length\": 4294967296"),
            "[]",
        ] {
            assert!(serde_json::from_str::<IndexFile>(json).is_err(), "{json}");
        }
    }

    fn pack() -> impl Strategy<Value = IndexPack> {
        let blob = any::<([u8; 32], bool, u32, u32, Option<std::num::NonZeroU32>)>().prop_map(
            |(id, tree, offset, length, uncompressed)| PackedBlob {
                kind: if tree { BlobKind::Tree } else { BlobKind::Data },
                id: BlobId(id),
                offset,
                length,
                uncompressed: uncompressed.map(Into::into),
            },
        );
        (any::<[u8; 32]>(), prop::collection::vec(blob, 0..4))
            .prop_map(|(id, blobs)| IndexPack { id: PackId(id), blobs })
    }

    proptest! {
        #[test]
        fn any_index_survives_json(
            packs in prop::collection::vec(pack(), 0..4),
            supersedes: [[u8; 32]; 3],
        ) {
            let file = IndexFile { supersedes: supersedes.into_iter().map(IndexId).collect(), packs };
            let json = serde_json::to_vec(&file).unwrap();
            prop_assert_eq!(serde_json::from_slice::<IndexFile>(&json).unwrap(), file);
        }
    }
}

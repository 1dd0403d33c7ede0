//! Packs: sealed blobs one after the other, then their sealed header and its length. Owns that layout.
//! Source: restic `doc/design.rst`, "Pack Format".

use sha2::{Digest, Sha256};

use super::crypto::{Cipher, OVERHEAD};
use super::{BlobId, BlobKind, PackId};

/// Where a blob lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedBlob {
    pub kind: BlobKind,
    pub id: BlobId,
    pub offset: u32,
    /// Sealed: nonce, ciphertext and MAC.
    pub length: u32,
    /// Bytes after decompression; `None` when it is stored as it is.
    pub uncompressed: Option<u32>,
}

impl PackedBlob {
    /// Bytes of the blob itself.
    #[must_use]
    pub fn plain_length(&self) -> u32 {
        self.uncompressed.unwrap_or(self.length.saturating_sub(OVERHEAD as u32))
    }
}

/// Bytes of the header's length at the very end.
pub const LENGTH_FIELD: usize = 4;

/// restic reads no larger header.
const MAX_HEADER: usize = 16 << 20;

/// A pack is closed when it has this many bytes: restic's default, and an S3 PUT of under a second at 20 MB/s.
pub const TARGET: usize = 16 << 20;

/// … or this many blobs: one index file's worth, and a header of 2 MB. Half a million blobs of a few bytes would fit,
/// but their header would be larger than restic reads.
pub const MAX_BLOBS: usize = 50_000;

/// One that is being filled.
#[derive(Debug, Default)]
pub struct OpenPack {
    pub bytes: Vec<u8>,
    pub blobs: Vec<PackedBlob>,
}

impl OpenPack {
    /// Appends a blob that is sealed already.
    pub fn push(&mut self, kind: BlobKind, id: BlobId, sealed: &[u8], uncompressed: Option<u32>) {
        let offset = u32::try_from(self.bytes.len()).expect("packs are closed long before 4 GiB");
        let length = u32::try_from(sealed.len()).expect("blobs are far smaller than 4 GiB");
        self.bytes.extend_from_slice(sealed);
        self.blobs.push(PackedBlob { kind, id, offset, length, uncompressed });
    }

    pub fn is_full(&self) -> bool {
        self.bytes.len() >= TARGET || self.blobs.len() >= MAX_BLOBS
    }

    /// Whether both together make one pack of the usual size.
    pub fn has_room_for(&self, other: &Self) -> bool {
        self.bytes.len() + other.bytes.len() <= TARGET && self.blobs.len() + other.blobs.len() <= MAX_BLOBS
    }

    /// Appends all that another holds.
    pub fn absorb(&mut self, other: &Self) {
        let shift = u32::try_from(self.bytes.len()).expect("packs are closed long before 4 GiB");
        self.bytes.extend_from_slice(&other.bytes);
        self.blobs.extend(other.blobs.iter().map(|blob| PackedBlob { offset: blob.offset + shift, ..*blob }));
    }

    /// Appends the header; what comes back is ready to be stored under its id.
    pub fn close(mut self, cipher: &Cipher) -> ClosedPack {
        let header = write_header(&self.blobs);
        let before = self.bytes.len();
        cipher.seal(&header, &mut self.bytes);
        let length = u32::try_from(self.bytes.len() - before).expect("a header is at most 16 MiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        let id = PackId(Sha256::digest(&self.bytes).into());
        ClosedPack { id, bytes: self.bytes, blobs: self.blobs }
    }
}

/// A whole pack, not yet stored.
#[derive(Debug)]
pub struct ClosedPack {
    pub id: PackId,
    pub bytes: Vec<u8>,
    pub blobs: Vec<PackedBlob>,
}

/// The header's entries are 37 bytes (type, length, id), or 41 with the uncompressed length in between.
fn write_header(blobs: &[PackedBlob]) -> Vec<u8> {
    let mut header = Vec::with_capacity(blobs.len() * 41);
    for blob in blobs {
        let tag = match (blob.kind, blob.uncompressed) {
            (BlobKind::Data, None) => 0,
            (BlobKind::Tree, None) => 1,
            (BlobKind::Data, Some(_)) => 2,
            (BlobKind::Tree, Some(_)) => 3,
        };
        header.push(tag);
        header.extend_from_slice(&blob.length.to_le_bytes());
        header.extend(blob.uncompressed.iter().flat_map(|length| length.to_le_bytes()));
        header.extend_from_slice(&blob.id.0);
    }
    header
}

/// Bytes of a pack that holds exactly these blobs.
#[must_use]
pub fn packed_size(blobs: &[PackedBlob]) -> u64 {
    let one = |blob: &PackedBlob| u64::from(blob.length) + if blob.uncompressed.is_some() { 41 } else { 37 };
    blobs.iter().map(one).sum::<u64>() + (OVERHEAD + LENGTH_FIELD) as u64
}

/// How long the sealed header is, from the last four bytes of a pack of `pack_bytes`.
///
/// # Errors
/// What is wrong with it: no such header fits into the pack.
pub fn header_length(field: [u8; LENGTH_FIELD], pack_bytes: u64) -> Result<u32, String> {
    let length = u32::from_le_bytes(field);
    let room = pack_bytes.saturating_sub(LENGTH_FIELD as u64);
    if (length as usize) < OVERHEAD || length as usize > MAX_HEADER || u64::from(length) > room {
        return Err(format!("it says its header has {length} bytes, which a pack of {pack_bytes} bytes cannot have"));
    }
    Ok(length)
}

/// What the sealed header lists. `blob_bytes` is what lies before it: entries that do not fill it exactly are wrong.
///
/// # Errors
/// What is wrong with it.
pub fn read_header(cipher: &Cipher, sealed: &[u8], blob_bytes: u64) -> Result<Vec<PackedBlob>, String> {
    let mut header = Vec::new();
    cipher.open(sealed, &mut header).map_err(|_| "the MAC of its header does not fit".to_owned())?;
    let mut rest = &header[..];
    let mut blobs = Vec::new();
    let mut offset = 0_u32;
    while let Some((&tag, after)) = rest.split_first() {
        let (blob, after) = read_entry(tag, offset, after)?;
        offset = offset.checked_add(blob.length).ok_or("its header lists more than 4 GiB")?;
        blobs.push(blob);
        rest = after;
    }
    if u64::from(offset) != blob_bytes {
        return Err(format!("its header lists {offset} bytes of blobs where {blob_bytes} are"));
    }
    Ok(blobs)
}

fn read_entry(tag: u8, offset: u32, bytes: &[u8]) -> Result<(PackedBlob, &[u8]), String> {
    let (kind, compressed) = match tag {
        0 => (BlobKind::Data, false),
        1 => (BlobKind::Tree, false),
        2 => (BlobKind::Data, true),
        3 => (BlobKind::Tree, true),
        _ => return Err(format!("its header has an entry of the unknown type {tag}")),
    };
    let short = || "its header ends within an entry".to_owned();
    let (length, bytes) = bytes.split_first_chunk().ok_or_else(short)?;
    let (uncompressed, bytes) = if compressed {
        let (uncompressed, bytes) = bytes.split_first_chunk().ok_or_else(short)?;
        (Some(u32::from_le_bytes(*uncompressed)), bytes)
    } else {
        (None, bytes)
    };
    let (id, bytes) = bytes.split_first_chunk().ok_or_else(short)?;
    Ok((PackedBlob { kind, id: BlobId(*id), offset, length: u32::from_le_bytes(*length), uncompressed }, bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::crypto::KeyMaterial;
    use super::*;

    fn cipher() -> Cipher {
        Cipher::new(KeyMaterial::from_bytes(&[7; 64]))
    }

    fn parse(pack: &[u8]) -> Result<Vec<PackedBlob>, String> {
        let (rest, field) = pack.split_last_chunk::<LENGTH_FIELD>().ok_or("short")?;
        let length = header_length(*field, pack.len() as u64)? as usize;
        let (blobs, header) = rest.split_at(rest.len() - length);
        read_header(&cipher(), header, blobs.len() as u64)
    }

    /// restic's `doc/design.rst`, field by field.
    #[test]
    fn a_header_is_laid_out_as_the_design_document_says() {
        let blob = |kind, id, offset, uncompressed| PackedBlob {
            kind,
            id: BlobId([id; 32]),
            offset,
            length: 0x0102,
            uncompressed,
        };
        let blobs = [
            blob(BlobKind::Data, 0xaa, 0, None),
            blob(BlobKind::Tree, 0xbb, 0x0102, None),
            blob(BlobKind::Data, 0xcc, 0x0204, Some(0x0304)),
            blob(BlobKind::Tree, 0xdd, 0x0306, Some(0x0304)),
        ];
        let expected = format!(
            "0002010000{}0102010000{}020201000004030000{}030201000004030000{}",
            "aa".repeat(32),
            "bb".repeat(32),
            "cc".repeat(32),
            "dd".repeat(32)
        );
        assert_eq!(hex::encode(write_header(&blobs)), expected);
    }

    #[test]
    fn headers_that_cannot_be_are_refused_with_the_reason() {
        for (field, pack_bytes) in [(0, 100), (31, 100), (97, 100), (u32::MAX, 100), (17 << 20, 1 << 30), (40, 3)] {
            let how = header_length(field.to_le_bytes(), pack_bytes).unwrap_err();
            assert!(how.contains(&field.to_string()), "{how}");
        }
        assert_eq!(header_length(96_u32.to_le_bytes(), 100), Ok(96));

        let sealed = |header: &[u8]| {
            let mut sealed = Vec::new();
            cipher().seal(header, &mut sealed);
            sealed
        };
        let refused = |header: &[u8], bytes| read_header(&cipher(), &sealed(header), bytes).unwrap_err();
        assert_eq!(refused(&[4; 41], 0), "its header has an entry of the unknown type 4");
        assert_eq!(refused(&[0; 36], 0), "its header ends within an entry");
        assert_eq!(refused(&[2; 40], 0), "its header ends within an entry");
        assert_eq!(refused(&[0; 37], 5), "its header lists 0 bytes of blobs where 5 are");
    }

    #[test]
    fn the_largest_header_is_one_that_restic_reads() {
        let length = u32::try_from(MAX_BLOBS * 41 + OVERHEAD).unwrap();
        assert_eq!(header_length(length.to_le_bytes(), 1 << 30), Ok(length));
        let mut pack = OpenPack::default();
        let mut other = OpenPack::default();
        for number in 1..MAX_BLOBS {
            pack.push(BlobKind::Data, BlobId([0; 32]), b"tiny", None);
            assert!(!pack.is_full(), "with {number} blobs");
        }
        other.push(BlobKind::Data, BlobId([1; 32]), b"tiny", None);
        assert!(pack.has_room_for(&other));
        pack.absorb(&other);
        assert!(pack.is_full() && !pack.has_room_for(&other));
    }

    fn blobs() -> impl Strategy<Value = Vec<(BlobKind, Vec<u8>, Option<u32>)>> {
        let kind = prop_oneof![Just(BlobKind::Data), Just(BlobKind::Tree)];
        prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 0..300), any::<Option<u32>>()), 1..20)
    }

    proptest! {
        #[test]
        fn a_pack_lists_what_was_put_into_it(first in blobs(), second in blobs()) {
            let (mut pack, mut other) = (OpenPack::default(), OpenPack::default());
            for (into, blobs) in [(&mut pack, &first), (&mut other, &second)] {
                for (kind, bytes, uncompressed) in blobs {
                    into.push(*kind, BlobId(Sha256::digest(bytes).into()), bytes, *uncompressed);
                }
            }
            pack.absorb(&other);
            let closed = pack.close(&cipher());
            prop_assert_eq!(PackId(Sha256::digest(&closed.bytes).into()), closed.id);
            let listed = parse(&closed.bytes).unwrap();
            prop_assert_eq!(&listed, &closed.blobs);
            for (blob, (kind, bytes, uncompressed)) in listed.iter().zip(first.iter().chain(&second)) {
                let at = blob.offset as usize..(blob.offset + blob.length) as usize;
                prop_assert_eq!(&closed.bytes[at], &bytes[..]);
                prop_assert_eq!((blob.kind, blob.uncompressed), (*kind, *uncompressed));
            }
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, field: u32) {
            let mut pack = bytes.clone();
            pack.extend(field.to_le_bytes());
            prop_assert!(parse(&pack).is_err());
            let mut sealed = Vec::new();
            cipher().seal(&bytes, &mut sealed);
            read_header(&cipher(), &sealed, bytes.len() as u64).ok();
        }
    }
}

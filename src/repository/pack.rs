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

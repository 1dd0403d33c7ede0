//! Whole packs: their headers, for an index that was lost, and everything in them, for `check --read-data`.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::repository::index::Location;
use crate::repository::pack::{LENGTH_FIELD, PackedBlob, header_length, read_header};
use crate::repository::{FileKind, PackId, Repository, RepositoryError};

/// Read from a pack's end at first: the header of a pack of up to 390 blobs comes with it.
const TAIL: u64 = 16 << 10;

impl Repository {
    /// What a pack's own header lists; `bytes` is the pack's size by the store's listing.
    ///
    /// # Errors
    /// `Damaged` when it has no authentic header that describes exactly its bytes.
    pub(crate) async fn read_pack_header(&self, id: &PackId, bytes: u64) -> Result<Vec<PackedBlob>, RepositoryError> {
        let key = FileKind::Pack.key(&id.0);
        let tail = self.store().get_range(&key, bytes.saturating_sub(TAIL)..bytes).await?;
        let damaged = |how| damaged(id, how);
        let (before, field) =
            tail.split_last_chunk::<LENGTH_FIELD>().ok_or_else(|| damaged("it is too short for a header".into()))?;
        let length = header_length(*field, bytes).map_err(damaged)?;
        let blob_bytes = bytes - LENGTH_FIELD as u64 - u64::from(length);
        if let Some(start) = before.len().checked_sub(length as usize) {
            return read_header(self.cipher(), &before[start..], blob_bytes).map_err(damaged);
        }
        let header = self.store().get_range(&key, blob_bytes..blob_bytes + u64::from(length)).await?;
        read_header(self.cipher(), &header, blob_bytes).map_err(damaged)
    }

    /// Reads a whole pack and holds it to all that is known of it: its name, its header, what the index lists, and every
    /// blob's MAC, length and hash.
    ///
    /// # Errors
    /// When the store could not be asked; a pack that is not there is a finding.
    pub(crate) async fn verify_pack(
        &self,
        id: &PackId,
        listed: Vec<PackedBlob>,
    ) -> Result<PackVerdict, RepositoryError> {
        let bytes = match self.store().get(&FileKind::Pack.key(&id.0)).await {
            Ok(bytes) => bytes,
            Err(crate::storage::StorageError::NotFound { .. }) => {
                let problems = vec!["it is not in the store".into()];
                return Ok(PackVerdict { bytes: 0, problems, lost: listed, as_named: false });
            }
            Err(other) => return Err(other.into()),
        };
        let (repository, id) = (self.clone(), *id);
        let verdict = tokio::task::spawn_blocking(move || repository.verify_pack_bytes(&id, &bytes, &listed));
        verdict.await.map_err(|_| RepositoryError::WorkerLost)
    }

    fn verify_pack_bytes(&self, id: &PackId, bytes: &Bytes, listed: &[PackedBlob]) -> PackVerdict {
        let mut verdict = PackVerdict { bytes: bytes.len() as u64, ..PackVerdict::default() };
        verdict.as_named = <[u8; 32]>::from(Sha256::digest(bytes)) == id.0;
        if !verdict.as_named {
            verdict.problems.push("its bytes do not hash to its name".into());
        }
        match self.parse_header(bytes) {
            Err(how) => verdict.problems.push(how),
            Ok(blobs) => verdict.problems.extend(differences(&blobs, listed)),
        }
        let mut plain = self.blob_buffers().take();
        for blob in listed {
            let (start, length) = (blob.offset as usize, blob.length as usize);
            let problem = match bytes.get(start..start.saturating_add(length)) {
                Some(sealed) => {
                    self.open_blob_into(&Location { pack: *id, blob: *blob }, sealed, &mut plain).err().map(how)
                }
                None => Some(format!("it ends before blob {} does", blob.id)),
            };
            if let Some(problem) = problem {
                verdict.problems.push(problem);
                verdict.lost.push(*blob);
            }
        }
        self.blob_buffers().give(plain);
        verdict
    }

    fn parse_header(&self, pack: &[u8]) -> Result<Vec<PackedBlob>, String> {
        let (rest, field) = pack.split_last_chunk::<LENGTH_FIELD>().ok_or("it is too short for a header")?;
        let length = header_length(*field, pack.len() as u64)? as usize;
        let (blobs, header) = rest.split_at(rest.len() - length);
        read_header(self.cipher(), header, blobs.len() as u64)
    }
}

fn damaged(id: &PackId, how: String) -> RepositoryError {
    RepositoryError::Damaged { what: FileKind::Pack.name(&id.0), how }
}

/// What was found in one pack.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PackVerdict {
    /// That were read.
    pub bytes: u64,
    /// Everything that is wrong; none when it is sound.
    pub problems: Vec<String>,
    /// The blobs that cannot be had from it. A pack whose header alone is damaged loses none.
    pub lost: Vec<PackedBlob>,
    /// Its bytes are those that its name stands for.
    pub as_named: bool,
}

fn how(error: RepositoryError) -> String {
    match error {
        RepositoryError::Damaged { what, how } => format!("{what}: {how}"),
        other => other.to_string(),
    }
}

/// Where the header and the index do not say the same. What only the header lists is unknown to every reader.
fn differences(header: &[PackedBlob], listed: &[PackedBlob]) -> impl Iterator<Item = String> {
    let unlike = listed.iter().filter(|blob| !has(header, blob));
    let unlike = unlike.map(|blob| format!("its header does not list blob {} where the index has it", blob.id));
    let unlisted = header.iter().filter(|blob| !has(listed, blob));
    unlike.chain(unlisted.map(|blob| format!("no index lists its blob {} where its header has it", blob.id)))
}

/// Both list blobs in the order of their offsets.
fn has(header: &[PackedBlob], blob: &PackedBlob) -> bool {
    header.binary_search_by_key(&blob.offset, |b| b.offset).is_ok_and(|at| header[at] == *blob)
}

//! From a pack's bytes to a verified blob.

use std::cell::RefCell;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use zstd::bulk::Decompressor;

use crate::repository::index::Location;
use crate::repository::{BlobId, BlobKind, Repository, RepositoryError};

/// Below this, opening costs less than handing it to another thread.
const SMALL: usize = 32 << 10;

thread_local! {
    /// A decompression context and room for the compressed bytes: new ones would cost a small blob half its time.
    static SCRATCH: RefCell<Option<(Decompressor<'static>, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Room that a thread keeps from one blob to the next; larger only for a huge folder.
const KEEP: usize = 9 << 20;

const BAD_MAC: &str = "its MAC does not fit";

impl Repository {
    /// Decrypts, decompresses and hashes one blob; `sealed` is exactly what lies at its place in the pack.
    ///
    /// # Errors
    /// `Damaged` with the blob's and the pack's id.
    pub(super) fn open_blob(&self, at: &Location, sealed: &[u8]) -> Result<Bytes, RepositoryError> {
        self.with_room(at, |plain| self.open_blob_into(at, sealed, plain))
    }

    /// As [`Self::open_blob`], without hashing the content: the MAC says that it is what a writer with the key stored,
    /// not that this was right.
    pub(super) fn open_unhashed(&self, at: &Location, sealed: &[u8]) -> Result<Bytes, RepositoryError> {
        self.with_room(at, |plain| self.open_unhashed_into(at, sealed, plain))
    }

    /// What `fill` puts into a buffer of the right size; a large one comes back when its bytes are dropped.
    fn with_room<E>(&self, at: &Location, fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
        let length = at.blob.plain_length() as usize;
        if length <= SMALL {
            let mut plain = Vec::with_capacity(length);
            return fill(&mut plain).map(|()| plain.into());
        }
        let mut plain = self.blob_buffers().take_for(length);
        fill(&mut plain).map(|()| self.blob_buffers().lend(plain))
    }

    /// As [`Self::open_blob`], replacing what is in `plain`.
    pub(super) fn open_blob_into(
        &self,
        at: &Location,
        sealed: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), RepositoryError> {
        self.open_unhashed_into(at, sealed, plain)?;
        if BlobId(Sha256::digest(plain).into()) == at.blob.id {
            Ok(())
        } else {
            Err(damaged(at, "its content does not hash to its id"))
        }
    }

    fn open_unhashed_into(&self, at: &Location, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), RepositoryError> {
        let opened = match at.blob.uncompressed {
            None => self.cipher().open(sealed, plain).map_err(|_| BAD_MAC),
            Some(length) => self.open_compressed(sealed, length as usize, plain),
        };
        opened.map_err(|how| damaged(at, how))
    }

    fn open_compressed(&self, sealed: &[u8], length: usize, plain: &mut Vec<u8>) -> Result<(), &'static str> {
        SCRATCH.with_borrow_mut(|scratch| {
            let (decompressor, compressed) = scratch.get_or_insert_with(|| {
                (Decompressor::new().expect("zstd gets a context of a few hundred kilobytes"), Vec::new())
            });
            self.cipher().open(sealed, compressed).map_err(|_| BAD_MAC)?;
            plain.clear();
            plain.reserve_exact(length);
            let found = decompressor.decompress_to_buffer(compressed, plain);
            if compressed.capacity() > KEEP {
                *compressed = Vec::new();
            }
            match found {
                Ok(found) if found == length => Ok(()),
                Ok(found) if found < length => Err("it is shorter than the index says"),
                _ => Err("it does not decompress to the length that the index says"),
            }
        })
    }

    /// As [`Self::open_blob`], without holding up a thread that serves others.
    pub(super) async fn open_on_a_thread(&self, at: Location, sealed: Bytes) -> Result<Bytes, RepositoryError> {
        if at.blob.plain_length() as usize <= SMALL {
            return self.open_blob(&at, &sealed);
        }
        let repository = self.clone();
        let opened = tokio::task::spawn_blocking(move || repository.open_blob(&at, &sealed));
        opened.await.map_err(|_| RepositoryError::WorkerLost)?
    }
}

fn damaged(at: &Location, how: &str) -> RepositoryError {
    let kind = match at.blob.kind {
        BlobKind::Data => "data",
        BlobKind::Tree => "tree",
    };
    let what = format!("{kind} blob {} in pack {} at byte {}", at.blob.id, at.pack, at.blob.offset);
    RepositoryError::Damaged { what, how: how.into() }
}

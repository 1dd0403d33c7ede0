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

impl Repository {
    /// Decrypts, decompresses and hashes one blob; `sealed` is exactly what lies at its place in the pack.
    ///
    /// # Errors
    /// `Damaged` with the blob's and the pack's id.
    pub(crate) fn open_blob(&self, at: &Location, sealed: &[u8]) -> Result<Vec<u8>, RepositoryError> {
        let damaged = |how: &str| {
            let kind = match at.blob.kind {
                BlobKind::Data => "data",
                BlobKind::Tree => "tree",
            };
            let what = format!("{kind} blob {} in pack {} at byte {}", at.blob.id, at.pack, at.blob.offset);
            RepositoryError::Damaged { what, how: how.into() }
        };
        let plain = match at.blob.uncompressed {
            None => {
                let mut plain = Vec::new();
                self.cipher().open(sealed, &mut plain).map_err(|_| damaged("its MAC does not fit"))?;
                plain
            }
            Some(length) => self.open_compressed(sealed, length as usize).map_err(damaged)?,
        };
        if BlobId(Sha256::digest(&plain).into()) != at.blob.id {
            return Err(damaged("its content does not hash to its id"));
        }
        Ok(plain)
    }

    fn open_compressed(&self, sealed: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
        SCRATCH.with_borrow_mut(|scratch| {
            let (decompressor, compressed) = scratch.get_or_insert_with(|| {
                (Decompressor::new().expect("zstd gets a context of a few hundred kilobytes"), Vec::new())
            });
            self.cipher().open(sealed, compressed).map_err(|_| "its MAC does not fit")?;
            let mut plain = Vec::with_capacity(length);
            let found = decompressor.decompress_to_buffer(compressed, &mut plain);
            if compressed.capacity() > KEEP {
                *compressed = Vec::new();
            }
            match found {
                Ok(found) if found == length => Ok(plain),
                Ok(_) => Err("it is shorter than the index says"),
                Err(_) => Err("it does not decompress to the length that the index says"),
            }
        })
    }

    /// As [`Self::open_blob`], without holding up a thread that serves others.
    pub(super) async fn open_on_a_thread(&self, at: Location, sealed: Bytes) -> Result<Bytes, RepositoryError> {
        if at.blob.plain_length() as usize <= SMALL {
            return Ok(self.open_blob(&at, &sealed)?.into());
        }
        let repository = self.clone();
        let opened = tokio::task::spawn_blocking(move || repository.open_blob(&at, &sealed));
        Ok(opened.await.map_err(|_| RepositoryError::WorkerLost)??.into())
    }
}

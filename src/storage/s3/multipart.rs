//! Objects that are too large for one PUT, and the remains of uploads that were never completed.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, MultipartUpload};
use bytes::Bytes;

use super::attempt::Outgoing;
use super::{S3Store, total};
use crate::storage::{StorageError, Swept};

/// Packs (16 MiB or so) and all but the largest trees go up in one PUT: one request, and atomic everywhere. Past this a
/// lost connection would cost too much to repeat.
pub(super) const LARGEST_PUT: i64 = 64 << 20;

/// 10,000 pieces are allowed, so objects of 312 GiB; drydock's largest are trees of some hundred MiB.
const PIECE: usize = 32 << 20;

impl S3Store {
    /// Uploads in pieces; readers see the object when the last request completes it, or never.
    pub(super) async fn put_in_pieces(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        let upload = self.begin_upload(key).await?;
        let done = self.upload_pieces(key, &upload, parts).await;
        if done.is_err() {
            // What stays when this fails too is the sweep's.
            if let Err(error) = self.abort_upload(key, &upload).await {
                tracing::warn!(%error, "an unfinished upload could not be aborted");
            }
        }
        done
    }

    async fn begin_upload(&self, key: &str) -> Result<String, StorageError> {
        let full = self.full(key)?;
        self.attempt(key, "write", |_| async {
            let request = self.client.create_multipart_upload().bucket(&self.bucket).key(full);
            let request = request.set_checksum_algorithm(self.checksum());
            let begun = request.send().await.map_err(|error| self.failed(key, "write", error))?;
            let id = begun.upload_id().map(str::to_owned);
            id.ok_or_else(|| self.unavailable(key, "write", "the store began an upload without an id".into()))
        })
        .await
    }

    async fn upload_pieces(&self, key: &str, upload: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        let mut completed = Vec::new();
        for (number, piece) in (1..).zip(pieces(parts)) {
            completed.push(self.upload_piece(key, upload, number, piece).await?);
        }
        let full = self.full(key)?;
        self.attempt(key, "write", |_| async {
            let all = CompletedMultipartUpload::builder().set_parts(Some(completed)).build();
            let request = self
                .client
                .complete_multipart_upload()
                .bucket(&self.bucket)
                .key(full)
                .upload_id(upload)
                .multipart_upload(all);
            request.send().await.map_err(|error| self.failed(key, "write", error)).map(drop)
        })
        .await
    }

    async fn upload_piece(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        piece: Vec<Bytes>,
    ) -> Result<CompletedPart, StorageError> {
        let full = self.full(key)?;
        let md5 = self.md5(&piece).await;
        self.attempt(key, "write", |activity| async move {
            let request = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(full)
                .upload_id(upload)
                .part_number(number)
                .content_length(total(&piece))
                .set_content_md5(md5)
                .set_checksum_algorithm(self.checksum())
                .body(Outgoing::stream(piece, self.upload.clone(), activity));
            let sent = request.send().await.map_err(|error| self.failed(key, "write", error))?;
            let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
            Ok(part.set_checksum_crc32(sent.checksum_crc32).build())
        })
        .await
    }

    /// AWS wants to be told at the beginning what the pieces' checksums will be, and them again at the end.
    fn checksum(&self) -> Option<ChecksumAlgorithm> {
        self.aws.then_some(ChecksumAlgorithm::Crc32)
    }

    async fn abort_upload(&self, key: &str, upload: &str) -> Result<(), StorageError> {
        let full = self.full(key)?;
        self.attempt(key, "delete", |_| async {
            let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(full).upload_id(upload);
            match request.send().await.map_err(|error| self.failed(key, "delete", error)) {
                Ok(_) | Err(StorageError::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Aborts uploads below the prefix that were begun `older_than` ago or earlier; what they hold costs money and is
    /// in no listing.
    pub(super) async fn abort_uploads(&self, older_than: Duration) -> Result<Swept, StorageError> {
        let mut swept = Swept::default();
        for upload in self.uploads(older_than).await? {
            let key = upload.key().and_then(|key| key.strip_prefix(&self.prefix));
            let Some((key, id)) = key.zip(upload.upload_id()) else { continue };
            swept.bytes += self.uploaded(key, id).await?;
            self.abort_upload(key, id).await?;
            swept.objects += 1;
        }
        Ok(swept)
    }

    /// How many uploads below the prefix were begun that long ago and are not completed.
    ///
    /// # Errors
    /// Where the store could not be asked.
    pub async fn leftovers(&self, older_than: Duration) -> Result<usize, StorageError> {
        self.uploads(older_than).await.map(|found| found.len())
    }

    async fn uploads(&self, older_than: Duration) -> Result<Vec<MultipartUpload>, StorageError> {
        let (mut found, mut key, mut id) = (Vec::new(), None, None);
        loop {
            let page = self
                .attempt("", "list", |_| async {
                    let request = self
                        .client
                        .list_multipart_uploads()
                        .bucket(&self.bucket)
                        .prefix(&self.prefix)
                        .set_key_marker(key.take())
                        .set_upload_id_marker(id.take());
                    request.send().await.map_err(|error| self.failed("", "list", error))
                })
                .await?;
            found.extend(page.uploads().iter().filter(|upload| age(upload) >= older_than).cloned());
            (key, id) = (page.next_key_marker, page.next_upload_id_marker);
            if page.is_truncated != Some(true) || key.is_none() {
                return Ok(found);
            }
        }
    }

    /// How many bytes an unfinished upload holds, by its first thousand pieces.
    async fn uploaded(&self, key: &str, upload: &str) -> Result<u64, StorageError> {
        let full = self.full(key)?;
        self.attempt(key, "list", |_| async {
            let request = self.client.list_parts().bucket(&self.bucket).key(full).upload_id(upload);
            match request.send().await.map_err(|error| self.failed(key, "list", error)) {
                Ok(list) => {
                    Ok(list.parts().iter().filter_map(|part| u64::try_from(part.size().unwrap_or(0)).ok()).sum())
                }
                Err(StorageError::NotFound { .. }) => Ok(0),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// One whose beginning the store does not say counts as young.
fn age(upload: &MultipartUpload) -> Duration {
    let begun = upload.initiated().and_then(|at| u64::try_from(at.secs()).ok());
    let begun = begun.map_or_else(SystemTime::now, |seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    SystemTime::now().duration_since(begun).unwrap_or_default()
}

/// Cuts `parts` into pieces of [`PIECE`] bytes (the last may be smaller), without a copy.
fn pieces(parts: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let mut rest: VecDeque<Bytes> = parts.into();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (mut piece, mut room) = (Vec::new(), PIECE);
        while let Some(mut part) = rest.pop_front() {
            let taken = part.split_to(part.len().min(room));
            room -= taken.len();
            piece.push(taken);
            if !part.is_empty() {
                rest.push_front(part);
                break;
            }
        }
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn pieces_hold_every_byte_in_order_and_all_but_the_last_are_full(sizes in proptest::collection::vec(0usize..3, 0..20)) {
            // Sizes around the border, of shared zero bytes: nothing is copied, so gigabytes cost nothing.
            static BLOCK: std::sync::LazyLock<Bytes> = std::sync::LazyLock::new(|| vec![7; PIECE + 1].into());
            let parts: Vec<Bytes> = sizes.iter().map(|n| BLOCK.slice(..[1, PIECE, PIECE + 1][*n])).collect();
            let lengths: Vec<usize> = pieces(parts.clone()).iter().map(|p| p.iter().map(Bytes::len).sum()).collect();
            proptest::prop_assert_eq!(lengths.iter().sum::<usize>(), parts.iter().map(Bytes::len).sum::<usize>());
            if let Some((last, full)) = lengths.split_last() {
                proptest::prop_assert!(full.iter().all(|n| *n == PIECE) && *last <= PIECE && *last > 0);
            }
        }
    }

    #[test]
    fn pieces_keep_the_order() {
        let parts = vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")];
        assert_eq!(pieces(parts), [[Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")].to_vec()]);
    }
}

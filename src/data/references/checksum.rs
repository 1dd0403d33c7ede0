//! MD5 of files in the repository, because that is what Rails recorded.

use futures_util::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};

use crate::repository::{BlobId, Repository, RepositoryError};

use super::error::ReferenceError;
use super::files::Found;
use super::judge::Claim;
use super::outcome::{Outcome, What};

/// Files read at once: small ones cost a round trip each, and each may hold a few megabytes.
const AT_ONCE: usize = 4;

/// Reads each file and compares; results come in the order of the claims.
pub(super) async fn verify(
    repository: &Repository,
    unverified: Vec<(&Claim, &Option<Found>, u128, [u8; 16])>,
    outcome: &mut Outcome,
) -> Result<(), ReferenceError> {
    let jobs: Vec<_> = unverified
        .into_iter()
        .map(|(claim, file, mark, md5)| {
            (claim, file.as_ref().map(|f| f.content.clone()).unwrap_or_default(), mark, md5)
        })
        .collect();
    let mut computed = Box::pin(
        stream::iter(jobs)
            .map(|(claim, content, mark, md5)| async move {
                Ok::<_, RepositoryError>((claim, mark, md5, of(repository, content).await?))
            })
            .buffered(AT_ONCE),
    );
    while let Some((claim, mark, recorded, found)) = computed.try_next().await? {
        outcome.summary.checksums_computed += 1;
        if found == recorded {
            outcome.summary.files += 1;
            outcome.checked.insert(mark);
        } else {
            outcome.add(claim.gap(What::Checksum, text(recorded), text(found)));
        }
    }
    Ok(())
}

fn text(md5: [u8; 16]) -> String {
    format!("MD5 {}", hex::encode(md5))
}

async fn of(repository: &Repository, content: Vec<BlobId>) -> Result<[u8; 16], RepositoryError> {
    let mut blobs = Box::pin(repository.stream(content));
    let mut md5 = Md5::new();
    while let Some(bytes) = blobs.try_next().await? {
        md5.update(&bytes);
    }
    Ok(md5.finalize().into())
}

//! From a location to a store that is retried and limited.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Limited, Limits, LocalStore, Retry, RetryPolicy, S3Spec, S3Store, SharedStore, StorageError};

/// Where a store is and how it is driven.
#[derive(Debug, Clone, Default)]
pub struct StoreSpec {
    /// `/var/backups/papg` or `s3://bucket/prefix`.
    pub location: String,
    /// Looked at for `s3://` only.
    pub s3: S3Spec,
    pub limits: Limits,
    pub retry: RetryPolicy,
}

/// A location, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    Bucket { bucket: String, prefix: String },
}

impl Location {
    /// # Errors
    /// [`StorageError::Misconfigured`] with the forms that are understood.
    pub fn parse(text: &str) -> Result<Self, StorageError> {
        let bad = |why: &str| {
            let expected = "expected a folder such as `/var/backups/papg`, or `s3://bucket/prefix`";
            Err(StorageError::Misconfigured(format!("the location `{text}` {why}: {expected}")))
        };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_matches('/');
            if bucket.is_empty() {
                return bad("names no bucket");
            }
            if !prefix.is_empty() && super::check_key(prefix).is_err() {
                return bad("has a prefix that not every store can hold");
            }
            return Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        if text.starts_with("s3:") {
            return bad("is restic's way to write it; the host belongs into `s3.endpoint`");
        }
        match text.split_once("://") {
            _ if text.is_empty() => bad("is empty"),
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => bad("is of a kind unknown here"),
            _ => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

/// The store at `spec.location`. A folder must be there; a bucket is asked nothing yet.
///
/// # Errors
/// [`StorageError::Missing`] for a folder that is not there, `Misconfigured` for what cannot be understood.
pub async fn open(spec: &StoreSpec) -> Result<SharedStore, StorageError> {
    match Location::parse(&spec.location)? {
        Location::Folder(folder) => Ok(limited(LocalStore::open(folder).await?, spec)),
        Location::Bucket { bucket, prefix } => remote(&bucket, &prefix, spec).await,
    }
}

/// As [`open`], for a new repository: a folder that is not there is made. A bucket is not: its region, rules and
/// rights are its owner's to choose.
///
/// # Errors
/// As [`open`], and where the folder cannot be made.
pub async fn create(spec: &StoreSpec) -> Result<SharedStore, StorageError> {
    match Location::parse(&spec.location)? {
        Location::Folder(folder) => Ok(limited(LocalStore::create(folder).await?, spec)),
        Location::Bucket { bucket, prefix } => remote(&bucket, &prefix, spec).await,
    }
}

/// A folder is not retried: what a local disk refuses it refuses again, and a person should see it at once.
fn limited(store: LocalStore, spec: &StoreSpec) -> SharedStore {
    Limited::new(Arc::new(store), spec.limits)
}

/// Limits lie inside the retries, so that a try that waits for its next turn holds no place.
async fn remote(bucket: &str, prefix: &str, spec: &StoreSpec) -> Result<SharedStore, StorageError> {
    let store = S3Store::connect(bucket, prefix, &spec.s3, spec.limits).await?;
    // The rates are the S3 store's own, byte by byte; here only the number at once is held.
    let limited = Limited::new(Arc::new(store), Limits { upload: None, download: None, ..spec.limits });
    Ok(Retry::new(limited, spec.retry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_taken_apart() {
        let bucket = |b: &str, p: &str| Location::Bucket { bucket: b.into(), prefix: p.into() };
        assert_eq!(Location::parse("s3://backups/papg/").unwrap(), bucket("backups", "papg"));
        assert_eq!(Location::parse("s3://backups").unwrap(), bucket("backups", ""));
        assert_eq!(Location::parse("/var/backups").unwrap(), Location::Folder("/var/backups".into()));
        for (text, why) in [
            ("", "is empty"),
            ("s3://", "names no bucket"),
            ("s3://b/a//c", "has a prefix that not every store can hold"),
            ("s3:http://host/bucket", "is restic's way to write it; the host belongs into `s3.endpoint`"),
            ("gs://bucket", "is of a kind unknown here"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the location `{text}` {why}: expected")), "{error}");
        }
    }
}

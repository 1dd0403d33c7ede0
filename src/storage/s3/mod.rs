//! Objects in a bucket of S3 or of a store that speaks its protocol. A single PUT is atomic; what is larger goes up as
//! a multipart upload, which is as atomic when it is completed. Requests are tried once here: see `retry.rs`.

mod attempt;
mod client;
mod error;
mod lifecycle;
mod multipart;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use base64::Engine;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use md5::{Digest, Md5};
use tokio::sync::OnceCell;

use self::attempt::{Activity, Outgoing, watched};
pub use self::client::{S3Credentials, S3Spec, S3Timeouts};
use self::error::root_cause;
pub use self::lifecycle::Menace;
use super::limit::{Limits, RateLimiter};
use super::{Created, ObjectMeta, StorageError, Store, Swept, check_key};

/// Memory set aside for an answer before its first byte: enough for a pack, so that it is not moved as it grows.
const LARGEST_FIRST_GUESS: usize = 32 << 20;

/// A store in one bucket, below a prefix. Cheap to clone.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    bucket: String,
    /// Empty, or with a `/` at its end.
    prefix: String,
    /// Where requests go, for error messages.
    endpoint: String,
    aws: bool,
    timeouts: S3Timeouts,
    upload: Option<Arc<RateLimiter>>,
    download: Option<Arc<RateLimiter>>,
    /// Set once the bucket has been seen: from then on 404 means the key.
    bucket_seen: Arc<OnceCell<()>>,
}

/// The SDK's client would print pages, and the key's id.
impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { aws, timeouts, upload, download, .. } = self;
        let mut out = f.debug_struct("S3Store");
        out.field("location", &self.name()).field("endpoint", &self.endpoint).field("aws", aws);
        out.field("timeouts", timeouts).field("upload", upload).field("download", download).finish_non_exhaustive()
    }
}

impl S3Store {
    /// Prepares the client; asks the store nothing yet. The rates of `limits` pace the bodies of requests and answers,
    /// its concurrency is left to [`Limited`](super::Limited).
    ///
    /// # Errors
    /// [`StorageError::Misconfigured`] where the endpoint or the CA file cannot be used.
    pub async fn connect(bucket: &str, prefix: &str, spec: &S3Spec, limits: Limits) -> Result<Self, StorageError> {
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() {
            check_key(prefix)?;
        }
        let connected = client::connect(spec).await?;
        Ok(Self {
            client: connected.client,
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            endpoint: connected.endpoint,
            aws: connected.aws,
            timeouts: spec.timeouts,
            upload: limits.upload.map(|rate| Arc::new(RateLimiter::new(rate))),
            download: limits.download.map(|rate| Arc::new(RateLimiter::new(rate))),
            bucket_seen: Arc::default(),
        })
    }

    fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix).trim_end_matches('/').to_owned()
    }

    fn full(&self, key: &str) -> Result<String, StorageError> {
        check_key(key)?;
        Ok(format!("{}{key}", self.prefix))
    }

    /// One attempt under the watch of [`watched`].
    async fn attempt<T, F>(
        &self,
        key: &str,
        action: &'static str,
        work: impl FnOnce(Activity) -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        match watched(&self.timeouts, work).await {
            Ok(result) => result,
            Err(reason) => Err(self.unavailable(key, action, format!("{}: {reason}", self.endpoint))),
        }
    }

    /// The store recognises a body that was altered on its way: on AWS by the SDK's checksums, elsewhere by this.
    async fn md5(&self, parts: &[Bytes]) -> Option<String> {
        if self.aws {
            return None;
        }
        let parts = parts.to_vec();
        let hash = move || {
            let mut md5 = Md5::new();
            parts.iter().for_each(|part| md5.update(part));
            base64::engine::general_purpose::STANDARD.encode(md5.finalize())
        };
        tokio::task::spawn_blocking(hash).await.ok()
    }

    async fn read_body(&self, key: &str, output: GetObjectOutput, activity: &Activity) -> Result<Bytes, StorageError> {
        let announced = output.content_length.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let mut body: ByteStream = output.body;
        // What a broken store announces is not believed further than this.
        let mut bytes = BytesMut::with_capacity(announced.min(LARGEST_FIRST_GUESS));
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| {
                let had = bytes.len();
                let why = root_cause(&error);
                self.unavailable(key, "read", format!("the answer broke off after {had} of {announced} bytes: {why}"))
            })?;
            bytes.extend_from_slice(&chunk);
            activity.touch();
            if let Some(pace) = &self.download {
                let at = pace.reserve(chunk.len() as u64);
                activity.touch_at(at);
                tokio::time::sleep_until(at).await;
            }
        }
        Ok(bytes.freeze())
    }

    async fn put_once(&self, key: &str, parts: Vec<Bytes>, only_if_absent: bool) -> Result<Created, StorageError> {
        let (full, action) = (self.full(key)?, if only_if_absent { "create" } else { "write" });
        let bytes = total(&parts);
        let md5 = self.md5(&parts).await;
        self.attempt(key, action, |activity| async move {
            let request = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(full)
                .content_length(bytes)
                .set_content_md5(md5)
                .set_if_none_match(only_if_absent.then(|| "*".to_owned()))
                .body(Outgoing::stream(parts, self.upload.clone(), activity));
            match request.send().await {
                Ok(_) => Ok(Created::New),
                Err(error) if only_if_absent && status(&error) == Some(412) => Ok(Created::Exists),
                Err(error) => Err(self.failed(key, action, error)),
            }
        })
        .await
    }

    /// Makes sure that a 404 meant the key and not the bucket: HEAD's answer has no body that would say.
    async fn see_bucket(&self) -> Result<(), StorageError> {
        let look = || async {
            self.attempt("", "stat", |_| async {
                match self.client.head_bucket().bucket(&self.bucket).send().await {
                    Ok(_) => Ok(()),
                    Err(error) => match self.failed("", "stat", error) {
                        StorageError::NotFound { .. } => Err(self.no_bucket()),
                        // It is there, and it is not for us to look at it.
                        StorageError::Denied { .. } => Ok(()),
                        error => Err(error),
                    },
                }
            })
            .await
        };
        self.bucket_seen.get_or_try_init(look).await.copied()
    }

    async fn list_page(
        &self,
        prefix: &str,
        after: Option<String>,
        found: &mut Vec<ObjectMeta>,
    ) -> Result<Option<String>, StorageError> {
        let page = self
            .attempt(prefix, "list", |_| async {
                let request = self
                    .client
                    .list_objects_v2()
                    .bucket(&self.bucket)
                    .prefix(format!("{}{prefix}", self.prefix))
                    .set_continuation_token(after);
                request.send().await.map_err(|error| self.failed(prefix, "list", error))
            })
            .await?;
        for object in page.contents() {
            // Keys that end in `/` are what file browsers leave to show a folder.
            let key = object.key().and_then(|key| key.strip_prefix(&self.prefix)).filter(|key| !key.ends_with('/'));
            if let Some(key) = key.filter(|key| !key.is_empty()) {
                let bytes = object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                found.push(ObjectMeta { key: key.to_owned(), bytes, modified: timestamp(object.last_modified()) });
            }
        }
        match (page.is_truncated(), page.next_continuation_token()) {
            (Some(true), Some(next)) => Ok(Some(next.to_owned())),
            (Some(true), None) => Err(self.unavailable(prefix, "list", "the listing ends without its end".into())),
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl Store for S3Store {
    fn location(&self) -> String {
        self.name()
    }

    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        let full = self.full(key)?;
        self.attempt(key, "read", |activity| async move {
            let request = self.client.get_object().bucket(&self.bucket).key(full);
            let output = request.send().await.map_err(|error| self.failed(key, "read", error))?;
            self.read_body(key, output, &activity).await
        })
        .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let full = self.full(key)?;
        let wanted = range.end - range.start;
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = self
            .attempt(key, "read", |activity| async move {
                let request = self.client.get_object().bucket(&self.bucket).key(full).range(header);
                match request.send().await {
                    Ok(output) => self.read_body(key, output, &activity).await.map(Some),
                    Err(error) if status(&error) == Some(416) => Ok(None),
                    Err(error) => Err(self.failed(key, "read", error)),
                }
            })
            .await?;
        match answer {
            Some(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Some(bytes) if bytes.len() as u64 > wanted => {
                Err(StorageError::Misconfigured(format!("{} ignores the range of a request", self.name())))
            }
            _ => {
                let (location, expected) = (self.name(), range.end);
                let found = match self.stat(key).await? {
                    Some(object) => object.bytes,
                    None => return Err(StorageError::NotFound { location, key: key.to_owned() }),
                };
                Err(StorageError::Truncated { location, key: key.to_owned(), expected, found })
            }
        }
    }

    async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        if total(&parts) > multipart::LARGEST_PUT {
            return self.put_in_pieces(key, parts).await;
        }
        self.put_once(key, parts, false).await.map(drop)
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
        self.put_once(key, vec![bytes], true).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let full = self.full(key)?;
        self.attempt(key, "delete", |_| async {
            match self.client.delete_object().bucket(&self.bucket).key(full).send().await {
                Ok(_) => Ok(()),
                Err(error) => match self.failed(key, "delete", error) {
                    StorageError::NotFound { .. } => Ok(()),
                    error => Err(error),
                },
            }
        })
        .await
    }

    async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        let full = self.full(key)?;
        let answer = self
            .attempt(key, "stat", |_| async {
                let request = self.client.head_object().bucket(&self.bucket).key(full);
                request.send().await.map_err(|error| self.failed(key, "stat", error))
            })
            .await;
        match answer {
            Ok(head) => {
                let bytes = head.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                Ok(Some(ObjectMeta { key: key.to_owned(), bytes, modified: timestamp(head.last_modified()) }))
            }
            Err(StorageError::NotFound { .. }) => self.see_bucket().await.map(|()| None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            after = self.list_page(prefix, after, &mut found).await?;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    async fn sweep(&self, older_than: Duration) -> Result<Swept, StorageError> {
        self.abort_uploads(older_than).await
    }
}

fn total(parts: &[Bytes]) -> i64 {
    parts.iter().map(|part| i64::try_from(part.len()).unwrap_or(i64::MAX)).sum()
}

fn status<E>(error: &aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// A time that the store does not say counts as the epoch: old.
fn timestamp(time: Option<&DateTime>) -> Timestamp {
    time.and_then(|time| Timestamp::from_second(time.secs()).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

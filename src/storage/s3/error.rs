//! What an S3 store's or the line's failure means for the operator.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::S3Store;
use crate::storage::StorageError;

impl S3Store {
    /// Sorts a failed request into [`StorageError`]'s kinds; only `Unavailable` is worth another try.
    pub(super) fn failed<E>(&self, key: &str, action: &'static str, error: SdkError<E, HttpResponse>) -> StorageError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let Some(response) = error.raw_response() else { return self.no_answer(key, action, &error) };
        let status = response.status().as_u16();
        let region = response.headers().get("x-amz-bucket-region").map(str::to_owned);
        let code = error.code().unwrap_or_default().to_owned();
        let message = error.message().unwrap_or_default().to_owned();
        self.refused(key, action, &Refusal { status, code, message, region, source: &error })
    }

    fn refused(&self, key: &str, action: &'static str, refusal: &Refusal<'_>) -> StorageError {
        let (location, key_) = (self.name(), key.to_owned());
        match (refusal.status, refusal.code.as_str()) {
            (_, "NoSuchBucket") => self.no_bucket(),
            (_, "NoSuchKey") => StorageError::NotFound { location, key: key_ },
            (301 | 307 | 308, _) | (400, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                self.wrong_region(refusal)
            }
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage") => {
                StorageError::NoSpace { location, key: key_ }
            }
            (403, "RequestTimeTooSkewed") => StorageError::Misconfigured(format!(
                "this machine's clock and that of {location} are too far apart: set both by NTP ({})",
                refusal.text()
            )),
            (401 | 403, _) => StorageError::Denied { location, key: key_, action, reason: refusal.text() },
            (404, _) => StorageError::NotFound { location, key: key_ },
            (408 | 409 | 429 | 500 | 502..=504, _)
            // A body that was cut or altered on its way, and what stores say instead of 503.
            | (400, "RequestTimeout" | "BadDigest" | "IncompleteBody" | "SlowDown") => {
                self.unavailable(key, action, format!("the store answered {}", refusal.text()))
            }
            // 2xx whose body was cut or is no XML.
            (200..=299, _) => self.unavailable(key, action, format!("the answer is broken: {}", root_cause(refusal.source))),
            _ => StorageError::Misconfigured(format!(
                "{location} does not support {action} of {key} as drydock does it: {}",
                refusal.text()
            )),
        }
    }

    fn no_answer<E>(&self, key: &str, action: &'static str, error: &SdkError<E, HttpResponse>) -> StorageError
    where
        E: Error + Send + Sync + 'static,
    {
        let cause = root_cause(error);
        if speaks_of_credentials(error) {
            return StorageError::Misconfigured(format!(
                "there are no credentials for {}: {cause}; set them in the stack document's `s3`, in AWS_ACCESS_KEY_ID \
                 and AWS_SECRET_ACCESS_KEY, or in a profile",
                self.name()
            ));
        }
        let hint = if cause.contains("UnknownIssuer") { " (name its authority in `s3.caFile`)" } else { "" };
        self.unavailable(key, action, format!("no answer from {}: {cause}{hint}", self.endpoint))
    }

    pub(super) fn unavailable(&self, key: &str, action: &'static str, reason: String) -> StorageError {
        StorageError::Unavailable { location: self.name(), key: key.to_owned(), action, reason }
    }

    pub(super) fn no_bucket(&self) -> StorageError {
        StorageError::Misconfigured(format!(
            "there is no bucket {} at {}: create it, or correct the repository's `location`",
            self.bucket, self.endpoint
        ))
    }

    fn wrong_region(&self, refusal: &Refusal<'_>) -> StorageError {
        let told = match &refusal.region {
            Some(region) => format!("it lies in the region {region}: set `s3.region`"),
            None => format!("check `s3.region` and `s3.endpoint`: {}", refusal.text()),
        };
        StorageError::Misconfigured(format!("the bucket {} cannot be used from here; {told}", self.bucket))
    }
}

/// An answer that is not the one that was hoped for.
struct Refusal<'a> {
    status: u16,
    code: String,
    message: String,
    region: Option<String>,
    source: &'a (dyn Error + 'static),
}

impl Refusal<'_> {
    /// `403 SignatureDoesNotMatch: The request signature …`
    fn text(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => self.status.to_string(),
            (code, "") => format!("{} {code}", self.status),
            ("", message) => format!("{} {message}", self.status),
            (code, message) => format!("{} {code}: {message}", self.status),
        }
    }
}

/// The innermost error's text: `Connection refused (os error 111)` instead of `dispatch failure`.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// By its text: the type is of a crate that drydock does not use otherwise.
fn speaks_of_credentials(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|e| {
        let text = e.to_string();
        text.contains("credentials provider")
            || text.contains("the credential provider")
            || text.contains("no providers")
    })
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

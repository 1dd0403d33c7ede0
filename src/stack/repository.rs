//! Where a stack's recovery points are stored.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::schema::written_as;
use super::{ByteSize, SecretSource};

/// The prefix that belongs to one stack, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositorySpec {
    /// The repository itself is `<location>/repository`.
    pub location: Location,
    /// Whoever loses it has lost every recovery point.
    pub password: SecretSource,
    /// Only with an `s3://` location.
    #[serde(default)]
    pub s3: Option<S3Spec>,
    #[serde(default)]
    pub limits: Limits,
}

impl RepositorySpec {
    /// All secrets by which it is reached.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretSource> {
        let s3 = self.s3.iter_mut().flat_map(|s3| {
            [&mut s3.access_key_id, &mut s3.secret_access_key, &mut s3.session_token].into_iter().flatten()
        });
        std::iter::once(&mut self.password).chain(s3)
    }
}

/// A folder of this machine, or a prefix of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Location {
    Folder(PathBuf),
    /// `prefix` has no slash at either end; it may be empty.
    S3 {
        bucket: String,
        prefix: String,
    },
}

written_as!(Location, {"type": "string", "pattern": "^(/|\\.|s3://)"});

impl TryFrom<String> for Location {
    type Error = String;

    /// A bare word such as `backups/papg` is refused: it is as likely a bucket as a folder.
    fn try_from(text: String) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(format!("`{text}` names no bucket; {EXPECTED}"));
            }
            return Ok(Self::S3 { bucket: bucket.into(), prefix: prefix.trim_matches('/').into() });
        }
        let path = Path::new(&text);
        if path.is_absolute() || path.starts_with(".") || path.starts_with("..") {
            return Ok(Self::Folder(path.to_owned()));
        }
        Err(format!("`{text}` is neither an absolute folder nor a bucket; {EXPECTED}"))
    }
}

const EXPECTED: &str = "expected `/a/folder`, `./a/folder` (beside this document) or `s3://bucket/prefix`";

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// How a bucket is reached; what is not said comes from AWS' usual places (environment, profile, instance).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Spec {
    /// `https://s3.example.org:8333`; none = AWS itself.
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default)]
    pub region: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`; where not said: true with an `endpoint`.
    #[serde(default)]
    pub path_style: Option<bool>,
    /// An authority beside the system's, as PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    #[serde(default)]
    pub access_key_id: Option<SecretSource>,
    #[serde(default)]
    pub secret_access_key: Option<SecretSource>,
    #[serde(default)]
    pub session_token: Option<SecretSource>,
}

/// What drydock may take from the store and its network; none = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Bytes a second.
    #[serde(default)]
    pub upload: Option<ByteSize>,
    /// Bytes a second.
    #[serde(default)]
    pub download: Option<ByteSize>,
    /// Requests under way at once.
    #[serde(default)]
    pub concurrency: Option<usize>,
}

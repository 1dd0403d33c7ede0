//! Secrets: where a document says they are, and the text once read. Never printed, logged or serialised.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::failure::{Category, Failure};

/// Where a secret comes from; a literal in the document is not possible on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SecretSource {
    /// A file's content without one trailing line end.
    FromFile(PathBuf),
    /// An environment variable of this process.
    FromEnv(String),
    /// A key of a Kubernetes Secret; needs a cluster.
    FromSecret(SecretKeyRef),
    /// It was read already, from whatever the document says; no document can say this.
    #[serde(skip)]
    #[schemars(skip)]
    Known(Known),
}

/// A secret that was read. Two are equal when their texts are; `Debug` prints none.
#[derive(Debug, Clone)]
pub struct Known(Secret);

impl Known {
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Known {}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKeyRef {
    pub name: String,
    pub key: String,
}

/// A secret's text; `Debug` prints `[REDACTED]`.
pub type Secret = SecretString;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot read the secret file {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the environment variable {0} is not set, or is not UTF-8")]
    Env(String),
    #[error("the secret {0} is in a Kubernetes Secret, which needs a cluster; use `fromFile` or `fromEnv` here")]
    NeedsCluster(String),
    #[error("the secret from {0} is empty")]
    Empty(String),
}

impl Failure for SecretError {
    fn category(&self) -> Category {
        Category::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NeedsCluster(_) => None,
            Self::File { .. } | Self::Env(_) | Self::Empty(_) => {
                Some("the Stack document says where each secret is; put it there, readable by this user".into())
            }
        }
    }
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// When the file or variable is missing, unreadable, not UTF-8 or empty.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let (text, whence) = match self {
            Self::FromFile(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| SecretError::File { path: path.clone(), source })?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                (text.strip_suffix('\r').unwrap_or(text).to_owned(), format!("the file {}", path.display()))
            }
            Self::FromEnv(name) => (
                std::env::var(name).map_err(|_| SecretError::Env(name.clone()))?,
                format!("the environment variable {name}"),
            ),
            Self::FromSecret(reference) => {
                return Err(SecretError::NeedsCluster(format!("{}/{}", reference.name, reference.key)));
            }
            Self::Known(secret) => (secret.0.expose_secret().to_owned(), "the cluster".to_owned()),
        };
        if text.is_empty() {
            return Err(SecretError::Empty(whence));
        }
        Ok(text.into())
    }
}

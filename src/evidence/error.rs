use std::path::PathBuf;

use jiff::Timestamp;

use super::key::{KeyError, KeyId};
use crate::failure::{Category, Failure};
use crate::stack::{Name, SecretError};
use crate::storage::StorageError;

#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("cannot read or write the evidence")]
    Store(#[from] StorageError),
    #[error("the stack `{stack}` has no key to sign evidence with")]
    NoKey { stack: Name },
    #[error("cannot read the key that signs evidence")]
    Secret(#[from] SecretError),
    #[error("the key that signs evidence cannot be used")]
    Key(#[from] KeyError),
    #[error("cannot use {} as a key: {reason}", path.display())]
    KeyFile { path: PathBuf, reason: String },
    #[error("cannot make the key file {}", path.display())]
    Keygen { path: PathBuf, source: std::io::Error },
    #[error("the published key {object} cannot be relied on: {reason}")]
    Published { object: String, reason: String },
    #[error("the key {} was published for the stack `{found}`, this is `{stack}`", id.short())]
    OtherStacksKey { id: KeyId, found: Name, stack: Name },
    #[error("the key {} signs nothing at {now:.0}: it does so from {from:.0}{}", id.short(), until.map_or(String::new(), |until| format!(" to {until:.0}")))]
    OutOfTime { id: KeyId, now: Timestamp, from: Timestamp, until: Option<Timestamp> },
    #[error("the key {} has signed nothing for this stack", id.short())]
    NotPublished { id: KeyId },
    #[error("the record of the run {run} is not signed: {fault}")]
    Fault { run: String, fault: &'static str },
    #[error("others have written the next record {attempts} times in a row")]
    Contended { attempts: u32 },
    #[error("there is no evidence `{wanted}` of the stack `{stack}`")]
    NotFound { wanted: String, stack: Name },
    #[error("`{wanted}` is the beginning of several runs: {}", found.join(", "))]
    Ambiguous { wanted: String, found: Vec<String> },
}

impl Failure for EvidenceError {
    fn category(&self) -> Category {
        match self {
            Self::Store(error) => error.category(),
            Self::Secret(error) => error.category(),
            Self::Published { .. } => Category::Integrity,
            Self::Fault { .. } => Category::Bug,
            Self::Contended { .. } => Category::Unavailable,
            Self::NoKey { .. }
            | Self::Key(_)
            | Self::KeyFile { .. }
            | Self::Keygen { .. }
            | Self::OtherStacksKey { .. }
            | Self::OutOfTime { .. }
            | Self::NotPublished { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. } => Category::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Secret(error) => error.hint(),
            Self::NoKey { .. } => Some(
                "make one with `drydock evidence keygen --out FILE.pem` and name it in the document: \
                 `evidence: {key: {fromFile: FILE.pem}}`"
                    .into(),
            ),
            Self::Key(_) => Some("`spec.evidence.key` leads to it; `drydock evidence keygen` makes one".into()),
            Self::KeyFile { .. } => Some(
                "expected a public key as PEM, or a stored key, `evidence/keys/ID.json`; `drydock evidence keys --pem` \
                 prints them"
                    .into(),
            ),
            Self::Keygen { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Some("a key is never overwritten; name another file".into())
            }
            Self::Published { .. } => Some("see what else was altered with `drydock evidence verify --all -f FILE`".into()),
            Self::OtherStacksKey { .. } => Some("make a key for each stack with `drydock evidence keygen`".into()),
            Self::OutOfTime { .. } => Some(
                "it was retired, or a clock is wrong; a new one is made with `drydock evidence keygen`".into(),
            ),
            Self::Fault { .. } => Some("please report it, with the run".into()),
            Self::Contended { .. } => Some("run the same command again".into()),
            Self::NotFound { .. } => Some("see what there is with `drydock evidence -f FILE`".into()),
            Self::Ambiguous { .. } => Some("write more of the run's id, or the number".into()),
            Self::Keygen { .. } | Self::NotPublished { .. } => None,
        }
    }
}

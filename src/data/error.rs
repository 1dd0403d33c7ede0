//! The kinds' errors as one, for the verbs.

use super::postgres::PostgresError;
use super::postgres::restore::RestoreError;
use super::redis::RedisError;
use super::volume::VolumeError;
use crate::failure::{Category, Failure};

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(transparent)]
    PostgresRestore(#[from] RestoreError),
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A panic; its place and message are on standard error.
    #[error("{doing} was ended by a defect of drydock")]
    Defect { doing: &'static str },
    /// The document says `claim`, and this is one machine.
    #[error("the claim `{claim}` can only be reached in its cluster")]
    NeedsCluster { claim: String },
}

impl Failure for DataError {
    fn category(&self) -> Category {
        match self {
            Self::Postgres(error) => error.category(),
            Self::PostgresRestore(error) => error.category(),
            Self::Redis(error) => error.category(),
            Self::Volume(error) => error.category(),
            Self::Defect { .. } => Category::Bug,
            Self::NeedsCluster { .. } => Category::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Postgres(error) => error.hint(),
            Self::PostgresRestore(error) => error.hint(),
            Self::Redis(error) => error.hint(),
            Self::Volume(error) => error.hint(),
            Self::Defect { .. } => None,
            Self::NeedsCluster { .. } => Some("on one machine a volume is given as `path: /a/folder`".into()),
        }
    }
}

//! The nouns users write: the `Stack` document and its parts. Owns what a document may say and the words for what is
//! wrong with it; pure but for reading the document and secrets where they are said to be. Imports no other folder.
//!
//! `docs/formats.md` describes the document for people.

mod data;
mod document;
pub mod duration;
mod name;
mod outline;
mod problem;
mod repository;
mod resolve;
mod secret;
mod size;
mod spec;
mod validate;

pub use data::{DataKind, DataSet, Login, PostgresSpec, RedisSpec, Tls, VolumeSpec};
pub use document::{API_VERSION, Stack};
pub use name::Name;
pub use outline::Place;
pub use problem::{DocumentError, Problem};
pub use repository::{Limits, Location, RepositorySpec, S3Spec};
pub use secret::{Secret, SecretError, SecretKeyRef, SecretSource};
pub use size::ByteSize;
pub use spec::{
    Assertion, Component, Drill, EvidenceSpec, FreshnessAssertion, Migration, Objectives, Phase, Reference,
    ReferencePair, Retention, Spec, SqlAssertion, Unprotected,
};

#[cfg(test)]
mod tests;

//! The nouns users write: the `Stack` document and its parts. Owns what a document may say and the words for what is
//! wrong with it; pure but for reading the document and secrets where they are said to be. Imports no other folder.
//!
//! `docs/formats.md` describes the document for people.

mod data;
mod document;
pub mod documents;
mod drill;
pub mod duration;
mod hooks;
mod max_unused;
mod name;
mod notify;
mod outline;
mod problem;
mod read_data;
mod repository;
mod resolve;
pub(crate) mod schema;
mod secret;
mod size;
mod spec;
mod tag;
mod validate;
mod window;

pub use data::{DataKind, DataSet, Login, PostgresSpec, RedisSpec, Tls, VolumeSpec};
pub use document::{KIND, Stack};
pub use documents::API_VERSION;
pub use drill::{
    Assertion, CommandAssertion, Drill, FilesAssertion, FreshnessAssertion, KeysAssertion, RowsAssertion, SqlAssertion,
};
pub use hooks::{Hook, Hooks};
pub use max_unused::{InvalidMaxUnused, MaxUnused};
pub use name::Name;
pub use notify::{Beat, Heartbeat, Notification, Occasion, Webhook, WebhookFormat};
pub use outline::Place;
pub use problem::{DocumentError, Problem, nearest};
pub use read_data::{InvalidReadData, ReadData};
pub use repository::{Limits, Location, RepositorySpec, S3Spec};
pub use secret::{Known, Secret, SecretError, SecretKeyRef, SecretSource};
pub use size::ByteSize;
pub use spec::{
    Component, EvidenceSpec, Migration, Objectives, Phase, Reference, ReferencePair, Retention, Spec, Unprotected,
};
pub use tag::{Tag, Tags};
pub use window::random_within;

#[cfg(test)]
mod tests;

//! A PostgreSQL server's databases, 9.5 to 18: read into a snapshot and compared by its manifest.
//! Owns logging in, exported snapshots, COPY, digests, and what production must not feel; refuses to know repositories'
//! packs and recovery points. The layout of a snapshot is in `docs/formats.md`.

mod ask;
pub mod attributes;
pub mod capture;
pub mod catalog;
pub mod connect;
pub mod digest;
mod doctor;
pub mod error;
pub mod floats;
pub mod manifest;
pub mod naming;
pub mod objects;
pub mod restore;
mod sandbox;
pub mod session;
pub mod stop;
mod tls;
pub mod tools;
pub mod version;
mod wire;

pub use ask::{Answer, ask, count_rows, tell};
pub use capture::{OpenSource, open};
pub use doctor::doctor;
pub use error::PostgresError;
pub use manifest::Manifest;
pub use naming::literal;
pub use sandbox::{Sandbox, SandboxOptions, ServerPrograms, source_of};

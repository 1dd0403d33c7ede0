//! Redis and Valkey: all databases of one server, taken and brought back over the replication protocol, verified by a
//! digest of the content. Owns the protocol, the RDB format and the manifest; refuses clusters, and to know recovery
//! points.
//!
//! [`capture`] acts as a replica that wants one RDB. [`restore`] plays the primary. Neither touches the server's disk.

mod capture;
mod connection;
mod doctor;
mod error;
mod info;
mod manifest;
mod ping;
pub mod rdb;
mod receive;
mod resp;
mod restore;
mod source;
mod spool;
mod stored;
mod transfer;

pub use capture::{capture, estimate};
pub use doctor::doctor;
pub use error::RedisError;
pub use manifest::{DatabaseRecord, Digest, FORMAT_VERSION, FunctionsRecord, Manifest, RdbFile};
pub use ping::ping;
pub use restore::{
    Prepared, RestoreOptions, RestorePreview, Restored, Sandbox, SandboxNeeds, plan_restore, prepare, restore,
    sandbox_needs, settle, undo,
};
pub use stored::compare_rdb;

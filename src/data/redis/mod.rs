//! (being built)

mod capture;
mod connection;
mod doctor;
mod error;
mod info;
mod manifest;
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
pub use restore::{RestoreOptions, RestorePreview, Restored, plan_restore, restore};
pub use stored::compare_rdb;

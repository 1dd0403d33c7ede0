//! (being built)

mod connection;
mod error;
mod info;
mod manifest;
pub mod rdb;
mod resp;
mod spool;
mod transfer;

pub use error::RedisError;

//! (being built)

mod connection;
mod error;
mod info;
pub mod rdb;
mod resp;

pub use error::RedisError;

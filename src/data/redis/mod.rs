//! (being built)

pub mod rdb;

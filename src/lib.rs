//! Drydock keeps a self-hosted stack upgradable and recoverable.
//!
//! The direction of use is `cli → verbs (snapshot, restore, drill, maintain, deploy) → point, cluster → data → repository → storage`;
//! `evidence` uses storage alone; `stack`, `failure`, `clock`, `process`, `progress` and `context` lie below all.
//! `tests/architecture.rs` holds that.

#![warn(clippy::unwrap_used)] // every `expect` outside tests states why it cannot fail

pub mod cli;
pub mod clock;
pub mod cluster;
pub mod context;
pub mod controller;
pub mod daemon;
pub mod data;
pub mod deploy;
pub mod drill;
pub mod evidence;
pub mod failure;
pub mod finding;
pub mod hook;
pub mod maintain;
pub mod migration;
pub mod notify;
pub mod operation;
pub mod point;
pub mod process;
pub mod progress;
pub mod repository;
pub mod restore;
pub mod run;
pub mod schedule;
pub mod snapshot;
pub mod stack;
pub mod status;
pub mod storage;

/// What stored documents say of who wrote them.
pub const TOOL: &str = concat!("drydock ", env!("CARGO_PKG_VERSION"));

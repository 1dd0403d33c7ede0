//! The daemon as it is run: the real binary over real servers, by HTTP, signals and journals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod bucket;
mod cut_off;
mod deploy;
mod forgotten;
mod http;
mod life;
mod many;
mod pair;
mod receiver;
mod scene;
mod tell;

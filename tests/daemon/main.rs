//! The daemon as it is run: the real binary over real servers, by HTTP, signals and journals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod cut_off;
mod deploy;
mod http;
mod life;
mod many;
mod pair;
mod scene;
mod tell;

//! Drills on real servers: what passes, what fails and why, and that nothing is left.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod assertions;
mod leftovers;
mod objectives;
mod passes;
mod scene;
mod tampering;

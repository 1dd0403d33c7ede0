//! Schedules over years: against an independent brute force, run by a simulated daemon, and as people meet them.

mod brute_force;
mod cli;
mod daemon;
mod shipped;
mod simulation;

use jiff::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

//! `make bench`: drydock against the tools that people use today, both in the same run on the same data.
//!
//! Every row is the ratio of two medians of three warm runs, in turns, of whole commands: opening the repository, scrypt,
//! self-check, fsync and verification are in. Arguments choose rows by a part of their name; `SCALE=0.1` shrinks the
//! data (the ratios are then only a smoke test). Writes `target/bench.json`.

#[path = "../../tests/support/mod.rs"]
mod support;

mod idle;
mod journal;
mod measure;
mod memory;
mod postgres;
mod shown;
mod stack;
mod tree;
mod unverified;

use measure::Report;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let mut report = Report::new(wanted);
    tree::rows(&mut report);
    postgres::rows(&mut report);
    journal::rows(&mut report);
    idle::rows(&mut report);
    shown::rows(&mut report);
    memory::rows(&mut report);
    report.write();
}

/// The data's size against the one of the goals.
fn scale() -> f64 {
    std::env::var("SCALE").map_or(1.0, |s| s.parse().expect("SCALE is a number"))
}

//! Runs commands, takes medians and peaks of memory, and keeps the table.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What one command took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    /// The largest resident set seen, bytes.
    pub peak: u64,
}

#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// `theirs / ours` must reach this.
    TimesAsFast(f64),
    /// `ours / theirs` must stay within this.
    AtMost(f64),
    /// Printed without a goal.
    None,
}

#[derive(Serialize)]
struct Row {
    name: String,
    ours: f64,
    theirs: f64,
    ratio: f64,
    goal: String,
    holds: bool,
}

/// The table, printed as it grows.
pub struct Report {
    wanted: Vec<String>,
    rows: Vec<Row>,
}

impl Report {
    pub fn new(wanted: Vec<String>) -> Self {
        println!("{:<66} {:>11} {:>11} {:>7}  goal", "", "ours", "theirs", "ratio");
        Self { wanted, rows: Vec::new() }
    }

    /// Whether any row of this group (`tree`, `postgres`, `journal`, `status`, `memory`) was asked for.
    pub fn wants(&self, group: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|w| group.contains(w.as_str()))
    }

    /// Adds a row of two figures in the same unit (seconds or MiB).
    pub fn row(&mut self, name: &str, ours: f64, theirs: f64, goal: Goal) {
        let (ratio, wanted, holds) = match goal {
            Goal::TimesAsFast(times) => (theirs / ours, format!(">= {times}"), theirs / ours >= times),
            Goal::AtMost(most) => (ours / theirs, format!("<= {most}"), ours / theirs <= most),
            Goal::None => (ours / theirs, String::new(), true),
        };
        let verdict = if holds { "" } else { "  NOT REACHED" };
        println!("{name:<66} {ours:>11.2} {theirs:>11.2} {ratio:>7.2}  {wanted}{verdict}");
        self.rows.push(Row { name: name.to_owned(), ours, theirs, ratio, goal: wanted, holds });
    }

    pub fn write(&self) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench.json");
        std::fs::write(path, serde_json::to_string_pretty(&self.rows).unwrap()).unwrap();
        let missed = self.rows.iter().filter(|r| !r.holds).count();
        println!("{} rows, {missed} goals not reached; target/bench.json", self.rows.len());
    }
}

/// Runs each work once to warm up and then three times, in turns, so that a machine whose speed drifts slows all alike;
/// the medians, in seconds.
pub fn medians<const N: usize>(mut works: [&mut dyn FnMut() -> Duration; N]) -> [f64; N] {
    for work in &mut works {
        work();
    }
    let mut times = [[Duration::ZERO; 3]; N];
    for round in 0..3 {
        for (work, times) in works.iter_mut().zip(&mut times) {
            times[round] = work();
        }
    }
    times.map(|mut times| {
        times.sort();
        times[1].as_secs_f64()
    })
}

pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Runs a command to success, quietly.
pub fn run(command: &mut Command) -> Cost {
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let peak = watch(&child);
    let output = child.wait_with_output().unwrap();
    let wall = start.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Cost { wall, peak: peak.join().unwrap() }
}

/// A shell pipeline; a failure anywhere in it fails.
pub fn sh(script: &str) -> Cost {
    run(Command::new("bash").args(["-c", &format!("set -eo pipefail; {script}")]))
}

/// Follows a process's high-water mark until it ends.
fn watch(child: &Child) -> std::thread::JoinHandle<u64> {
    let status = format!("/proc/{}/status", child.id());
    std::thread::spawn(move || {
        let mut peak = 0;
        while let Some(kib) = std::fs::read_to_string(&status).ok().and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        }) {
            peak = peak.max(kib * 1024);
            std::thread::sleep(Duration::from_millis(10));
        }
        peak
    })
}

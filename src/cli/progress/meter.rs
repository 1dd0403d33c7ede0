//! How fast a task goes and how long it still takes. Pure: instants come in.

use std::time::Duration;

use crate::progress::TaskState;
use crate::stack::{ByteSize, duration};

/// Looks at one task from time to time.
#[derive(Debug, Clone)]
pub struct Meter {
    started: Duration,
    finished: Option<Duration>,
    last: Duration,
    last_done: f64,
    /// Smoothed, of bytes where the task has them, else of items.
    per_second: Option<f64>,
}

/// What a meter says of a task at an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub state: TaskState,
    pub elapsed: Duration,
    pub per_second: Option<f64>,
    pub left: Option<Duration>,
}

impl Meter {
    /// Half of what the rate says is younger than this: steady to look at, and quick to show a stall.
    const HALF_LIFE: f64 = 5.0;

    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self { started: now, finished: None, last: now, last_done: 0.0, per_second: None }
    }

    /// Takes a look at `now`, an instant on any steady clock.
    pub fn read(&mut self, state: TaskState, now: Duration) -> Reading {
        let (done, total) = measured(&state);
        let passed = now.saturating_sub(self.last).as_secs_f64();
        if passed > 0.0 {
            let rate = (done - self.last_done).max(0.0) / passed;
            let weight = 1.0 - 0.5_f64.powf(passed / Self::HALF_LIFE);
            self.per_second = Some(self.per_second.map_or(rate, |former| former + weight * (rate - former)));
            (self.last, self.last_done) = (now, done);
        }
        let left = match self.per_second {
            Some(rate) if rate > 0.0 && total > 0.0 && !state.finished => {
                Duration::try_from_secs_f64((total - done).max(0.0) / rate).ok()
            }
            _ => None,
        };
        if state.finished {
            self.finished.get_or_insert(now);
        }
        let elapsed = self.finished.unwrap_or(now).saturating_sub(self.started);
        Reading { state, elapsed, per_second: self.per_second, left }
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]
fn measured(state: &TaskState) -> (f64, f64) {
    if state.total_bytes > 0 || state.done_bytes > 0 {
        (state.done_bytes as f64, state.total_bytes as f64)
    } else {
        (state.done_items as f64, state.total_items as f64)
    }
}

impl Reading {
    /// How far, from 0 to 1; `None` where the end is not known.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let (done, total) = measured(&self.state);
        (total > 0.0).then(|| (done / total).min(1.0))
    }

    /// Over before anybody could have looked: not worth a line.
    #[must_use]
    pub fn is_brief(&self) -> bool {
        self.state.finished && self.elapsed < Duration::from_secs(1)
    }

    /// `1.20 GiB of 3.40 GiB (35%), 87.0 MiB/s, 26s left`.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are not negative, and are shown"
    )]
    pub fn text(&self) -> String {
        let state = &self.state;
        let in_bytes = state.total_bytes > 0 || state.done_bytes > 0;
        let amount = |n: u64| if in_bytes { ByteSize(n).to_string() } else { crate::cli::human::number(n) };
        let (done, total) =
            if in_bytes { (state.done_bytes, state.total_bytes) } else { (state.done_items, state.total_items) };
        let mut parts = vec![match self.fraction() {
            Some(fraction) => format!("{} of {} ({:.0}%)", amount(done), amount(total), (fraction * 100.0).floor()),
            None => amount(done),
        }];
        if let Some(rate) = self.per_second.filter(|rate| *rate >= 1.0) {
            parts.push(format!("{}/s", amount(rate as u64)));
        }
        if let Some(left) = self.left {
            parts.push(format!("{} left", duration::human(left.max(Duration::from_secs(1)))));
        }
        parts.join(", ")
    }

    /// `done, 3.40 GiB in 41s`.
    #[must_use]
    pub fn summary(&self) -> String {
        let state = &self.state;
        let mut amounts = Vec::new();
        if state.done_bytes > 0 {
            amounts.push(ByteSize(state.done_bytes).to_string());
        }
        if state.done_items > 0 {
            amounts.push(format!("{} items", crate::cli::human::number(state.done_items)));
        }
        let amounts = if amounts.is_empty() { String::new() } else { format!(", {}", amounts.join(", ")) };
        format!("done{amounts} in {}", duration::human(self.elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(done: u64, total: u64) -> TaskState {
        TaskState { done_bytes: done, total_bytes: total, done_items: 0, total_items: 0, finished: false }
    }

    #[test]
    fn a_steady_rate_tells_the_time_left() {
        let mut meter = Meter::new(Duration::ZERO);
        for second in 1..=20 {
            meter.read(state(second * (10 << 20), 1 << 30), Duration::from_secs(second));
        }
        let reading = meter.read(state(210 << 20, 1 << 30), Duration::from_secs(21));
        assert_eq!(reading.text(), "210 MiB of 1.00 GiB (20%), 10.0 MiB/s, 1m 21s left");
    }

    #[test]
    fn a_stall_is_seen_within_seconds() {
        let mut meter = Meter::new(Duration::ZERO);
        meter.read(state(100 << 20, 0), Duration::from_secs(1));
        let reading = meter.read(state(100 << 20, 0), Duration::from_secs(31));
        assert!(reading.per_second.unwrap() < 2.0 * f64::from(1 << 20), "{reading:?}");
        assert_eq!(reading.left, None, "without a total nobody knows");
    }

    #[test]
    fn what_has_no_bytes_counts_items() {
        let items = TaskState { done_items: 1_500, total_items: 3_000, ..state(0, 0) };
        let mut meter = Meter::new(Duration::ZERO);
        assert_eq!(meter.read(items, Duration::from_secs(1)).text(), "1,500 of 3,000 (50%), 1,500/s, 1.0s left");
        assert_eq!(meter.read(items, Duration::from_secs(2)).summary(), "done, 1,500 items in 2.0s");
    }
}

//! The recovery time of each record over time, against the objective: lines and dots in an SVG that is stretched to its
//! place, labels as text beside it, so that both are sharp and legible at any width.

use super::{Instant, Verdict, human};
use crate::evidence::{Link, Outcome};

/// More dots than these are no longer told apart at a phone's width.
const DOTS: usize = 120;

/// The SVG's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 240.0;
/// Room beside the outermost dots.
const MARGIN: f64 = 20.0;

/// An objective above this many times the largest value would press all dots to the ground.
const FARTHEST_OBJECTIVE: f64 = 3.0;

pub struct Chart {
    pub width: f64,
    pub height: f64,
    pub dots: Vec<Dot>,
    /// The line through the dots, as an SVG path.
    pub line: String,
    pub objective: Option<Objective>,
    /// Labels and their places from the top, in percent.
    pub scale: Vec<(String, f64)>,
    pub first: String,
    pub last: String,
    /// What there is to see, for who does not see it.
    pub summary: String,
}

pub struct Dot {
    pub x: f64,
    pub y: f64,
    pub title: String,
    pub class: &'static str,
}

pub struct Objective {
    /// In the SVG; none where it lies above.
    pub y: Option<f64>,
    pub percent: f64,
    pub text: String,
}

impl Chart {
    /// None where nothing was measured.
    pub fn of(links: &[&Link]) -> Option<Self> {
        let measured = links.iter().filter_map(|link| Some((*link, link.record.achieved.rto_ms?)));
        let mut measured: Vec<(&Link, u64)> = measured.collect();
        measured.drain(..measured.len().saturating_sub(DOTS));
        let (first, last) = (measured.first()?.0, measured.last()?.0);
        let (shortest, longest) = measured.iter().fold((u64::MAX, 0), |(a, b), (_, ms)| (a.min(*ms), b.max(*ms)));
        let objective_ms = last.record.objectives.rto_ms;
        let near = objective_ms.filter(|ms| *ms as f64 <= longest as f64 * FARTHEST_OBJECTIVE);
        let (step, lines) = scale(longest.max(near.unwrap_or(0)));
        let top = step.saturating_mul(lines);
        let y = |ms: u64| HEIGHT * (1.0 - ms as f64 / top as f64);
        let (from, to) = (first.record.finished.as_second(), last.record.finished.as_second());
        let span = (to - from) as f64;
        let x = |at: i64| match span > 0.0 {
            true => MARGIN + (WIDTH - 2.0 * MARGIN) * (at - from) as f64 / span,
            false => WIDTH / 2.0,
        };
        let dots: Vec<Dot> =
            measured.iter().map(|(link, ms)| Dot::of(link, *ms, x(link.record.finished.as_second()), y(*ms))).collect();
        let line = dots
            .iter()
            .enumerate()
            .map(|(n, dot)| format!("{}{:.1} {:.1}", if n == 0 { "M" } else { "L" }, dot.x, dot.y));
        let objective = objective_ms.map(|ms| Objective {
            y: near.map(y),
            percent: near.map_or(0.0, |ms| 100.0 * y(ms) / HEIGHT),
            text: if near.is_some() {
                format!("objective {}", human(ms))
            } else {
                format!("objective {}, far above", human(ms))
            },
        });
        let days = |link: &Link| Instant::of(link.record.finished).text.chars().take(10).collect::<String>();
        let summary = format!(
            "Recovery time of {} records from {} to {}: the shortest {}, the longest {}, the newest {}{}.",
            dots.len(),
            days(first),
            days(last),
            human(shortest),
            human(longest),
            human(measured.last()?.1),
            objective_ms.map(|ms| format!("; the objective is {}", human(ms))).unwrap_or_default()
        );
        Some(Self {
            width: WIDTH,
            height: HEIGHT,
            line: line.collect::<Vec<_>>().join(" "),
            dots,
            objective,
            scale: (0..=lines)
                .map(|n| (label(step.saturating_mul(n)), 100.0 * (lines - n) as f64 / lines as f64))
                .collect(),
            first: days(first),
            last: days(last),
            summary,
        })
    }
}

impl Dot {
    fn of(link: &Link, ms: u64, x: f64, y: f64) -> Self {
        let record = &link.record;
        let class = Verdict::of(record.outcome).class;
        let outcome = if record.outcome == Outcome::Passed { "" } else { record.outcome.word() };
        let parts = [format!("{} {}", record.kind.word(), link.number), Instant::of(record.finished).text, human(ms)];
        let title = parts.into_iter().chain((!outcome.is_empty()).then(|| outcome.to_owned())).collect::<Vec<_>>();
        Self { x: tenth(x), y: tenth(y), title: title.join(", "), class }
    }
}

fn label(ms: u64) -> String {
    if ms == 0 { "0".into() } else { human(ms) }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// How far apart the lines of a scale up to `ms` are, and how many there are: as people would draw it, at most five.
fn scale(ms: u64) -> (u64, u64) {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = [1, 2, 5, 10, 15, 20, 30].map(|n| n * SECOND);
    let minutes = [1, 2, 5, 10, 15, 20, 30].map(|n| n * MINUTE);
    let hours = [1, 2, 3, 6, 12].map(|n| n * HOUR);
    let days = [DAY, 2 * DAY, 7 * DAY, 30 * DAY];
    let mut steps = seconds.into_iter().chain(minutes).chain(hours).chain(days);
    let step = steps.find(|step| ms <= 5 * step).unwrap_or_else(|| ms.div_ceil(5));
    (step, ms.div_ceil(step).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_one_that_people_would_draw() {
        let drawn = [0, 900, 41_500, 71_300, 1_800_000, 700_000_000].map(scale);
        let hour = 3_600_000;
        assert_eq!(drawn, [(1_000, 1), (1_000, 1), (10_000, 5), (15_000, 5), (600_000, 3), (48 * hour, 5)]);
        assert_eq!(scale(u64::MAX).1, 5);
    }
}

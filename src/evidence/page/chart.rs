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
    /// From the top: the label and its height in percent.
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
        let top = ceiling(longest.max(near.unwrap_or(0)));
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
            scale: [0_u32, 1, 2, 3, 4]
                .iter()
                .map(|n| (human(top * u64::from(4 - n) / 4), 25.0 * f64::from(*n)))
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

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The next length at or above `ms` that people would write on a scale and that four parts divide evenly.
fn ceiling(ms: u64) -> u64 {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const STEPS: [u64; 22] = [
        SECOND,
        2 * SECOND,
        4 * SECOND,
        8 * SECOND,
        20 * SECOND,
        40 * SECOND,
        MINUTE,
        2 * MINUTE,
        4 * MINUTE,
        8 * MINUTE,
        12 * MINUTE,
        20 * MINUTE,
        40 * MINUTE,
        HOUR,
        2 * HOUR,
        4 * HOUR,
        8 * HOUR,
        12 * HOUR,
        24 * HOUR,
        48 * HOUR,
        96 * HOUR,
        192 * HOUR,
    ];
    STEPS.into_iter().find(|step| ms <= *step).unwrap_or_else(|| ms.div_ceil(192 * HOUR).saturating_mul(192 * HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_where_people_would_end_it() {
        assert_eq!([0, 1, 41_500, 61_000, 700_000_000].map(ceiling), [1_000, 1_000, 60_000, 120_000, 1_382_400_000]);
        assert!(ceiling(u64::MAX) > 0);
    }
}

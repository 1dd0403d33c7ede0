//! The list of recovery points.

use super::Shown;
use super::say::{self, Instant, Verdict};
use crate::point::State;

/// A browser of a phone opens so many.
const MOST: usize = 500;

pub struct Row {
    pub id: String,
    pub time: Instant,
    pub ago: String,
    pub verdict: Verdict,
    pub proven: String,
    pub size: String,
    pub stored: String,
    pub remark: String,
}

#[must_use]
pub fn rows(shown: &Shown<'_>) -> Vec<Row> {
    let points = shown.view.known.points.points.iter().take(MOST);
    points
        .map(|point| {
            let record = point.record().ok();
            let mut remarks = Vec::new();
            if let State::Broken(why) | State::Newer(why) = &point.state {
                remarks.push(why.clone());
            }
            remarks.extend(record.and_then(|record| record.reason.clone()));
            if let Some(keep) = point.keep.as_ref().filter(|keep| keep.holds(shown.now)) {
                remarks.push(format!("kept: {}", keep.reason));
            }
            if !point.tags.is_empty() {
                remarks.push(format!("tagged {}", point.tags.join(", ")));
            }
            let warnings = record.map_or(0, |record| record.warning_count());
            if warnings > 0 {
                remarks.push(format!("{} warnings", say::number(warnings)));
            }
            Row {
                id: point.id.short(),
                time: Instant::of(point.time),
                ago: say::distance(point.time, shown.now),
                verdict: match &point.state {
                    State::Complete => Verdict::new("complete", "✓", "good"),
                    State::Partial => Verdict::new("partial", "·", "neutral"),
                    State::Broken(_) => Verdict::new("broken", "✕", "bad"),
                    State::Newer(_) => Verdict::new("newer", "!", "late"),
                },
                proven: point.proven.as_ref().map(|proven| say::distance(proven.time, shown.now)).unwrap_or_default(),
                size: record.map(|record| say::size(record.bytes())).unwrap_or_default(),
                stored: record.map(|record| say::size(record.stats.stored_bytes)).unwrap_or_default(),
                remark: remarks.join("; "),
            }
        })
        .collect()
}

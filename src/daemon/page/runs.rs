//! The list of runs: the newest, as they are in memory.

use super::Shown;
use super::say::{self, Instant, Verdict};
use crate::status::{RunLine, newest_first};

pub struct Row {
    pub run: String,
    pub by: String,
    pub started: Instant,
    pub took: String,
    pub verdict: Verdict,
    pub failure: String,
}

#[must_use]
pub fn rows(shown: &Shown<'_>) -> Vec<Row> {
    let known = &shown.view.known;
    let mut names: Vec<_> = known.runs.iter().map(|one| one.run.clone()).collect();
    newest_first(&mut names);
    let found = names.iter().filter_map(|name| known.runs.iter().find(|one| one.run == *name));
    found
        .map(|one| match &one.state {
            Ok(state) => {
                let line = RunLine::of(&one.run, state, &known.leaders, shown.now);
                Row {
                    run: line.run.to_string(),
                    by: line.by.clone(),
                    started: Instant::of(line.started),
                    took: say::ms(line.took_ms),
                    verdict: Verdict::of_standing(line.standing),
                    failure: line.failure.map(|failure| failure.message).unwrap_or_default(),
                }
            }
            Err(why) => Row {
                run: one.run.to_string(),
                by: String::new(),
                started: Instant { text: String::new(), datetime: String::new() },
                took: String::new(),
                verdict: Verdict::new("not understood", "✕", "bad"),
                failure: why.clone(),
            },
        })
        .collect()
}

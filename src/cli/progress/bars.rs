//! One bar a task that is under way; a finished one leaves a line.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Reading, Renderer};
use crate::cli::screen::Screen;
use crate::progress::Task;

pub struct Bars {
    screen: Screen,
    /// One a task; `None` once it has finished.
    bars: Vec<Option<ProgressBar>>,
}

/// A bar's own resolution.
const STEPS: u64 = 1_000;

impl Bars {
    pub fn new(screen: &Screen) -> Self {
        Self { screen: screen.clone(), bars: Vec::new() }
    }

    fn bar(&self, task: &Task) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix} [{bar:24}] {msg}").expect("the template is ours");
        let bar = ProgressBar::new(STEPS).with_style(style.progress_chars("=> ")).with_prefix(task.name.clone());
        self.screen.bars().add(bar)
    }
}

impl Renderer for Bars {
    fn every(&self) -> Duration {
        Duration::from_millis(100)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of STEPS")]
    fn show(&mut self, tasks: &[(Arc<Task>, Reading)], last: bool) {
        for (task, _) in &tasks[self.bars.len()..] {
            let bar = self.bar(task);
            self.bars.push(Some(bar));
        }
        for (slot, (task, reading)) in self.bars.iter_mut().zip(tasks) {
            let Some(bar) = slot else { continue };
            if reading.state.finished || last {
                bar.finish_and_clear();
                if reading.state.finished && !reading.is_brief() {
                    self.screen.line(&format!("{}: {}", task.name, reading.summary()));
                }
                *slot = None;
            } else {
                bar.set_position((reading.fraction().unwrap_or(0.0) * STEPS as f64) as u64);
                bar.set_message(reading.text());
            }
        }
    }
}

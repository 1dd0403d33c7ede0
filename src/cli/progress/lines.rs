//! A line a task every few seconds, for logs and pipes.

use std::sync::Arc;
use std::time::Duration;

use super::{Reading, Renderer};
use crate::cli::screen::Screen;
use crate::progress::{Task, TaskState};

pub struct Lines {
    screen: Screen,
    /// What each task's last line said, so that a task that stands still does not fill a log.
    said: Vec<Option<TaskState>>,
}

impl Lines {
    pub fn new(screen: &Screen) -> Self {
        Self { screen: screen.clone(), said: Vec::new() }
    }
}

impl Renderer for Lines {
    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn show(&mut self, tasks: &[(Arc<Task>, Reading)], _last: bool) {
        self.said.resize(tasks.len(), None);
        for (said, (task, reading)) in self.said.iter_mut().zip(tasks) {
            if *said == Some(reading.state) || (said.is_none() && reading.is_brief()) {
                continue;
            }
            let text = if reading.state.finished { reading.summary() } else { reading.text() };
            self.screen.line(&format!("{}: {text}", task.name));
            *said = Some(reading.state);
        }
    }
}

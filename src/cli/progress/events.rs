//! One JSON object a line and task, for programs that draw their own.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Reading, Renderer};
use crate::cli::screen::Screen;
use crate::progress::{Task, TaskState};

pub struct Events {
    screen: Screen,
    said: Vec<Option<TaskState>>,
}

/// What `--progress json` prints. A total of 0 is not known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    event: &'static str,
    task: &'a str,
    done_bytes: u64,
    total_bytes: u64,
    done_items: u64,
    total_items: u64,
    elapsed_ms: u64,
    /// Of bytes where there are any, else of items.
    per_second: Option<u64>,
    left_ms: Option<u64>,
    finished: bool,
}

impl Events {
    pub fn new(screen: &Screen) -> Self {
        Self { screen: screen.clone(), said: Vec::new() }
    }
}

impl Renderer for Events {
    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn show(&mut self, tasks: &[(Arc<Task>, Reading)], _last: bool) {
        self.said.resize(tasks.len(), None);
        for (said, (task, reading)) in self.said.iter_mut().zip(tasks) {
            if *said != Some(reading.state) {
                self.screen.line(&event(&task.name, reading));
                *said = Some(reading.state);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative")]
fn event(task: &str, reading: &Reading) -> String {
    let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let TaskState { done_bytes, total_bytes, done_items, total_items, finished } = reading.state;
    let event = Event {
        event: "progress",
        task,
        done_bytes,
        total_bytes,
        done_items,
        total_items,
        elapsed_ms: ms(reading.elapsed),
        per_second: reading.per_second.map(|rate| rate as u64),
        left_ms: reading.left.map(ms),
        finished,
    };
    serde_json::to_string(&event).expect("numbers and names are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_stable_names() {
        let state = TaskState { done_bytes: 5, total_bytes: 10, done_items: 1, total_items: 0, finished: false };
        let reading = Reading {
            state,
            elapsed: Duration::from_millis(1_500),
            per_second: Some(2.5),
            left: Some(Duration::from_secs(2)),
        };
        let expected = "{\"event\":\"progress\",\"task\":\"db\",\"doneBytes\":5,\"totalBytes\":10,\"doneItems\":1,\
            \"totalItems\":0,\"elapsedMs\":1500,\"perSecond\":2,\"leftMs\":2000,\"finished\":false}";
        assert_eq!(event("db", &reading), expected);
    }
}

//! Draws the tasks of a [`Progress`]: bars on a terminal, plain lines in a pipe, JSON events for programs; all on
//! standard error. The work only counts; this thread looks.

mod bars;
mod events;
mod lines;
mod meter;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::screen::Screen;
use crate::progress::{Progress, Task};
use meter::{Meter, Reading};

/// What `--progress` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Mode {
    /// Bars on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Bars.
    Bar,
    /// A line every few seconds.
    Plain,
    /// One JSON object a line, every second.
    Json,
    /// Nothing.
    None,
}

/// One way of showing tasks.
trait Renderer: Send {
    /// How often it wants to look.
    fn every(&self) -> Duration;

    /// Shows what each task has come to; the last call has `last`.
    fn show(&mut self, tasks: &[(Arc<Task>, Reading)], last: bool);
}

/// Shows progress until it is dropped.
#[derive(Debug)]
pub struct Display {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Begins to show `progress` as `mode` says.
    #[must_use]
    pub fn start(mode: Mode, progress: &Progress, screen: &Screen) -> Self {
        let renderer: Box<dyn Renderer> = match mode {
            Mode::Auto if std::io::stderr().is_terminal() => Box::new(bars::Bars::new(screen)),
            Mode::Bar => Box::new(bars::Bars::new(screen)),
            Mode::Auto | Mode::Plain => Box::new(lines::Lines::new(screen)),
            Mode::Json => Box::new(events::Events::new(screen)),
            Mode::None => return Self { stop: None, thread: None },
        };
        let (stop, stopped) = mpsc::channel();
        let progress = progress.clone();
        let thread = std::thread::spawn(move || watch(renderer, &progress, &stopped));
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A renderer that panicked has said so on standard error; the work is not touched by it.
            thread.join().ok();
        }
    }
}

/// How often tasks are looked at, whatever is shown: a task's beginning and end are known as well as that.
const LOOK: Duration = Duration::from_millis(100);

fn watch(mut renderer: Box<dyn Renderer>, progress: &Progress, stopped: &mpsc::Receiver<()>) {
    let begin = Instant::now();
    let mut meters: Vec<Meter> = Vec::new();
    let mut due = renderer.every();
    loop {
        let last = !matches!(stopped.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout));
        let now = begin.elapsed();
        let tasks = progress.tasks();
        meters.resize_with(tasks.len(), || Meter::new(now.saturating_sub(LOOK)));
        let read = |(task, meter): (Arc<Task>, &mut Meter)| {
            let reading = meter.read(task.state(), now);
            (task, reading)
        };
        let readings: Vec<(Arc<Task>, Reading)> = tasks.into_iter().zip(&mut meters).map(read).collect();
        if last || now >= due {
            due = now + renderer.every();
            renderer.show(&readings, last);
        }
        if last {
            return;
        }
    }
}

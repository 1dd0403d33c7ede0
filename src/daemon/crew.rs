//! The runs that this process leads, each in a task of its own: begun, told to stop, waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::{Active, Board, outcome_word};
use super::health::Health;
use super::leader::{Ending, Leader, NotLed, Waits, Wanted};
use crate::context::Context;
use crate::progress::Progress;
use crate::run::{RunId, Stop, Why};

/// What a step that was told to stop has for letting go, before the process leaves without it.
const LAST: Duration = Duration::from_secs(20);

/// Tasks that lead runs.
pub struct Crew {
    leader: Arc<dyn Leader>,
    board: Arc<Board>,
    cx: Context,
    tasks: JoinSet<Done>,
    /// The taking up of what earlier processes left.
    taking_up: Option<Stop>,
}

/// A task that has ended.
pub struct Done {
    /// None: it took up what earlier processes left.
    pub wanted: Option<Wanted>,
    pub result: Result<Ending, NotLed>,
}

impl Crew {
    #[must_use]
    pub fn new(leader: Arc<dyn Leader>, board: Arc<Board>, cx: Context) -> Self {
        Self { leader, board, cx, tasks: JoinSet::new(), taking_up: None }
    }

    /// Takes up what earlier processes left open.
    pub fn take_up(&mut self) {
        let cx = self.context();
        let stop = Stop::of(&cx.cancel);
        self.taking_up = Some(stop.clone());
        let leader = self.leader.clone();
        self.tasks.spawn(async move {
            let result = leader.take_up(&stop, &cx).await.map(|()| Ending::Parked);
            if let Err(error) = &result {
                tracing::warn!(why = error.message, "what earlier processes left could not be taken up yet");
            }
            Done { wanted: None, result }
        });
    }

    /// Leads `wanted` in a task of its own.
    pub fn lead(&mut self, wanted: Wanted) {
        let cx = self.context();
        let stop = Stop::of(&cx.cancel);
        let waits = Arc::new(AtomicBool::new(false));
        let active = Active {
            operation: wanted.operation.word(),
            progress: cx.progress.clone(),
            stop: stop.clone(),
            waits: waits.clone(),
        };
        self.board.begins(wanted.run.clone(), active);
        let leader = self.leader.clone();
        self.tasks.spawn(async move {
            let hears: Waits = Arc::new(move |whether| waits.store(whether, Ordering::Relaxed));
            let result = leader.lead(&wanted, &stop, &cx, hears).await;
            Done { wanted: Some(wanted), result }
        });
    }

    /// The context of one run: its own progress, and a word to stop that is its own.
    fn context(&self) -> Context {
        Context { progress: Progress::default(), ..self.cx.stoppable() }
    }

    #[must_use]
    pub fn leads(&self, run: &RunId) -> bool {
        self.board.active().contains_key(run)
    }

    /// Has a run that this process leads undone; false where it leads none of that id.
    #[must_use]
    pub fn abandon(&self, run: &RunId, by: &str) -> bool {
        let Some(active) = self.board.active().get(run).cloned() else { return false };
        active.stop.stop(Why::Abandoned { by: by.to_owned() });
        true
    }

    /// The next task that ends; none while there is no task.
    pub async fn next(&mut self) -> Option<Done> {
        let done = match self.tasks.join_next().await? {
            Ok(done) => done,
            // Only its own outer task could have panicked, which does nothing that could.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        match &done.wanted {
            Some(wanted) => {
                let outcome = done.result.as_ref().map_or(Some("not-led"), outcome_word);
                self.board.ends(&wanted.run, outcome);
            }
            None => self.taking_up = None,
        }
        Some(done)
    }

    /// Lets steps that are under way end within `grace`, then has them stop where they are, and waits.
    pub async fn leave(mut self, grace: Duration, at_once: &CancellationToken, health: &Health) {
        for (run, active) in self.board.active() {
            if !active.is_waiting() {
                tracing::info!(%run, grace_seconds = grace.as_secs(), "the running step may end, then the run is parked");
                active.stop.park_after_step();
            } else {
                active.stop.stop(Why::Parked);
            }
        }
        if let Some(stop) = &self.taking_up {
            stop.park_after_step();
        }
        let graceful = Instant::now() + grace;
        if self.all_end(graceful, Some(at_once), health).await {
            return;
        }
        for active in self.board.active().into_values() {
            active.stop.stop(Why::Parked);
        }
        if let Some(stop) = &self.taking_up {
            stop.stop(Why::Parked);
        }
        if !self.all_end(Instant::now() + LAST, None, health).await {
            let left: Vec<String> = self.board.active().keys().map(ToString::to_string).collect();
            tracing::warn!(runs = left.join(", "), "left without an answer; the next daemon takes them up");
        }
    }

    /// Whether all tasks ended before `until`.
    async fn all_end(&mut self, until: Instant, at_once: Option<&CancellationToken>, health: &Health) -> bool {
        let never = CancellationToken::new();
        let at_once = at_once.unwrap_or(&never);
        loop {
            health.tick();
            tokio::select! {
                done = self.next() => match done {
                    Some(Done { wanted: Some(wanted), result }) => told_at_the_end(&wanted.run, &result),
                    Some(Done { wanted: None, .. }) => {}
                    None => return true,
                },
                () = tokio::time::sleep_until(until) => return false,
                () = at_once.cancelled() => return false,
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        }
    }
}

fn told_at_the_end(run: &RunId, result: &Result<Ending, NotLed>) {
    match result {
        Ok(Ending::Parked) => tracing::info!(%run, "a run is parked: the next daemon resumes it"),
        Ok(Ending::Over(outcome)) => tracing::info!(%run, outcome = outcome.word(), "a run is over"),
        Ok(Ending::NeedsPerson { step }) => tracing::error!(%run, step, "a run needs a person"),
        Ok(Ending::Elsewhere { holder }) => tracing::info!(%run, holder, "another process leads this run"),
        Err(error) => tracing::warn!(%run, why = error.message, "a run was left; the next daemon takes it up"),
    }
}

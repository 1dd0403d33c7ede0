//! Runs are led, one at a time a stack, the oldest first; meanwhile their status follows their journal.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::error::{ControllerError, with_hint};
use super::execute::{LeftAt, execute, run_id};
use super::{Shared, story, view};
use crate::cluster::run::RunSpec;
use crate::cluster::status::RunStatus;
use crate::cluster::{Again, Reconciler, Seen, Severity, Watched};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::Said;
use crate::progress::Progress;
use crate::run::{RunId, State, Stop};

/// Whose the fields of the status are.
const MANAGER: &str = "drydock-controller";
/// What kept a run from going on may have passed by then.
const AGAIN: Duration = Duration::from_secs(15);
/// Behind another run of the same stack; its end wakes this one sooner.
const BEHIND: Duration = Duration::from_secs(30);
/// Changes of a status within this are written as one.
const TOGETHER: Duration = Duration::from_millis(300);

pub struct Runs {
    shared: Arc<Shared>,
    watched: Watched,
}

/// What a run has said last.
#[derive(Default, Clone)]
struct Heard {
    state: Option<Box<State>>,
    waits_for: Option<String>,
}

/// One Run, as it is told to the API server.
struct Told<'a> {
    shared: &'a Shared,
    stack: Option<Seen>,
    seen: &'a Seen,
    status: RunStatus,
    /// As far as Events have told it.
    state: Option<Box<State>>,
}

impl Runs {
    pub fn new(shared: Arc<Shared>, watched: Watched) -> Self {
        Self { shared, watched }
    }
}

#[async_trait]
impl Reconciler for Runs {
    async fn reconcile(&self, seen: Seen) -> Again {
        let former: RunStatus = seen.status();
        if view::is_over(&former) || self.shared.stop.is_cancelled() {
            return Again::OnChange;
        }
        let spec: RunSpec = match serde_json::from_value(seen.spec.clone()) {
            Ok(spec) => spec,
            Err(error) => {
                // A newer drydock's definitions let it in.
                tracing::warn!(run = seen.name, %error, "a Run cannot be understood");
                return Again::OnChange;
            }
        };
        let name = spec.stack.as_str();
        let stack = self.watched.stack(&seen.namespace, name);
        let mut told = Told { shared: &self.shared, stack: stack.clone(), seen: &seen, status: former, state: None };
        let Some(stack) = stack else {
            let error = ControllerError::NoStack { stack: name.to_owned(), namespace: seen.namespace.clone() };
            told.publish(view::of_error(&seen, name, &error, &told.status, self.shared.cx.clock.now())).await;
            return Again::OnChange;
        };
        let runs = self.watched.runs(&seen.namespace, name);
        let before = runs.iter().take_while(|run| run.uid != seen.uid).find(|run| !view::is_over(&run.status()));
        if let Some(before) = before {
            told.publish(view::waits(&seen, format!("the Run {} comes first", before.name), &told.status)).await;
            return Again::After(BEHIND);
        }
        let Ok(run) = run_id(&seen, name) else { return Again::OnChange };
        self.lead(&stack, &spec, &run, &mut told).await
    }
}

impl Runs {
    async fn lead(&self, stack: &Seen, spec: &RunSpec, run: &RunId, told: &mut Told<'_>) -> Again {
        let seen = told.seen.clone();
        let cx = Context { progress: Progress::default(), ..self.shared.cx.stoppable() };
        let stop = Stop::of(&cx.cancel);
        self.shared.crew.begins(&seen.uid, &stop);
        let (says, mut heard) = watch::channel(Heard::default());
        let mut work = tokio::task::spawn_blocking({
            // A run stays on the thread that it began on.
            let (shared, stack, seen, spec, run) =
                (self.shared.clone(), stack.clone(), seen.clone(), spec.clone(), run.clone());
            let runtime = tokio::runtime::Handle::current();
            move || {
                let say = |said| hear(&says, &run, said);
                runtime.block_on(execute(&shared, &stack, &seen, &spec, (&stop, &cx), &say))
            }
        });
        let done = loop {
            tokio::select! {
                biased;
                () = self.shared.lost.cancelled() => return Again::OnChange,
                done = &mut work => break done,
                Ok(()) = heard.changed() => {
                    let now = heard.borrow_and_update().clone();
                    told.heard(run, now).await;
                    tokio::time::sleep(TOGETHER).await;
                }
            }
        };
        self.shared.crew.ends(&seen.uid);
        if self.shared.lost.is_cancelled() {
            return Again::OnChange;
        }
        match done.unwrap_or_else(|panic| Err(ControllerError::Panic(panic.to_string()))) {
            Ok(LeftAt { state, stuck }) => {
                // An end that could not be said is said later: the journal has it.
                if told.moved(run, Box::new(state), stuck.as_deref()).await {
                    Again::OnChange
                } else {
                    Again::After(AGAIN)
                }
            }
            Err(error) => {
                let now = heard.borrow().clone();
                if now.state.is_some() {
                    told.heard(run, now).await;
                }
                if self.shared.stop.is_cancelled() {
                    return Again::OnChange; // it was told to stop; whoever comes next goes on
                }
                tracing::warn!(%run, %error, hint = error.hint(), "a run does not go on");
                told.failed(spec.stack.as_str(), &error).await;
                Again::After(AGAIN)
            }
        }
    }
}

/// Other runs that are taken up on the way say what they do as well; this one's status is its own.
fn hear(says: &watch::Sender<Heard>, run: &RunId, said: Said) {
    match said {
        Said::Moved { run: moved, state } if moved == *run => {
            says.send_modify(|heard| *heard = Heard { state: Some(state), waits_for: None });
        }
        Said::Waiting(held) => {
            tracing::info!(%run, holder = held.holder, at = held.run, "a run waits for who is at the stack");
            says.send_modify(|heard| heard.waits_for = Some(format!("{} is at the run {}", held.holder, held.run)));
        }
        Said::TakesUp { run: other, operation, .. } => {
            tracing::info!(%run, %other, operation, "a run that was cut off is taken up");
        }
        Said::Moved { .. } | Said::TookUp(_) | Said::Expects(_) => {}
    }
}

impl Told<'_> {
    async fn heard(&mut self, run: &RunId, heard: Heard) {
        match (heard.state, heard.waits_for) {
            (_, Some(holder)) => _ = self.publish(view::waits(self.seen, holder, &self.status)).await,
            (Some(state), None) => _ = self.moved(run, state, None).await,
            (None, None) => {}
        }
    }

    /// False when it could not be written.
    async fn moved(&mut self, run: &RunId, state: Box<State>, stuck: Option<&str>) -> bool {
        for told in story::of(self.state.as_deref(), &state, &self.seen.namespace) {
            self.tell(told.severity, told.reason, &format!("{}: {}", told.about, self.seen.name), &told.note).await;
        }
        let status = view::of_journal(self.seen, run, &state, stuck, &self.status);
        self.state = Some(state);
        self.publish(status).await
    }

    async fn failed(&mut self, stack: &str, error: &ControllerError) {
        let status = view::of_error(self.seen, stack, error, &self.status, self.shared.cx.clock.now());
        if status != self.status {
            let hint = error.hint();
            let note = with_hint(error.to_string(), hint.as_deref(), stack, &self.seen.namespace);
            let reason = if view::is_over(&status) { "DeployRefused" } else { "DeployWaits" };
            self.tell(Severity::Warning, reason, &self.seen.name, &note).await;
        }
        self.publish(status).await;
    }

    /// Of the Run, and of the Stack, where people look.
    async fn tell(&self, severity: Severity, reason: &str, action: &str, note: &str) {
        for seen in std::iter::once(self.seen).chain(&self.stack) {
            self.shared.teller.tell(seen, severity, reason, action, note).await;
        }
    }

    async fn publish(&mut self, status: RunStatus) -> bool {
        if status == self.status || self.shared.lost.is_cancelled() {
            return true;
        }
        match self.shared.own.publish(self.seen, MANAGER, &status).await {
            Ok(_) => self.status = status,
            Err(error) => {
                tracing::warn!(run = self.seen.name, %error, "a Run's status could not be written");
                return false;
            }
        }
        true
    }
}

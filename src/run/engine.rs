//! Leads a run to its end by its journal: record what is intended, look, do, record, verify, record. Memory follows the
//! journal: what could not be recorded did not happen, and a run whose journal cannot be written stops where it is.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::decide::{Decision, decide};
use super::event::{Entry, Event, Failed, Outcome};
use super::journal::Journal;
use super::plan::PlannedStep;
use super::state::{Stage, State, StepState};
use super::step::{Probe, StepError, Steps};
use crate::context::Context;
use crate::failure::{Category, Failure};

/// How a run was left.
#[derive(Debug)]
pub enum Left {
    Over {
        outcome: Outcome,
        /// What made it fail, with its causes, where this process has seen it fail.
        error: Option<StepError>,
    },
    /// A person has to look at this step.
    Waiting { step: String, error: Option<StepError> },
}

/// A run in the hands of this process.
pub struct Engine<'a> {
    log: Mutex<Log>,
    steps: &'a dyn Steps,
    /// Stops the work: steps fail with `Interrupted`, and what was done is undone.
    cx: &'a Context,
    /// Undoing is not stopped by what stopped the work.
    undo_cx: Context,
    error: Mutex<Option<StepError>>,
}

/// What keeps a step from going on.
enum Trouble {
    Step(StepError),
    Journal(RunError),
}

impl From<StepError> for Trouble {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl From<RunError> for Trouble {
    fn from(error: RunError) -> Self {
        Self::Journal(error)
    }
}

/// The journal and what it adds up to; one writer at a time.
struct Log {
    journal: Box<dyn Journal>,
    state: State,
}

impl Log {
    async fn append(&mut self, event: Event, cx: &Context) -> Result<(), RunError> {
        let entry = Entry::new(self.state.next, cx.clock.now(), event);
        let run = self.journal.run().to_string();
        let state = self.state.clone().apply(&entry).map_err(|reason| RunError::Damaged { run, reason })?;
        self.journal.append(&entry).await?; // only what is stored is so
        self.state = state;
        Ok(())
    }
}

impl<'a> Engine<'a> {
    /// Takes the run up where its journal ends. The caller holds the right to act.
    pub fn new(journal: Box<dyn Journal>, state: State, steps: &'a dyn Steps, cx: &'a Context) -> Self {
        let undo_cx = Context { cancel: CancellationToken::new(), ..cx.clone() };
        Self { log: Mutex::new(Log { journal, state }), steps, cx, undo_cx, error: Mutex::new(None) }
    }

    /// Writes that this process is at it now.
    ///
    /// # Errors
    /// When the journal cannot be written, or somebody with a newer token is at it.
    pub async fn adopt(&self, holder: &str, token: u64) -> Result<(), RunError> {
        let event = Event::Adopted { holder: holder.to_owned(), token, tool: crate::TOOL.to_owned() };
        self.record(event).await
    }

    /// Goes on until nothing is left to do, or a person has to look.
    ///
    /// # Errors
    /// When the journal cannot be written: whoever comes next goes on from what it says.
    pub async fn finish(self) -> Result<(Left, State), RunError> {
        loop {
            let decision = decide(&self.log.lock().await.state);
            match decision {
                Decision::Do(steps) => {
                    let done = join_all(steps.into_iter().map(|step| self.advance(step))).await;
                    done.into_iter().collect::<Result<(), _>>()?;
                }
                Decision::Undo(step) => self.undo(step).await?,
                Decision::Finish(outcome) => self.record(Event::Finished { outcome }).await?,
                Decision::Ask(step) => {
                    let state = self.log.into_inner().state;
                    let step = state.steps[step].name.clone();
                    return Ok((Left::Waiting { step, error: self.error.into_inner() }, state));
                }
                Decision::Over(outcome) => {
                    let state = self.log.into_inner().state;
                    return Ok((Left::Over { outcome, error: self.error.into_inner() }, state));
                }
            }
        }
    }

    async fn record(&self, event: Event) -> Result<(), RunError> {
        self.log.lock().await.append(event, self.cx).await
    }

    /// Brings one step as far as it comes.
    async fn advance(&self, at: usize) -> Result<(), RunError> {
        let (planned, found) = self.look(at).await;
        match self.work(&planned, found).await {
            Ok(()) => Ok(()),
            Err(Trouble::Journal(error)) => Err(error),
            Err(Trouble::Step(error)) => {
                self.fail(error, |failure| Event::Failed { step: planned.name, failure }).await
            }
        }
    }

    async fn work(&self, planned: &PlannedStep, found: StepState) -> Result<(), Trouble> {
        let step = || planned.name.clone();
        let doing = self.steps.step(planned)?;
        let output = match found.output.filter(|_| found.stage == Stage::Applied) {
            Some(output) => output,
            None => {
                if found.stage == Stage::Failed {
                    self.pause(found.attempts).await;
                }
                self.record(Event::Intended { step: step(), attempt: found.attempts + 1 }).await?;
                let output = match doing.probe(self.cx).await? {
                    Probe::Done(output) => output,
                    Probe::Absent => doing.apply(self.cx).await?,
                };
                self.record(Event::Applied { step: step(), output: output.clone() }).await?;
                output
            }
        };
        doing.verify(&output, self.cx).await?;
        Ok(self.record(Event::Verified { step: step() }).await?)
    }

    /// Before a step is tried again, which only those are that cannot be undone: 2 s, 4 s, 8 s …
    async fn pause(&self, attempts: u32) {
        let wait = Duration::from_secs(1 << attempts.min(6));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.cx.cancel.cancelled() => {}
        }
    }

    async fn undo(&self, at: usize) -> Result<(), RunError> {
        let (planned, found) = self.look(at).await;
        let step = planned.name.clone();
        self.record(Event::UndoIntended { step: step.clone() }).await?;
        let undone = async { self.steps.step(&planned)?.undo(found.output.as_ref(), &self.undo_cx).await };
        match undone.await {
            Ok(()) => self.record(Event::Undone { step }).await,
            Err(error) => self.fail(error, |failure| Event::UndoFailed { step, failure }).await,
        }
    }

    async fn look(&self, at: usize) -> (PlannedStep, StepState) {
        let log = self.log.lock().await;
        let planned = log.state.plan.steps().nth(at).expect("the state has a step for each of the plan").clone();
        (planned, log.state.steps[at].clone())
    }

    /// A lost lease is no failure of the step: the process that has it now goes on.
    async fn fail(&self, error: StepError, event: impl FnOnce(Failed) -> Event) -> Result<(), RunError> {
        if error.category() == Category::LeaseLost {
            let run = self.log.lock().await.journal.run().to_string();
            return Err(RunError::Lost { run });
        }
        let failed = error.failed();
        self.error.lock().await.get_or_insert(error);
        self.record(event(failed)).await
    }
}

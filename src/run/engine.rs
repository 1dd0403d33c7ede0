//! Leads a run to its end by its journal: record what is intended, look, do, record, verify, record. Memory follows the
//! journal: what could not be recorded did not happen, and a run whose journal cannot be written stops where it is.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;

use super::RunError;
use super::decide::{Decision, decide};
use super::event::{Entry, Event, Failed, Outcome};
use super::journal::Journal;
use super::plan::PlannedStep;
use super::state::{Stage, State, StepState};
use super::step::{Probe, StepError, Steps};
use super::stop::{Stop, Why};
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
    /// Whoever comes next goes on from where it is.
    Parked,
}

/// A run in the hands of this process.
pub struct Engine<'a> {
    log: Mutex<Log>,
    steps: &'a dyn Steps,
    /// Stops the work: steps fail with `Interrupted`, and what was done is undone.
    cx: &'a Context,
    /// Undoing is not stopped by what stopped the work, unless the right to act is lost.
    undo_cx: Context,
    stop: Stop,
    error: Mutex<Option<StepError>>,
    /// Hears of the run after every entry.
    hears: Option<&'a dyn Fn(&State)>,
}

/// What keeps a step from going on.
enum Trouble {
    Step(StepError),
    Journal(RunError),
}

/// Why a run is not led on.
enum Halt {
    Journal(RunError),
    Parked,
}

impl From<RunError> for Halt {
    fn from(error: RunError) -> Self {
        Self::Journal(error)
    }
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
    async fn append(&mut self, event: Event, cx: &Context, hears: Option<&dyn Fn(&State)>) -> Result<(), RunError> {
        let entry = Entry::new(self.state.next, cx.clock.now(), event);
        let refused = |reason| RunError::Damaged { run: self.journal.run().to_string(), reason };
        self.state.admit(&entry).map_err(refused)?;
        self.journal.append(&entry).await?;
        self.state.follow(&entry); // only what is stored is so
        if let Some(hears) = hears {
            hears(&self.state);
        }
        Ok(())
    }
}

impl<'a> Engine<'a> {
    /// Takes the run up where its journal ends. The caller holds the right to act; `stop` is the word to stop for what
    /// listens to `cx`.
    pub fn new(journal: Box<dyn Journal>, state: State, steps: &'a dyn Steps, stop: &Stop, cx: &'a Context) -> Self {
        let undo_cx = Context { cancel: stop.lost().clone(), ..cx.clone() };
        let log = Mutex::new(Log { journal, state });
        Self { log, steps, cx, undo_cx, stop: stop.clone(), error: Mutex::new(None), hears: None }
    }

    /// Has `hears` told of the run after every entry that is stored.
    #[must_use]
    pub fn heard_by(self, hears: &'a dyn Fn(&State)) -> Self {
        Self { hears: Some(hears), ..self }
    }

    /// Writes that this process is at it now.
    ///
    /// # Errors
    /// When the journal cannot be written, or somebody with a newer token is at it.
    pub async fn adopt(&self, holder: &str, token: u64) -> Result<(), RunError> {
        let event = Event::Adopted { holder: holder.to_owned(), token, tool: crate::TOOL.to_owned() };
        self.record(event).await
    }

    /// Finishes what has all happened already and takes back what has not: what a command does with a run that was cut
    /// off. One past its point of no return goes on.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub async fn settle(self, by: &str) -> Result<(Left, State), RunError> {
        let open: Vec<usize> = {
            let log = self.log.lock().await;
            let begun = |step: &StepState| matches!(step.stage, Stage::Intended | Stage::Applied);
            (0..log.state.steps.len()).filter(|at| begun(&log.state.steps[*at])).collect()
        };
        for at in open {
            self.take_note(at).await?;
        }
        let state = self.log.lock().await.state.clone();
        let all_done = state.steps.iter().all(|step| step.stage == Stage::Verified);
        if !all_done && !state.is_past_return() && state.abandoned.is_none() && state.outcome.is_none() {
            self.record(Event::Abandoned { by: by.to_owned() }).await?;
        }
        self.finish().await
    }

    /// Writes down that a step has happened, if it has; what cannot be asked has not, for here it is only undone then.
    async fn take_note(&self, at: usize) -> Result<(), RunError> {
        let (planned, found) = self.look(at).await;
        let step = || planned.name.clone();
        let Ok(doing) = self.steps.step(&planned) else { return Ok(()) };
        let output = match found.output.filter(|_| found.stage == Stage::Applied) {
            Some(output) => output,
            None => {
                let Ok(Probe::Done(output)) = doing.probe(self.cx).await else { return Ok(()) };
                self.record(Event::Applied { step: step(), output: output.clone() }).await?;
                output
            }
        };
        match doing.verify(&output, self.cx).await {
            Ok(()) => self.record(Event::Verified { step: step() }).await,
            Err(_) => Ok(()),
        }
    }

    /// Goes on until nothing is left to do, or a person has to look.
    ///
    /// # Errors
    /// When the journal cannot be written: whoever comes next goes on from what it says.
    pub async fn finish(self) -> Result<(Left, State), RunError> {
        let left = match self.lead().await {
            Ok(left) => left,
            Err(Halt::Parked) => Left::Parked,
            Err(Halt::Journal(error)) => return Err(error),
        };
        let error = self.error.into_inner();
        let left = match left {
            Left::Over { outcome, .. } => Left::Over { outcome, error },
            Left::Waiting { step, .. } => Left::Waiting { step, error },
            Left::Parked => Left::Parked,
        };
        Ok((left, self.log.into_inner().state))
    }

    async fn lead(&self) -> Result<Left, Halt> {
        loop {
            self.heed().await?;
            let decision = decide(&self.log.lock().await.state);
            match decision {
                Decision::Do(steps) => {
                    let done = join_all(steps.into_iter().map(|step| self.advance(step))).await;
                    done.into_iter().collect::<Result<(), _>>()?;
                }
                Decision::Undo(step) => self.undo(step).await?,
                Decision::Finish(outcome) => self.record(Event::Finished { outcome }).await?,
                Decision::Ask(step) => {
                    let step = self.log.lock().await.state.steps[step].name.clone();
                    return Ok(Left::Waiting { step, error: None });
                }
                Decision::Over(outcome) => return Ok(Left::Over { outcome, error: None }),
            }
        }
    }

    /// Does as the word to stop says, between two steps.
    async fn heed(&self) -> Result<(), Halt> {
        let over = self.log.lock().await.state.outcome.is_some();
        match self.stop.why() {
            Some(Why::Lost) => Err(self.lost().await.into()),
            Some(Why::Parked) if !over => Err(Halt::Parked),
            Some(Why::Abandoned { by }) if !over => Ok(self.abandon(by).await?),
            _ => Ok(()),
        }
    }

    /// Writes down, once, that somebody wants the run to end.
    async fn abandon(&self, by: &str) -> Result<(), RunError> {
        let mut log = self.log.lock().await;
        if log.state.abandoned.is_some() {
            return Ok(());
        }
        log.append(Event::Abandoned { by: by.to_owned() }, self.cx, self.hears).await
    }

    async fn lost(&self) -> RunError {
        RunError::Lost { run: self.log.lock().await.journal.run().to_string() }
    }

    async fn record(&self, event: Event) -> Result<(), RunError> {
        self.log.lock().await.append(event, self.cx, self.hears).await
    }

    /// Brings one step as far as it comes.
    async fn advance(&self, at: usize) -> Result<(), Halt> {
        let (planned, found) = self.look(at).await;
        let error = match self.work(&planned, found).await {
            Ok(()) => return Ok(()),
            Err(Trouble::Journal(error)) => return Err(error.into()),
            Err(Trouble::Step(error)) => error,
        };
        // What breaks once the work is told to stop breaks because of that; the reason says what becomes of the run.
        match self.stop.why().filter(|_| self.cx.cancel.is_cancelled()) {
            Some(Why::Parked) => Err(Halt::Parked),
            Some(Why::Abandoned { by }) => Ok(self.abandon(by).await?),
            Some(Why::Lost) | None => self.fail(error, |failure| Event::Failed { step: planned.name, failure }).await,
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

    async fn undo(&self, at: usize) -> Result<(), Halt> {
        let (planned, found) = self.look(at).await;
        let step = planned.name.clone();
        self.record(Event::UndoIntended { step: step.clone() }).await?;
        let undone = async { self.steps.step(&planned)?.undo(found.output.as_ref(), &self.undo_cx).await };
        match undone.await {
            Ok(()) => Ok(self.record(Event::Undone { step }).await?),
            Err(error) => self.fail(error, |failure| Event::UndoFailed { step, failure }).await,
        }
    }

    async fn look(&self, at: usize) -> (PlannedStep, StepState) {
        let log = self.log.lock().await;
        let planned = log.state.plan.steps().nth(at).expect("the state has a step for each of the plan").clone();
        (planned, log.state.steps[at].clone())
    }

    /// A lost lease is no failure of the step: the process that has it now goes on.
    async fn fail(&self, error: StepError, event: impl FnOnce(Failed) -> Event) -> Result<(), Halt> {
        if error.category() == Category::LeaseLost || matches!(self.stop.why(), Some(Why::Lost)) {
            return Err(self.lost().await.into());
        }
        let failed = error.failed();
        self.error.lock().await.get_or_insert(error);
        Ok(self.record(event(failed)).await?)
    }
}

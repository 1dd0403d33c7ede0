//! The steps of an in-place restore, ready to be done by this process. What it holds in memory (databases that wait, an
//! open copy, a rehearsed cache) is made again by whoever comes after a crash; what lies on servers and disks tells by its
//! own marks how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::error::Left;
use super::evidence::{self, End, Fault};
use super::gate::Waiting;
use super::learned::{Learned, Of};
use super::phases::{Doing, Swapped, Told};
use super::plan::{self, Options, Part, RestorePlan, Target};
use super::report::{Report, RestoredSet};
use super::trouble::Trouble;
use super::{RestoreError, back};
use crate::context::Context;
use crate::data::{redis, volume};
use crate::point::{Home, PointRecord, load};
use crate::repository::{Lock, LockKind};
use crate::run::{Plan, PlannedStep, Probe, RunError, RunId, State, Step, StepError, Steps, journal};
use crate::stack::Name;

/// One run's steps.
pub struct Work<'h> {
    pub(super) home: &'h Home,
    pub(super) run: RunId,
    pub(super) told: Told,
    /// The plan's steps.
    order: Vec<Doing>,
    plan: OnceLock<RestorePlan>,
    held: Mutex<Held>,
    seen: Mutex<Seen>,
    /// Nobody prunes what is read.
    lock: tokio::sync::Mutex<Option<Lock>>,
    /// How long another's lock is waited for.
    wait: Duration,
    /// This process has begun it.
    is_fresh: bool,
    /// Another process may have begun it: what it wrote into the journal is still to be read.
    unread: AtomicBool,
}

/// What only this process has.
#[derive(Default)]
pub(super) struct Held {
    pub caches: BTreeMap<Name, Arc<redis::Prepared>>,
    pub databases: BTreeMap<Name, Waiting>,
    pub volumes: BTreeMap<Name, (Instant, volume::Beside)>,
}

/// What this process has learned.
pub(super) struct Seen {
    pub report: Report,
    pub safety: Option<PointRecord>,
    /// Databases that carry the live names, by this process or the journal.
    pub swapped: BTreeMap<Name, Vec<Swapped>>,
    /// Of these a swap was refused: they never had the live names.
    pub not_swapped: BTreeSet<Name>,
    begun: BTreeSet<Doing>,
    /// Done and looked at by this process.
    verified: BTreeSet<Doing>,
    trouble: Option<Trouble>,
    /// Why something could not be brought back.
    stuck: Option<String>,
}

impl<'h> Work<'h> {
    /// The steps of `plan`; `fresh` when it was made by this process a moment ago.
    ///
    /// # Errors
    /// `Unreadable` for the plan of another program.
    pub fn new(home: &'h Home, run: &RunId, plan: &Plan, wait: Duration, fresh: bool) -> Result<Self, RestoreError> {
        let unreadable = |reason| RestoreError::Unreadable { run: run.to_string(), reason };
        let told = Told::read(plan).map_err(unreadable)?;
        let order =
            plan.steps().map(|step| step.name.parse()).collect::<Result<Vec<Doing>, _>>().map_err(unreadable)?;
        let report = Report { mended: told.mended.clone(), ..Report::begun(run.as_str(), told.point) };
        let seen = Seen {
            report,
            safety: None,
            swapped: BTreeMap::new(),
            not_swapped: BTreeSet::new(),
            begun: BTreeSet::new(),
            verified: BTreeSet::new(),
            trouble: None,
            stuck: None,
        };
        Ok(Self {
            home,
            run: run.clone(),
            told,
            order,
            plan: OnceLock::new(),
            held: Mutex::default(),
            seen: Mutex::new(seen),
            lock: tokio::sync::Mutex::default(),
            wait,
            is_fresh: fresh,
            unread: AtomicBool::new(!fresh),
        })
    }

    /// Reads what former processes have written down of the run, once.
    async fn recall(&self) -> Result<(), RestoreError> {
        if !self.unread.load(Ordering::Relaxed) {
            return Ok(());
        }
        let entries = journal::of(&self.home.stack, &self.home.store).read(&self.run).await?.unwrap_or_default();
        let unreadable = |reason| RestoreError::Unreadable { run: self.run.to_string(), reason };
        let state = State::of(&entries).map_err(unreadable)?;
        let begun = self.order.iter().zip(&state.steps).filter(|(_, step)| step.begun.is_some());
        let mut seen = self.seen();
        seen.begun.extend(begun.map(|(doing, _)| doing.clone()));
        for (data, databases) in swapped(&state) {
            seen.swapped.entry(data).or_insert(databases);
        }
        self.unread.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Nobody prunes from here on, until all is done or the first step is taken back.
    async fn keep_what_is_read(&self, cx: &Context) -> Result<(), RestoreError> {
        let mut held = self.lock.lock().await;
        if held.is_none() {
            let lock = self.home.repository.lock(LockKind::Shared, self.wait, cx).await?;
            *held = Some(lock);
            self.home.repository.refresh_index().await?;
        }
        Ok(())
    }

    async fn let_go(&self) {
        let lock = self.lock.lock().await.take();
        if let Some(lock) = lock
            && let Err(error) = lock.release().await
        {
            tracing::warn!(%error, run = %self.run, "the lock could not be removed"); // what was read was verified
        }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan as it was made, of the point as it is now.
    pub(super) async fn plan(&self, cx: &Context) -> Result<&RestorePlan, RestoreError> {
        if let Some(made) = self.plan.get() {
            return Ok(made);
        }
        let made = self.make_plan(cx).await?;
        Ok(self.plan.get_or_init(|| made))
    }

    async fn make_plan(&self, cx: &Context) -> Result<RestorePlan, RestoreError> {
        let points = load(&self.home.repository, &self.home.stack.name).await?;
        let point = points.find(&self.told.point.to_string(), cx.clock.now())?;
        let wanted: Vec<Name> = self.told.data.iter().map(|set| set.data.clone()).collect();
        let Told { roles, allow_gaps, .. } = self.told;
        let options = Options { roles, allow_gaps, allow_not_empty: false };
        plan::plan(&self.home.stack, point, &wanted, Target::InPlace, options, self.run.to_string())
    }

    pub(super) async fn part(&self, data: &Name, cx: &Context) -> Result<&Part, Trouble> {
        let plan = self.plan(cx).await?;
        let part = plan.parts.iter().find(|part| part.name() == data);
        Ok(part.ok_or_else(|| RestoreError::NotInStack { name: data.clone() })?)
    }

    /// Notes a data set that is live.
    pub(super) fn is_live(&self, restored: RestoredSet) {
        self.seen().report.data.push(restored);
    }

    /// Keeps `trouble` for whoever waits for the run; the first counts.
    fn failed(&self, trouble: Trouble) -> StepError {
        let gist = trouble.gist();
        self.seen().trouble.get_or_insert(trouble);
        gist
    }

    /// Before `doing` replaces what is live: nobody has said stop before the first of its kind, and what others have made
    /// live in this run is so still. From here on nobody stops it: it would be left half-way for nothing.
    pub(super) async fn go_live(&self, doing: &Doing, cx: &Context) -> Result<Context, Trouble> {
        let earlier: Vec<&Doing> =
            self.order.iter().take_while(|one| *one != doing).filter(|one| one.promotes()).collect();
        if earlier.is_empty() && cx.cancel.is_cancelled() {
            return Err(Trouble::of(&self.told.data[0].data)(volume::VolumeError::Cancelled.into()));
        }
        for one in earlier {
            if !self.seen().verified.contains(one) {
                self.is_so_still(one, cx).await?;
            }
        }
        Ok(unstoppable(cx))
    }

    async fn probe(&self, doing: &Doing, cx: &Context) -> Result<Probe, Trouble> {
        self.recall().await?;
        self.seen().begun.insert(doing.clone());
        let output = match doing {
            Doing::Safety => self.safety_point(cx).await?,
            Doing::Exchange(data) => self.is_exchanged(data, cx).await?,
            Doing::Swap(data) => self.is_swapped(data).await?,
            // They leave nothing that could be seen, or are made again by whoever needs them.
            Doing::Rehearse(_) | Doing::Fill(_) | Doing::References | Doing::BeforeLive(_) | Doing::Evidence => None,
            // Doing them again ends the same.
            Doing::Prove(_) | Doing::HandOver(_) | Doing::Settle(_) | Doing::Record => None,
        };
        Ok(output.map_or(Probe::Absent, Probe::Done))
    }

    async fn apply(&self, doing: &Doing, cx: &Context) -> Result<Value, Trouble> {
        self.recall().await?;
        self.keep_what_is_read(cx).await?;
        match doing {
            Doing::Safety => Box::pin(self.take_safety_point(cx)).await,
            Doing::Rehearse(data) => Box::pin(self.rehearse(data, cx)).await,
            Doing::Fill(data) => Box::pin(self.fill(data, cx)).await,
            Doing::References => Box::pin(self.compare_references(cx)).await,
            Doing::BeforeLive(data) => Box::pin(self.before_live(data, cx)).await,
            Doing::Exchange(data) => Box::pin(self.exchange(data, &self.go_live(doing, cx).await?)).await,
            Doing::Swap(data) => Box::pin(self.swap(data, &self.go_live(doing, cx).await?)).await,
            Doing::Prove(data) => Box::pin(self.prove(data, &self.go_live(doing, cx).await?)).await,
            Doing::HandOver(data) => Box::pin(self.hand_over(data, &self.go_live(doing, cx).await?)).await,
            Doing::Settle(data) => Box::pin(self.settle(data, cx)).await,
            Doing::Evidence => Ok(evidence::open(self.plan(cx).await?, &self.home.stack)),
            Doing::Record => {
                let left = evidence::leave(self.home, &self.run, End::Done, cx).await?;
                let number = left.as_ref().map(|left| left.number);
                self.seen().report.evidence = left;
                Ok(json!({"number": number}))
            }
        }
    }

    async fn verify(&self, doing: &Doing, cx: &Context) -> Result<(), Trouble> {
        self.recall().await?;
        match doing {
            Doing::Exchange(_) | Doing::Swap(_) | Doing::Prove(_) => self.is_so_still(doing, cx).await?,
            Doing::Safety if self.safety_point(cx).await?.is_none() => {
                return Err(RestoreError::SafetyGone { point: self.told.safety_point }.into());
            }
            // Each compares what it makes before it is done.
            Doing::Evidence
            | Doing::Safety
            | Doing::Rehearse(_)
            | Doing::Fill(_)
            | Doing::References
            | Doing::BeforeLive(_)
            | Doing::HandOver(_)
            | Doing::Settle(_)
            | Doing::Record => {}
        }
        self.seen().verified.insert(doing.clone());
        if self.order.last() == Some(doing) {
            self.let_go().await;
        }
        Ok(())
    }

    /// Takes back what `doing` may have done, however far it came.
    async fn undo(&self, doing: &Doing, output: Option<&Value>, cx: &Context) -> Result<(), RestoreError> {
        if let (Doing::Swap(data), Some(output)) = (doing, output) {
            self.seen().swapped.insert(data.clone(), read_swapped(output).unwrap_or_default());
        }
        match doing {
            // The way back is kept: a complete recovery point harms nobody. Half of one is not listed.
            Doing::Safety if output.is_none() && !self.is_fresh => self.go_on_after_safety(cx).await,
            Doing::Safety | Doing::References | Doing::BeforeLive(_) | Doing::Prove(_) | Doing::Settle(_) => Ok(()),
            Doing::Record => Ok(()),
            // The last to be taken back: what the run did is undone, but for this.
            Doing::Evidence => {
                let fault = self.seen().trouble.as_ref().map(Fault::of);
                evidence::leave(self.home, &self.run, End::TakenBack(fault), cx).await.map(drop)
            }
            Doing::Rehearse(data) => {
                self.held().caches.remove(data);
                Ok(())
            }
            Doing::Fill(data) => Box::pin(self.empty(data, cx)).await,
            Doing::Exchange(data) => Box::pin(self.exchange_back(data, cx)).await,
            Doing::Swap(data) => Box::pin(self.swap_back(data, cx)).await,
            Doing::HandOver(data) => {
                let back = async |_: &Lock| back::cache(self.home, data, &self.told.safety_point, cx).await;
                self.home.locked(LockKind::Shared, self.wait, cx, back).await
            }
        }
    }

    /// As [`Self::undo`]; where that fails, all else that is live of this run is brought back before a person is asked.
    async fn undo_or_stay(&self, doing: &Doing, output: Option<&Value>, cx: &Context) -> Result<(), RestoreError> {
        self.let_go().await; // what is read from here on is under a lock of its own
        let undone = match self.recall().await {
            Ok(()) => self.undo(doing, output, cx).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &undone {
            tracing::error!(%error, step = %doing, run = %self.run, "a step could not be taken back");
            self.seen().stuck = Some(back::chain(error));
            if doing.promotes() {
                let others = self.begun().into_iter().filter(|one| one != doing && one.promotes());
                self.undo_all(others, cx).await;
            }
        }
        undone
    }

    /// What was begun, the last first.
    fn begun(&self) -> Vec<Doing> {
        let seen = self.seen();
        self.order.iter().rev().filter(|one| seen.begun.contains(one)).cloned().collect()
    }

    async fn undo_all(&self, all: impl IntoIterator<Item = Doing>, cx: &Context) {
        for doing in all {
            if let Err(error) = self.undo(&doing, None, cx).await {
                tracing::error!(%error, step = %doing, run = %self.run, "a step could not be taken back");
                self.seen().stuck.get_or_insert(back::chain(&error));
            }
        }
    }

    /// The journal cannot be written, and nobody else leads the run: live data is made whole again all the same. The run
    /// stays open, and whoever takes it up finds what was taken back by its marks.
    pub async fn cut_off(&self, error: RunError, cx: &Context) -> RestoreError {
        let left = self.whole_again(cx).await;
        self.let_go().await;
        let report = &self.seen().report;
        let (run, safety_point) = (report.run.clone(), Some(self.told.safety_point));
        RestoreError::Journal { run, safety_point, left, source: Box::new(error) }
    }

    async fn whole_again(&self, cx: &Context) -> Left {
        let is_all_live = {
            let seen = self.seen();
            let mut promotion = self.order.iter().filter(|one| one.promotes() && !matches!(one, Doing::Settle(_)));
            promotion.all(|one| seen.verified.contains(one))
        };
        if is_all_live {
            return Left::Live;
        }
        let mut begun = self.begun();
        begun.retain(|doing| *doing != Doing::Evidence); // how it ends is not known yet
        let was_promoting = begun.iter().any(Doing::promotes);
        self.undo_all(begun, &unstoppable(cx)).await;
        match (self.seen().stuck.take(), was_promoting) {
            (Some(why), _) => Left::Open(why),
            (None, true) => Left::back(self.run.as_str(), Vec::new()),
            (None, false) => Left::Untouched,
        }
    }

    /// What this process has learned.
    pub fn into_learned(self) -> Learned {
        let Seen { mut report, trouble, stuck, safety, .. } =
            self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.safety_point = safety.map(|record| record.id);
        let turn = |set: &RestoredSet| self.told.data.iter().position(|known| known.data == set.data);
        report.data.sort_by_key(turn);
        Learned { report, trouble, stuck, of: Of::InPlace }
    }
}

/// From the first promotion on nobody stops it.
pub(super) fn unstoppable(cx: &Context) -> Context {
    Context { cancel: CancellationToken::new(), ..cx.clone() }
}

/// What the steps `swap` have yielded.
pub fn swapped(state: &State) -> BTreeMap<Name, Vec<Swapped>> {
    let one = |step: &crate::run::StepState| match step.name.parse() {
        Ok(Doing::Swap(data)) => Some((data, read_swapped(step.output.as_ref()?)?)),
        _ => None,
    };
    state.steps.iter().filter_map(one).collect()
}

fn read_swapped(output: &Value) -> Option<Vec<Swapped>> {
    serde_json::from_value(output.get("databases")?.clone()).ok()
}

impl Steps for Work<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        let unreadable = |reason| RestoreError::Unreadable { run: self.run.to_string(), reason };
        let doing = planned.name.parse().map_err(|reason| StepError::new(unreadable(reason)))?;
        Ok(Box::new(Doer { work: self, doing }))
    }
}

struct Doer<'w> {
    work: &'w Work<'w>,
    doing: Doing,
}

#[async_trait(?Send)]
impl Step for Doer<'_> {
    async fn probe(&self, cx: &Context) -> Result<Probe, StepError> {
        self.work.probe(&self.doing, cx).await.map_err(|trouble| self.work.failed(trouble))
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        self.work.apply(&self.doing, cx).await.map_err(|trouble| self.work.failed(trouble))
    }

    async fn verify(&self, _: &Value, cx: &Context) -> Result<(), StepError> {
        self.work.verify(&self.doing, cx).await.map_err(|trouble| self.work.failed(trouble))
    }

    async fn undo(&self, output: Option<&Value>, cx: &Context) -> Result<(), StepError> {
        self.work.undo_or_stay(&self.doing, output, cx).await.map_err(StepError::new)
    }
}

//! The main loop: asks what is due, begins it, follows what others lead, takes up what they leave. What is decided is
//! [`schedule::due`]'s; what a run does is the leader's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::book::{Book, Listed, Standing};
use super::crew::{Crew, Done};
use super::documents::InForce;
use super::health::Health;
use super::leader::{Ending, Leader, Wanted};
use super::since;
use crate::context::Context;
use crate::failure::Category;
use crate::run::RunId;
use crate::schedule::{self, Due, LatestRun, Past, Schedule, ScheduleName, ScheduledRun, Start, Why};
use crate::storage::SharedStore;

/// Clocks jump and laptops sleep: however far the next instant is, it is looked at again after this.
const LOOK: Duration = Duration::from_secs(5);
/// How often a run that another process leads is asked after.
const FOLLOW: SignedDuration = SignedDuration::from_secs(5);
/// A store that does not answer must not stop the loop; see [`super::health::STALLED`].
const PATIENCE: Duration = Duration::from_secs(30);
/// After a run that could not be led: 15 s, 30 s, 1 min … up to 10.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(15);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// What the scheduler stands on.
pub struct Scheduler {
    pub documents: watch::Receiver<InForce>,
    pub store: SharedStore,
    pub book: Book,
    pub leader: Arc<dyn Leader>,
    pub board: Arc<Board>,
    pub health: Arc<Health>,
    /// Told when a run begins or has ended.
    pub moved: watch::Sender<u64>,
    pub cx: Context,
    /// How long running steps may go on once the daemon leaves.
    pub grace: Duration,
}

/// One schedule on this stack.
#[derive(Debug, Default)]
struct Slot {
    /// Since when it counts, and for which expression and zone.
    since: Option<(String, Timestamp)>,
    newest: Option<(Listed, Standing)>,
    /// Nothing is tried before.
    not_before: Option<Timestamp>,
    failures: u32,
    /// Who leads its open run elsewhere, as it was told.
    followed: Option<(RunId, String)>,
    said: Option<Why>,
}

/// The loop's memory; all of it can be had again from the store.
#[derive(Default)]
struct Memory {
    slots: BTreeMap<ScheduleName, Slot>,
    /// The journals were listed since the documents were read.
    listed: bool,
}

impl Memory {
    /// Whether a schedule waits before it tries again.
    fn pauses(&self, schedule: &ScheduleName, now: Timestamp) -> bool {
        let until = self.slots.get(schedule).and_then(|slot| slot.not_before);
        until.is_some_and(|until| now < until)
    }
}

impl Scheduler {
    /// Goes on until `leave`; then begins nothing, lets steps end for the grace, parks the rest, and returns. `at_once` is
    /// the word that the grace is over.
    pub async fn run(mut self, leave: &CancellationToken, at_once: &CancellationToken) {
        let mut crew = Crew::new(self.leader.clone(), self.board.clone(), self.cx.clone());
        crew.take_up();
        let mut memory = Memory::default();
        while !leave.is_cancelled() {
            self.health.tick();
            let next = self.turn(&mut memory, &mut crew).await;
            let pause = next.map_or(LOOK, |next| {
                Duration::try_from(next.duration_since(self.cx.clock.now())).unwrap_or_default().min(LOOK)
            });
            tokio::select! {
                () = leave.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                changed = self.documents.changed() => {
                    if changed.is_err() {
                        // Who reads documents leaves at the same word and may be faster: runs are still to be parked.
                        leave.cancelled().await;
                    }
                    memory.listed = false;
                }
                Some(done) = crew.next() => self.ended(done, &mut memory).await,
            }
        }
        self.board.leaves();
        crew.leave(self.grace, at_once, &self.health).await;
    }

    /// Looks at each schedule once; returns when to look again at the latest.
    async fn turn(&mut self, memory: &mut Memory, crew: &mut Crew) -> Option<Timestamp> {
        let documents = self.documents.borrow_and_update().clone();
        if !memory.listed && !self.list(memory).await {
            return None;
        }
        let names: Vec<ScheduleName> = documents.covering().map(|schedule| schedule.name.clone()).collect();
        memory.slots.retain(|name, _| names.contains(name));
        let mut next = None;
        for schedule in documents.covering() {
            let again = self.look(schedule, &documents, memory, crew).await;
            next = [next, again].into_iter().flatten().min();
        }
        next
    }

    /// What the journals say now; false where they cannot be asked.
    async fn list(&mut self, memory: &mut Memory) -> bool {
        let documents = self.documents.borrow().clone();
        let listed = tokio::time::timeout(PATIENCE, self.learn(&documents, memory)).await;
        let trouble = match listed {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(super::documents::told(&error)),
            Err(_) => Some(format!("the store has not answered for {} s", PATIENCE.as_secs())),
        };
        memory.listed = trouble.is_none();
        if self.board.set_trouble("journals", trouble.clone()) {
            match &trouble {
                Some(why) => tracing::warn!(why, "the journals cannot be read: nothing begins until they can"),
                None => tracing::info!("the journals can be read again"),
            }
        }
        memory.listed
    }

    async fn learn(&mut self, documents: &InForce, memory: &mut Memory) -> Result<(), crate::run::RunError> {
        let mut found = self.book.scheduled(&documents.stack.name).await?;
        for schedule in documents.covering() {
            let slot = memory.slots.entry(schedule.name.clone()).or_default();
            let newest = found.remove(&schedule.name).and_then(|runs| runs.into_iter().next());
            slot.newest = match newest {
                Some(listed) => {
                    let standing = self.book.standing(&listed.run).await?;
                    standing.map(|standing| (listed, standing))
                }
                None => None,
            };
            slot.say_over(&self.moved);
        }
        Ok(())
    }

    /// One schedule: decides, and does it; returns when its next instant starts.
    async fn look(
        &mut self,
        schedule: &Schedule,
        documents: &InForce,
        memory: &mut Memory,
        crew: &mut Crew,
    ) -> Option<Timestamp> {
        if !schedule.spec.operation.misfits(&documents.stack).is_empty() {
            return None; // the status says so
        }
        let since = self.since(schedule, memory).await?;
        self.follow(schedule, memory, crew).await;
        let mut decision = self.decide(schedule, documents, since, memory);
        if matches!(decision, Due::Run(_)) && !memory.pauses(&schedule.name, self.cx.clock.now()) {
            // Another process may have begun it since: the journals are asked right before.
            if !self.list(memory).await {
                return None;
            }
            decision = self.decide(schedule, documents, since, memory);
            if let Due::Run(start) = decision {
                self.begin(schedule, documents, start, memory, crew).await;
            }
        }
        match decision {
            Due::Wait(wait) => wait.next,
            Due::Run(_) => None,
        }
    }

    fn decide(&self, schedule: &Schedule, documents: &InForce, since: Timestamp, memory: &mut Memory) -> Due {
        let slot = memory.slots.entry(schedule.name.clone()).or_default();
        let newest = slot.newest.as_ref().map(|(listed, standing)| LatestRun {
            scheduled: listed.scheduled,
            ended: match standing {
                Standing::Ended { at, .. } => Some(*at),
                Standing::Open | Standing::NeedsPerson => None,
            },
        });
        let decision = schedule::due(schedule, &documents.stack.name, &Past { since, newest }, self.cx.clock.now());
        if let Due::Wait(wait) = &decision {
            slot.say(schedule, &wait.why);
        }
        decision
    }

    /// Since when the schedule counts; none where that cannot be asked.
    async fn since(&self, schedule: &Schedule, memory: &mut Memory) -> Option<Timestamp> {
        let timing = &schedule.spec.timing;
        let key = format!("{} {}", timing.cron, timing.zone);
        let slot = memory.slots.entry(schedule.name.clone()).or_default();
        if let Some((known, since)) = &slot.since
            && *known == key
        {
            return Some(*since);
        }
        let asked = tokio::time::timeout(PATIENCE, since::since(&self.store, schedule, self.cx.clock.now())).await;
        let trouble = match asked {
            Ok(Ok(since)) => {
                slot.since = Some((key, since));
                self.board.set_since(schedule.name.clone(), since);
                None
            }
            Ok(Err(error)) => Some(super::documents::told(&error)),
            Err(_) => Some(format!("the store has not answered for {} s", PATIENCE.as_secs())),
        };
        if self.board.set_trouble("since", trouble.clone())
            && let Some(why) = &trouble
        {
            tracing::warn!(schedule = %schedule.name, why, "a schedule waits: it is not known since when it counts");
        }
        slot.since.as_ref().filter(|_| trouble.is_none()).map(|(_, since)| *since)
    }

    async fn begin(
        &mut self,
        schedule: &Schedule,
        documents: &InForce,
        start: Start,
        memory: &mut Memory,
        crew: &mut Crew,
    ) {
        let slot = memory.slots.entry(schedule.name.clone()).or_default();
        let now = self.cx.clock.now();
        let run = |scheduled| run_id(schedule, documents, scheduled);
        if let Some(former) = start.replaces.map(run)
            && !crew.abandon(&former, &by(&schedule.name))
            && let Err(error) = self.leader.cancel(&former, &by(&schedule.name)).await
        {
            tracing::warn!(run = %former, why = error.message, "the run that is to be replaced could not be cancelled yet");
            slot.pause(now);
            return;
        }
        let run = run(start.scheduled);
        if crew.leads(&run) {
            return;
        }
        let missed_since = start.missed_since.map(|first| schedule.spec.timing.zone.show(first));
        tracing::info!(%run, schedule = %schedule.name, missed_since, "a scheduled run begins");
        slot.newest = Some((Listed { scheduled: start.scheduled, run: run.clone() }, Standing::Open));
        crew.lead(Wanted { run, operation: schedule.spec.operation.clone(), schedule: schedule.name.clone() });
        self.moved.send_modify(|n| *n += 1);
    }

    /// An open run of the schedule that this process does not lead: asks how it is, and takes it up where it was left.
    async fn follow(&mut self, schedule: &Schedule, memory: &mut Memory, crew: &mut Crew) {
        let now = self.cx.clock.now();
        let slot = memory.slots.entry(schedule.name.clone()).or_default();
        let Some((listed, standing)) = &mut slot.newest else { return };
        let over = matches!(standing, Standing::Ended { .. });
        if over || crew.leads(&listed.run) || slot.not_before.is_some_and(|until| now < until) {
            return;
        }
        slot.not_before = Some(now + FOLLOW);
        match tokio::time::timeout(PATIENCE, self.book.standing(&listed.run)).await {
            Ok(Ok(Some(found))) => *standing = found,
            Ok(Ok(None)) => memory.listed = false, // it never began, or was removed
            Ok(Err(error)) => tracing::debug!(%error, run = %listed.run, "a run cannot be followed at present"),
            Err(_) => {}
        }
        match standing {
            Standing::Ended { .. } => {
                (slot.not_before, slot.failures) = (None, 0);
                slot.say_over(&self.moved);
            }
            Standing::Open => {
                let (run, name) = (listed.run.clone(), schedule.name.clone());
                // Where its leader lives this is told so, and follows; where it is gone the run is taken up.
                crew.lead(Wanted { run, operation: schedule.spec.operation.clone(), schedule: name });
            }
            Standing::NeedsPerson => {}
        }
    }

    /// A run that this process led, or tried to, is no longer led.
    async fn ended(&mut self, done: Done, memory: &mut Memory) {
        let Done { wanted, result } = done;
        let now = self.cx.clock.now();
        let Some(slot) = wanted.as_ref().map(|wanted| memory.slots.entry(wanted.schedule.clone()).or_default()) else {
            self.moved.send_modify(|n| *n += 1);
            memory.listed = false; // what was taken up may be a schedule's
            return;
        };
        let Some(wanted) = wanted else { return };
        let run = &wanted.run;
        match result {
            Ok(Ending::Elsewhere { holder }) => {
                if slot.followed.as_ref() != Some(&(run.clone(), holder.clone())) {
                    tracing::info!(%run, holder, "another process leads this run; following it");
                    slot.followed = Some((run.clone(), holder));
                }
                slot.not_before = Some(now + FOLLOW);
                return;
            }
            Ok(Ending::Over(outcome)) => {
                tracing::info!(%run, outcome = outcome.word(), "a scheduled run is over");
                (slot.not_before, slot.failures, slot.followed) = (None, 0, None);
            }
            Ok(Ending::NeedsPerson { step }) => {
                tracing::error!(%run, step, "a run needs a person: see `drydock runs show`");
                if let Some((_, standing)) = slot.newest.as_mut().filter(|(listed, _)| listed.run == *run) {
                    *standing = Standing::NeedsPerson;
                }
            }
            Ok(Ending::Parked) => tracing::info!(%run, "a run is parked: the next daemon resumes it"),
            Err(error) => {
                let until = slot.pause(now);
                let word = if error.category == Category::Locked { "somebody else is at work" } else { "see why" };
                tracing::warn!(%run, why = error.message, again = %until, word, "a run could not be led; it is tried again");
            }
        }
        self.moved.send_modify(|n| *n += 1);
        memory.listed = false; // the next turn reads when it ended
        self.thin_out(&wanted.schedule).await;
    }

    /// Drops what the schedule's history no longer keeps. What fails now is done after the next run.
    async fn thin_out(&mut self, name: &ScheduleName) {
        let documents = self.documents.borrow().clone();
        let Some(schedule) = documents.covering().find(|schedule| schedule.name == *name) else { return };
        let work = async {
            let runs = self.book.scheduled(&documents.stack.name).await?.remove(name).unwrap_or_default();
            self.book.thin_out(&runs, schedule.spec.history).await
        };
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => {
                tracing::info!(schedule = %name, removed, "journals beyond the schedule's history are removed")
            }
            Ok(Err(error)) => tracing::warn!(%error, schedule = %name, "journals beyond the schedule's history stay"),
            Err(_) => {
                tracing::warn!(schedule = %name, "journals beyond the schedule's history stay: the store is slow")
            }
        }
    }
}

impl Slot {
    /// Tells once why nothing begins, where that is not the usual.
    fn say(&mut self, schedule: &Schedule, why: &Why) {
        if self.said.as_ref() == Some(why) {
            return;
        }
        if matches!(why, Why::DeadlineMissed { .. } | Why::Forbidden { .. } | Why::Queued { .. }) {
            let why = why.sentence(&schedule.spec.timing.zone).to_string();
            tracing::info!(schedule = %schedule.name, why, "an instant is not run now");
        }
        self.said = Some(why.clone());
    }

    /// Tells the end of a run that was followed.
    fn say_over(&mut self, moved: &watch::Sender<u64>) {
        let Some((Listed { run, .. }, Standing::Ended { outcome, .. })) = &self.newest else { return };
        if self.followed.as_ref().is_some_and(|(followed, _)| followed == run) {
            tracing::info!(%run, outcome = outcome.word(), "the run that another process led is over");
            moved.send_modify(|n| *n += 1);
            self.followed = None;
        }
    }

    /// Waits before it is tried again, longer each time; returns until when.
    fn pause(&mut self, now: Timestamp) -> Timestamp {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.failures += 1;
        let until = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        self.not_before = Some(until);
        until
    }
}

fn run_id(schedule: &Schedule, documents: &InForce, scheduled: Timestamp) -> RunId {
    let run = ScheduledRun {
        operation: schedule.spec.operation.word().parse().expect("an operation's word is a name"),
        stack: documents.stack.name.clone(),
        scheduled,
        schedule: schedule.name.clone(),
    };
    run.to_string().parse().expect("names and an instant are a run's id")
}

fn by(schedule: &ScheduleName) -> String {
    format!("the schedule {schedule}")
}

#[cfg(test)]
mod tests;

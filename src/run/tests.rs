//! The engine, killed between any two writes, over a world that only its steps change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::journal::FileJournals;
use super::*;
use crate::context::Context;

/// Where a sync costs nothing: thousands are made here, and what they are for power cuts show.
pub(super) fn memory_folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// What steps have done: name → how often that was more than nothing.
type World = Arc<Mutex<BTreeMap<String, u32>>>;

/// Steps that put their name into the world, and some that cannot.
struct Builders {
    world: World,
    /// These fail after half of their work.
    broken: Vec<String>,
}

struct Builder<'a> {
    name: String,
    builders: &'a Builders,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} cannot be built")]
struct Unbuildable(String);

impl Failure for Unbuildable {
    fn category(&self) -> Category {
        Category::Integrity
    }
}

impl Steps for Builders {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        Ok(Box::new(Builder { name: planned.name.clone(), builders: self }))
    }
}

#[async_trait(?Send)]
impl Step for Builder<'_> {
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        let world = self.builders.world.lock().unwrap();
        Ok(if world.contains_key(&self.name) { Probe::Done(json!({"built": self.name})) } else { Probe::Absent })
    }

    async fn apply(&self, _: &Context) -> Result<Value, StepError> {
        let mut world = self.builders.world.lock().unwrap();
        if self.builders.broken.contains(&self.name) {
            world.insert(format!("half of {}", self.name), 1);
            return Err(StepError::new(Unbuildable(self.name.clone())));
        }
        *world.entry(self.name.clone()).or_default() += 1;
        Ok(json!({"built": self.name}))
    }

    async fn verify(&self, output: &Value, _: &Context) -> Result<(), StepError> {
        assert_eq!(*output, json!({"built": self.name}), "what was recorded comes back");
        let built = self.builders.world.lock().unwrap().get(&self.name).copied();
        if built == Some(1) { Ok(()) } else { Err(StepError::new(Unbuildable(format!("{}: {built:?}", self.name)))) }
    }

    async fn undo(&self, _: Option<&Value>, _: &Context) -> Result<(), StepError> {
        let mut world = self.builders.world.lock().unwrap();
        world.remove(&self.name);
        world.remove(&format!("half of {}", self.name));
        Ok(())
    }
}

/// A journal that is cut off before or after an append: what a kill at that instant leaves.
struct Mortal {
    journal: Box<dyn Journal>,
    appends: u32,
    /// (how many appends succeed, whether the next is stored before death)
    dies: (u32, bool),
}

#[async_trait]
impl Journal for Mortal {
    fn run(&self) -> &RunId {
        self.journal.run()
    }

    async fn append(&mut self, entry: &Entry) -> Result<(), RunError> {
        let (at, stored) = self.dies;
        self.appends += 1;
        if self.appends > at + 1 || (self.appends == at + 1 && !stored) {
            return Err(RunError::Lost { run: self.run().to_string() });
        }
        self.journal.append(entry).await?;
        if self.appends == at + 1 { Err(RunError::Lost { run: self.run().to_string() }) } else { Ok(()) }
    }
}

fn step(name: &str, kind: StepKind) -> PlannedStep {
    PlannedStep { name: name.into(), kind, parameters: Value::Null }
}

fn plan(pivot: bool) -> Plan {
    let phase = |name: &str, steps: &[&str]| Phase {
        name: name.into(),
        steps: steps.iter().map(|name| step(name, StepKind::Reversible)).collect(),
    };
    let mut phases = vec![
        phase("copy", &["fill:db", "fill:uploads"]),
        phase("judge", &["verify"]),
        phase("swap", &["db", "uploads"]),
    ];
    if pivot {
        phases.push(Phase { name: "open".into(), steps: vec![step("open", StepKind::Pivot)] });
        phases.push(Phase { name: "tidy".into(), steps: vec![step("tidy", StepKind::Forward)] });
    }
    Plan::new("restore", &"shop".parse().unwrap(), phases)
}

async fn begin(journals: &FileJournals, plan: Plan) -> RunId {
    let run: RunId = "restore-shop-1".parse().unwrap();
    let first = Event::Accepted { digest: plan.digest(), plan, by: "a test".into(), tool: crate::TOOL.into() };
    journals.begin(&run, &Entry::new(0, jiff::Timestamp::UNIX_EPOCH, first)).await.unwrap().unwrap();
    run
}

/// One process's life: it adopts the run and goes on until the end or its own.
async fn live(
    journals: &FileJournals,
    run: &RunId,
    builders: &Builders,
    dies: (u32, bool),
) -> Result<(Left, State), RunError> {
    let (entries, journal) = journals.open(run).await.unwrap().unwrap();
    let state = State::of(&entries).unwrap();
    let token = state.holder.as_ref().map_or(1, |(_, token)| token + 1);
    let cx = Context::default();
    let stop = Stop::of(&cx.cancel);
    let engine = Engine::new(Box::new(Mortal { journal, appends: 0, dies }), state, builders, &stop, &cx);
    engine.adopt("a test", token).await?;
    engine.finish().await
}

const FOREVER: (u32, bool) = (u32::MAX - 1, false);

/// The world and the outcome, undisturbed or killed as `deaths` says, one process after the other.
async fn story(plan: Plan, broken: &[&str], deaths: &[(u32, bool)]) -> (BTreeMap<String, u32>, Outcome, u32) {
    let folder = memory_folder();
    let journals = FileJournals::new(folder.path().into());
    let builders = Builders { world: World::default(), broken: broken.iter().map(|s| (*s).into()).collect() };
    let run = begin(&journals, plan).await;
    let mut killed = 0;
    for dies in deaths {
        match live(&journals, &run, &builders, *dies).await {
            Err(RunError::Lost { .. }) => killed += 1,
            Err(error) => panic!("{error}"),
            Ok(_) => break,
        }
    }
    let entries = journals.read(&run).await.unwrap().unwrap();
    let ended = State::of(&entries).unwrap().outcome;
    let outcome = match ended {
        Some(outcome) => outcome,
        None => match live(&journals, &run, &builders, FOREVER).await.unwrap() {
            (Left::Over { outcome, .. }, _) => outcome,
            (left, _) => panic!("{left:?}"),
        },
    };
    (builders.world.lock().unwrap().clone(), outcome, killed)
}

#[tokio::test]
async fn killed_before_or_after_any_entry_a_run_ends_as_if_undisturbed() {
    for (plan, broken) in
        [(plan(false), vec![]), (plan(true), vec![]), (plan(false), vec!["verify"]), (plan(true), vec!["uploads"])]
    {
        let (world, outcome, _) = story(plan.clone(), &broken, &[]).await;
        assert_eq!(outcome == Outcome::Succeeded, broken.is_empty());
        assert_eq!(world.is_empty(), !broken.is_empty(), "a failed run leaves nothing: {world:?}");
        let mut deaths = 0;
        for at in 0.. {
            for stored in [false, true] {
                let ended = story(plan.clone(), &broken, &[(at, stored)]).await;
                assert_eq!((&ended.0, ended.1), (&world, outcome), "killed at append {at}, stored: {stored}");
                deaths += ended.2;
            }
            if deaths < 2 * (at + 1) {
                break; // the run was over before
            }
        }
        assert!(deaths >= 2 * 3 * plan.steps().count() as u32 / 2, "only {deaths} deaths");
    }
}

#[tokio::test]
async fn a_step_past_the_point_of_no_return_is_never_undone_and_a_person_is_asked() {
    let folder = memory_folder();
    let journals = FileJournals::new(folder.path().into());
    let mut builders = Builders { world: World::default(), broken: vec!["tidy".into()] };
    let run = begin(&journals, plan(true)).await;
    let (left, state) = live(&journals, &run, &builders, FOREVER).await.unwrap();
    let Left::Waiting { step, error } = left else { panic!("{left:?}") };
    assert_eq!((step.as_str(), error.unwrap().to_string().as_str()), ("tidy", "tidy cannot be built"));
    assert_eq!(state.outcome, None);
    assert_eq!(builders.world.lock().unwrap().keys().filter(|name| !name.starts_with("half")).count(), 6);
    builders.broken.clear(); // a person has mended it and resumes
    let (left, _) = live(&journals, &run, &builders, FOREVER).await.unwrap();
    assert!(matches!(left, Left::Over { outcome: Outcome::Succeeded, .. }), "{left:?}");
}

#[tokio::test]
async fn an_abandoned_run_is_undone_and_says_so() {
    let folder = memory_folder();
    let journals = FileJournals::new(folder.path().into());
    let builders = Builders { world: World::default(), broken: Vec::new() };
    let run = begin(&journals, plan(false)).await;
    assert!(live(&journals, &run, &builders, (9, true)).await.is_err());
    assert!(!builders.world.lock().unwrap().is_empty());
    let (entries, mut journal) = journals.open(&run).await.unwrap().unwrap();
    let state = State::of(&entries).unwrap();
    let event = Event::Abandoned { by: "root@papg-0".into() };
    journal.append(&Entry::new(state.next, state.changed, event)).await.unwrap();
    drop(journal);
    let (left, _) = live(&journals, &run, &builders, FOREVER).await.unwrap();
    assert!(matches!(left, Left::Over { outcome: Outcome::Abandoned, error: None }), "{left:?}");
    assert!(builders.world.lock().unwrap().is_empty());
}

/// What a command does with a run that was cut off after so many entries.
async fn settled_after(entries: u32) -> (BTreeMap<String, u32>, Option<Outcome>) {
    let folder = memory_folder();
    let journals = FileJournals::new(folder.path().into());
    let builders = Builders { world: World::default(), broken: Vec::new() };
    let run = begin(&journals, plan(false)).await;
    assert!(live(&journals, &run, &builders, (entries, false)).await.is_err());
    let (entries, journal) = journals.open(&run).await.unwrap().unwrap();
    let (cx, state) = (Context::default(), State::of(&entries).unwrap());
    let engine = Engine::new(journal, state, &builders, &Stop::of(&cx.cancel), &cx);
    engine.adopt("a command", 9).await.unwrap();
    let (_, state) = engine.settle("a command").await.unwrap();
    (builders.world.lock().unwrap().clone(), state.outcome)
}

#[tokio::test]
async fn what_was_cut_off_is_settled_done_where_all_of_it_is_and_undone_otherwise() {
    // adopted, then three entries a step
    let all = 1 + 3 * u32::try_from(plan(false).steps().count()).unwrap();
    for cut in 2..all - 3 {
        let (world, outcome) = settled_after(cut).await;
        assert_eq!((world.len(), outcome), (0, Some(Outcome::Abandoned)), "cut off before entry {cut}");
    }
    for cut in all - 1..=all {
        let (world, outcome) = settled_after(cut).await;
        assert_eq!((world.len(), outcome), (5, Some(Outcome::Succeeded)), "cut off before entry {cut}: {world:?}");
    }
}

/// Works until it is told to stop.
struct Patient(Context);

#[async_trait(?Send)]
impl Step for Patient {
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        self.0.cancel.cancel(); // the test knows that it is under way
        cx.cancel.cancelled().await;
        Err(StepError::new(RunError::Contended { run: "told to stop".into() }))
    }

    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, _: Option<&Value>, _: &Context) -> Result<(), StepError> {
        Ok(())
    }
}

impl Steps for Patient {
    fn step(&self, _: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        Ok(Box::new(Patient(self.0.clone())))
    }
}

/// What the engine returns and the journal says after work that is under way was told to stop.
async fn stopped(why: Option<Why>) -> (Result<Left, RunError>, State) {
    let folder = memory_folder();
    let journals = FileJournals::new(folder.path().into());
    let run = begin(&journals, plan(false)).await;
    let (entries, journal) = journals.open(&run).await.unwrap().unwrap();
    let (cx, begun) = (Context::default(), Context::default());
    let (stop, steps) = (Stop::of(&cx.cancel), Patient(begun.clone()));
    let engine = Engine::new(journal, State::of(&entries).unwrap(), &steps, &stop, &cx);
    let telling = async {
        begun.cancel.cancelled().await;
        match why {
            Some(why) => stop.stop(why),
            None => cx.cancel.cancel(),
        }
    };
    let (left, ()) = tokio::join!(engine.finish(), telling);
    let entries = journals.read(&run).await.unwrap().unwrap();
    (left.map(|(left, _)| left), State::of(&entries).unwrap())
}

#[tokio::test]
async fn why_it_is_told_to_stop_decides_what_becomes_of_a_run() {
    let (left, state) = stopped(None).await;
    assert!(matches!(left, Ok(Left::Over { outcome: Outcome::Failed, .. })), "{left:?}");
    assert_eq!(state.outcome, Some(Outcome::Failed));

    let (left, state) = stopped(Some(Why::Parked)).await;
    assert!(matches!(left, Ok(Left::Parked)), "{left:?}");
    assert_eq!((state.outcome, state.steps[0].stage), (None, Stage::Intended), "the next process resumes it");

    let (left, state) = stopped(Some(Why::Abandoned { by: "root@papg".into() })).await;
    assert!(matches!(left, Ok(Left::Over { outcome: Outcome::Abandoned, .. })), "{left:?}");
    assert_eq!((state.abandoned.as_deref(), state.steps[0].stage), (Some("root@papg"), Stage::Undone));

    let (left, state) = stopped(Some(Why::Lost)).await;
    assert!(matches!(left, Err(RunError::Lost { .. })), "{left:?}");
    assert_eq!((state.outcome, state.steps[0].stage), (None, Stage::Intended), "nothing more is written");
}

#[test]
fn a_plan_that_nobody_could_go_by_is_refused_and_its_digest_tells_it_from_others() {
    let stack = "shop".parse().unwrap();
    let of = |steps: Vec<PlannedStep>| Plan::new("restore", &stack, vec![Phase { name: "one".into(), steps }]);
    assert_eq!(of(vec![]).check().unwrap_err(), "it has no steps");
    let twice = of(vec![step("a", StepKind::Reversible), step("a", StepKind::Reversible)]);
    assert_eq!(twice.check().unwrap_err(), "two steps are called `a`");
    let late = of(vec![step("a", StepKind::Pivot), step("b", StepKind::Reversible)]);
    assert_eq!(late.check().unwrap_err(), "step `b` cannot come after `a`, which is not undone");
    assert_eq!(plan(true).check(), Ok(()));
    assert_ne!(plan(true).digest(), plan(false).digest());
    assert_eq!(plan(true).digest(), plan(true).digest());
}

proptest! {
    /// Whatever a journal says, folding it refuses or yields a state; it never panics, and `decide` then has an answer.
    #[test]
    fn any_order_of_events_is_folded_or_refused(picks in proptest::collection::vec((0usize..9, 0usize..7), 0..40)) {
        let plan = plan(true);
        let names: Vec<String> = plan.steps().map(|step| step.name.clone()).collect();
        let first = Event::Accepted { digest: plan.digest(), plan, by: "x".into(), tool: "t".into() };
        let mut state = State::begin(&Entry::new(0, jiff::Timestamp::UNIX_EPOCH, first)).unwrap();
        for (what, which) in picks {
            let step = names[which].clone();
            let failure = || Failed { category: Category::Unavailable, message: "m".into(), hint: None };
            let event = match what {
                0 => Event::Intended { step, attempt: 1 },
                1 => Event::Applied { step, output: json!(1) },
                2 => Event::Verified { step },
                3 => Event::Failed { step, failure: failure() },
                4 => Event::UndoIntended { step },
                5 => Event::Undone { step },
                6 => Event::UndoFailed { step, failure: failure() },
                7 => Event::Abandoned { by: "x".into() },
                _ => Event::Adopted { holder: "h".into(), token: 1, tool: "t".into() },
            };
            let entry = Entry::new(state.next, state.changed, event);
            if let Ok(next) = state.clone().apply(&entry) {
                state = next;
            }
            match decide(&state) {
                Decision::Do(steps) => {
                    prop_assert!(steps.iter().all(|at| state.steps[*at].stage != Stage::Verified));
                    prop_assert!(!state.is_undoing());
                }
                Decision::Undo(at) => prop_assert_eq!(state.steps[at].kind, StepKind::Reversible),
                Decision::Finish(outcome) => prop_assert_eq!(outcome == Outcome::Succeeded, !state.is_undoing()),
                Decision::Ask(_) => {}
                Decision::Over(_) => prop_assert!(state.outcome.is_some()),
            }
        }
    }
}

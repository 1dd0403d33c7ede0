//! What the engine costs beside the work: a run of steps that do nothing against two bare fsyncs a step, of entries of the
//! same size, on the same disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use drydock::context::Context;
use drydock::run::journal::FileJournals;
use drydock::run::{
    Engine, Entry, Event, Journals, Left, Outcome, Phase, Plan, PlannedStep, Probe, RunId, State, Step, StepError,
    StepKind, Steps, Stop,
};
use serde_json::{Value, json};

use crate::measure::{Goal, Report, medians, timed};
use crate::support::Folder;

/// One after the other; more than any plan has that is not of dozens of data sets.
const STEPS: usize = 50;

pub fn rows(report: &mut Report) {
    if !report.wants("journal") {
        return;
    }
    let folder = Folder::unjudged("bench-journal");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runs = 0;
    let mut lead = || {
        runs += 1;
        let run: RunId = format!("bench-{runs}").parse().unwrap();
        timed(|| runtime.block_on(lead(folder.path(), &run)))
    };
    lead();
    let journal = std::fs::read(folder.path().join("bench-1.jsonl")).unwrap();
    let entries = journal.iter().filter(|byte| **byte == b'\n').count();
    assert!(entries > 3 * STEPS, "{entries} entries: not every step was recorded");
    // The first entry is the plan; a usual one is as long as the others are together.
    let plan = journal.iter().position(|byte| *byte == b'\n').unwrap();
    let entry = vec![b'x'; (journal.len() - plan) / (entries - 1)];
    let [ours, bare] = medians([&mut lead, &mut || two_syncs_a_step(folder.path(), &entry)]);
    let a_step = |seconds: f64| seconds * 1_000.0 / STEPS as f64;
    report.row("journal: a step of a run / two bare fsyncs, ms", a_step(ours), a_step(bare), Goal::AtMost(3.0));
}

async fn lead(folder: &Path, run: &RunId) {
    let step = |n| PlannedStep { name: format!("step-{n}"), kind: StepKind::Reversible, parameters: Value::Null };
    let phases = (0..STEPS).map(|n| Phase { name: format!("phase-{n}"), steps: vec![step(n)] }).collect();
    let plan = Plan::new("bench", &"bench".parse().unwrap(), phases);
    let (digest, cx) = (plan.digest(), Context::default());
    let accepted = Event::Accepted { plan, digest, by: "bench".into(), tool: drydock::TOOL.into() };
    let first = Entry::new(0, cx.clock.now(), accepted);
    let journal = FileJournals::new(folder.to_owned()).begin(run, &first).await.unwrap().unwrap();
    let engine = Engine::new(journal, State::begin(&first).unwrap(), &Nothing, &Stop::of(&cx.cancel), &cx);
    engine.adopt("bench", 1).await.unwrap();
    let (left, _) = engine.finish().await.unwrap();
    assert!(matches!(left, Left::Over { outcome: Outcome::Succeeded, .. }), "{left:?}");
}

fn two_syncs_a_step(folder: &Path, entry: &[u8]) -> Duration {
    let mut file = File::create(folder.join("bare")).unwrap();
    timed(|| {
        for _ in 0..2 * STEPS {
            file.write_all(entry).unwrap();
            file.sync_data().unwrap();
        }
    })
}

/// Steps that do nothing.
struct Nothing;

impl Steps for Nothing {
    fn step(&self, _: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        Ok(Box::new(Self))
    }
}

#[async_trait(?Send)]
impl Step for Nothing {
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, _: &Context) -> Result<Value, StepError> {
        Ok(json!({}))
    }

    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, _: Option<&Value>, _: &Context) -> Result<(), StepError> {
        Ok(())
    }
}

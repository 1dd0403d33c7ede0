//! For this folder's unit tests: schedules, journals in a temporary folder, a clock that goes with tokio's paused time.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::run::journal::FileJournals;
use crate::run::{Entry, Event, Journal, Journals, Outcome, Phase, Plan, PlannedStep, RunId, StepKind};
use crate::schedule::{Schedule, ScheduledRun};

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A schedule of snapshots; `more` are further lines of its `spec`.
pub fn schedule(name: &str, cron: &str, more: &str) -> Schedule {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {{name: {name}}}\nspec:\n  \
         operation: {{snapshot: {{}}}}\n  cron: '{cron}'\n{more}"
    );
    std::fs::write(folder.path().join("a.yaml"), text).unwrap();
    crate::schedule::load(folder.path()).unwrap().remove(0)
}

/// The id of a scheduled snapshot of the stack `shop`.
pub fn run_id(schedule: &str, scheduled: &str) -> RunId {
    let run = ScheduledRun {
        operation: "snapshot".parse().unwrap(),
        stack: "shop".parse().unwrap(),
        scheduled: at(scheduled),
        schedule: schedule.parse().unwrap(),
    };
    run.to_string().parse().unwrap()
}

/// Goes with tokio's clock, which tests pause.
#[derive(Debug)]
pub struct PausedClock {
    began: Timestamp,
    since: Instant,
}

impl PausedClock {
    pub fn at(began: &str) -> Self {
        Self { began: at(began), since: Instant::now() }
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        self.began + SignedDuration::try_from(self.since.elapsed()).unwrap()
    }
}

/// Journals that tests write.
pub struct Diary {
    folder: tempfile::TempDir,
}

impl Diary {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn journals(&self) -> Arc<dyn Journals> {
        Arc::new(FileJournals::new(self.folder.path().join("runs")))
    }

    pub async fn begin(&self, run: &RunId) -> Box<dyn Journal> {
        begin(&*self.journals(), run, at("2026-11-24T00:00:00Z")).await.expect("a run of that id was begun before")
    }

    pub async fn open(&self, schedule: &str, scheduled: &str) {
        self.begin(&run_id(schedule, scheduled)).await;
    }

    /// A run that ended at its very instant.
    pub async fn ended(&self, schedule: &str, scheduled: &str, outcome: Outcome) {
        let mut journal = self.begin(&run_id(schedule, scheduled)).await;
        end(&mut *journal, at(scheduled), outcome).await;
    }
}

/// Begins a run of one step, unless it was begun before.
pub async fn begin(journals: &dyn Journals, run: &RunId, now: Timestamp) -> Option<Box<dyn Journal>> {
    let step = PlannedStep { name: "take".into(), kind: StepKind::Reversible, parameters: serde_json::Value::Null };
    let phases = vec![Phase { name: "take".into(), steps: vec![step] }];
    let plan = Plan::new("snapshot", &"shop".parse().unwrap(), phases);
    let (digest, by, tool) = (plan.digest(), "test".into(), crate::TOOL.into());
    journals.begin(run, &Entry::new(0, now, Event::Accepted { plan, digest, by, tool })).await.unwrap()
}

pub async fn end(journal: &mut dyn Journal, now: Timestamp, outcome: Outcome) {
    journal.append(&Entry::new(1, now, Event::Finished { outcome })).await.unwrap();
}

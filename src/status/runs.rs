//! What is being done, and what came last of each kind of run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::known::Known;
use super::run::{RunLine, RunView};
use crate::run::RunId;
use crate::stack::DataKind;

/// A stack's runs in a few lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Runs {
    /// Those that are not over, the oldest first.
    pub open: Vec<RunView>,
    /// The newest run of each kind that is over.
    pub last: Vec<RunLine>,
    /// Runs whose journal cannot be understood, and why.
    pub damaged: Vec<Damaged>,
    /// Snapshots under way that hold back VACUUM on production.
    pub exported_snapshots: Vec<MayHoldBack>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Damaged {
    pub run: RunId,
    pub why: String,
}

/// A run that may hold exported snapshots open: it is at a step that takes a recovery point of databases. What is known
/// from outside is an upper bound: the first of them may have been opened at `since`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MayHoldBack {
    pub run: RunId,
    pub since: Timestamp,
    pub age_ms: u64,
}

impl Runs {
    pub(super) fn of(known: &Known, now: Timestamp) -> Self {
        let (mut open, mut damaged) = (Vec::new(), Vec::new());
        let mut last: BTreeMap<String, RunLine> = BTreeMap::new();
        for one in &known.runs {
            let state = match &one.state {
                Ok(state) => state,
                Err(why) => {
                    damaged.push(Damaged { run: one.run.clone(), why: why.clone() });
                    continue;
                }
            };
            if state.outcome.is_none() {
                let view = RunView::of(&one.run, state, &known.leaders, now);
                open.push(view.with_end_asked_by(known.ends_asked.get(&one.run)));
                continue;
            }
            let line = RunLine::of(&one.run, state, &known.leaders, now);
            let newest = last.entry(line.kind.clone()).or_insert_with(|| line.clone());
            if (newest.started, &newest.run) < (line.started, &line.run) {
                *newest = line;
            }
        }
        open.sort_by(|a, b| (a.line.started, &a.line.run).cmp(&(b.line.started, &b.line.run)));
        damaged.sort_by(|a, b| a.run.cmp(&b.run));
        let exported_snapshots = exported_snapshots(known, &open, now);
        Self { open, last: last.into_values().collect(), damaged, exported_snapshots }
    }
}

fn exported_snapshots(known: &Known, open: &[RunView], now: Timestamp) -> Vec<MayHoldBack> {
    let has_databases = known.stack.spec.data.iter().any(|set| matches!(set.kind, DataKind::Postgres(_)));
    let held = |view: &RunView| {
        let is_live = has_databases && view.line.standing == super::Standing::Running;
        // A restore takes its safety point in the step `safety`.
        let takes = |name: &str| matches!(name, "take" | "safety");
        let mut steps = view.phases.iter().flat_map(|phase| &phase.steps);
        let taking = steps.find(|step| takes(&step.name) && step.stage == crate::run::Stage::Intended);
        let since = taking.filter(|_| is_live)?.changed?;
        Some(MayHoldBack { run: view.line.run.clone(), since, age_ms: super::age(since, now) })
    };
    open.iter().filter_map(held).collect()
}

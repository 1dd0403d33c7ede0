//! `/metrics`: OpenMetrics of what is known, as of the moment of asking. Labels are categories and names of schedules,
//! never ids or texts, so that their number is bounded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::board::OUTCOMES;
use super::documents::Reloads;
use super::view::View;
use crate::finding::Severity;
use crate::stack::Name;
use crate::status::{Goal, Measure, Standing, Status, status};

/// What [`encode`] reads.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Operations that schedules know; counters of all of them are there from the beginning, so that a rate can be taken.
const OPERATIONS: [&str; 4] = ["snapshot", "drill", "check", "forget"];

/// All that is told.
pub struct Facts<'a> {
    pub stack: &'a Name,
    pub view: Option<&'a View>,
    pub ended: BTreeMap<(&'static str, &'static str), u64>,
    pub reloads: Reloads,
    pub ready: bool,
    pub now: Timestamp,
}

/// The exposition.
#[must_use]
pub fn text(facts: &Facts<'_>) -> String {
    let mut registry = Registry::default();
    process(&mut registry);
    let ours = registry.sub_registry_with_prefix("drydock");
    ours.register("build", "The program that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    let stack = ours.sub_registry_with_label(("stack".into(), facts.stack.to_string().into()));
    daemon(stack, facts);
    if let Some(view) = facts.view {
        let judged = status(&view.known, facts.now);
        points(stack, &judged, view);
        objectives(stack, &judged);
        runs(stack, &judged);
        schedules(stack, &judged);
    }
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes everything");
    text
}

type Labels = Vec<(String, String)>;
type Floats = Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>;

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    registry.register(name, help, ConstGauge::new(value));
}

fn seconds(registry: &mut Registry, name: &str, help: &str, value: f64) {
    registry.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(value));
}

fn bytes(registry: &mut Registry, name: &str, help: &str, value: f64) {
    registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(value));
}

fn label(name: &str, value: impl Into<String>) -> Labels {
    vec![(name.to_owned(), value.into())]
}

fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles; 2^53 ms are longer than any clock counts")]
fn of_ms(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
fn number(n: u64) -> f64 {
    n as f64
}

fn instant(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

fn daemon(registry: &mut Registry, facts: &Facts<'_>) {
    gauge(registry, "ready", "Whether the documents are loaded and the store answers", flag(facts.ready));
    let runs = Family::<Labels, prometheus_client::metrics::counter::Counter>::default();
    for operation in OPERATIONS {
        for outcome in OUTCOMES {
            let labels = vec![("operation".into(), operation.into()), ("outcome".into(), outcome.into())];
            runs.get_or_create(&labels).inc_by(facts.ended.get(&(operation, outcome)).copied().unwrap_or(0));
        }
    }
    registry.register("runs", "Scheduled runs that this process led, by how they ended", runs);
    let refusals = ConstCounter::new(facts.reloads.refusals);
    registry.register("document_reload_failures", "Changed documents that were refused", refusals);
    let refused = flag(facts.reloads.refused.is_some());
    gauge(registry, "documents_refused", "Whether the documents on disk are refused and former ones in force", refused);
    if let Some(loaded) = facts.reloads.loaded {
        seconds(registry, "documents_loaded_timestamp", "When the documents in force were read", instant(loaded));
    }
    if let Some(view) = facts.view {
        let help = "When the stack was looked at last; what is told here is as of then";
        seconds(registry, "status_refreshed_timestamp", help, instant(view.looked));
    }
}

fn points(registry: &mut Registry, judged: &Status, view: &View) {
    let points = &judged.recovery_points;
    if let Some(point) = &points.complete {
        let help = "Age of the oldest instant in the newest complete recovery point";
        seconds(registry, "complete_point_age", help, of_ms(point.age_ms));
        seconds(registry, "complete_point_timestamp", "The instant that it stands for", instant(point.instant));
        bytes(registry, "complete_point", "Size of its data sets", number(point.bytes));
    }
    if let Some(proven) = &points.proven {
        let help = "Age of the oldest instant in the newest recovery point that a drill restored";
        seconds(registry, "proven_point_age", help, of_ms(proven.point.age_ms));
        seconds(registry, "proven_point_timestamp", "The instant that it stands for", instant(proven.point.instant));
    }
    let counts = Floats::default();
    let broken = points.broken.len() as u64;
    for (state, n) in [("complete", points.complete_count), ("partial", points.partial_count), ("broken", broken)] {
        counts.get_or_create(&label("state", state)).set(number(n));
    }
    registry.register("recovery_points", "Recovery points by what they are worth", counts);
    bytes(registry, "repository", "Size of all objects of the repository", number(view.repository_bytes));
}

fn objectives(registry: &mut Registry, judged: &Status) {
    let achieved = &judged.achieved;
    let all: [(&str, &Measure); 3] = [("rpo", &achieved.rpo), ("rto", &achieved.rto), ("proven", &achieved.proven)];
    let (objective, missed) = (Floats::default(), Floats::default());
    for (name, measure) in all {
        if let Some(ms) = measure.objective_ms {
            objective.get_or_create(&label("objective", name)).set(of_ms(ms));
            missed.get_or_create(&label("objective", name)).set(flag(measure.goal == Goal::Missed));
        }
    }
    if let Some(ms) = achieved.rpo.achieved_ms {
        seconds(registry, "achieved_rpo", "What would be lost by a disaster now", of_ms(ms));
    }
    if let Some(ms) = achieved.rto.achieved_ms {
        seconds(registry, "achieved_rto", "What the newest drill of all data took until it was verified", of_ms(ms));
    }
    registry.register_with_unit("objective", "What the Stack document promises", Unit::Seconds, objective);
    registry.register("objective_missed", "Whether an objective is missed", missed);
    let findings = Floats::default();
    for finding in &judged.findings {
        let severity = if finding.severity == Severity::Problem { "problem" } else { "warning" };
        let labels = vec![("code".into(), finding.code.word()), ("severity".into(), severity.into())];
        findings.get_or_create(&labels).inc();
    }
    registry.register("findings", "What `drydock status` finds wrong, by its code", findings);
}

fn runs(registry: &mut Registry, judged: &Status) {
    let open = Floats::default();
    for (word, standing) in [
        ("running", Standing::Running),
        ("cut-off", Standing::CutOff),
        ("parked", Standing::Parked),
        ("waiting", Standing::Waiting),
    ] {
        let n = judged.runs.open.iter().filter(|run| run.line.standing == standing).count() as u64;
        open.get_or_create(&label("standing", word)).set(number(n));
    }
    registry.register("runs_open", "Runs that are not over; those that wait need a person", open);
    let (failed, ended) = (Floats::default(), Floats::default());
    for run in &judged.runs.last {
        failed.get_or_create(&label("operation", &run.kind)).set(flag(run.standing == Standing::Failed));
        if let Some(at) = run.ended {
            ended.get_or_create(&label("operation", &run.kind)).set(instant(at));
        }
    }
    registry.register("last_run_failed", "Whether the newest run of an operation failed", failed);
    let help = "When the newest run of an operation ended";
    registry.register_with_unit("last_run_end_timestamp", help, Unit::Seconds, ended);
    let oldest = judged.runs.exported_snapshots.iter().map(|held| held.age_ms).max().unwrap_or(0);
    let help = "How long a snapshot under way may have held back VACUUM on production; 0 without one";
    seconds(registry, "exported_snapshot_age", help, of_ms(oldest));
}

fn schedules(registry: &mut Registry, judged: &Status) {
    let (lag, next) = (Floats::default(), Floats::default());
    for line in judged.schedules.iter().flatten() {
        let name = label("schedule", line.schedule.as_str());
        lag.get_or_create(&name).set(of_ms(line.lag_ms.unwrap_or(0)));
        if let Some(at) = line.next {
            next.get_or_create(&name).set(instant(at));
        }
    }
    registry.register_with_unit("schedule_lag", "How long an instant waits for its run to begin", Unit::Seconds, lag);
    registry.register_with_unit("schedule_next_run_timestamp", "When it runs next", Unit::Seconds, next);
}

/// The process's own, by the names that every client library has. What /proc does not tell is left out.
fn process(registry: &mut Registry) {
    let Some(usage) = super::usage::Usage::now() else { return };
    let process = registry.sub_registry_with_prefix("process");
    bytes(process, "resident_memory", "Resident memory", number(usage.resident_bytes));
    let cpu = ConstCounter::new(usage.cpu_seconds);
    process.register_with_unit("cpu", "Processor time used", Unit::Seconds, cpu);
    seconds(process, "start_time", "When the process started, since 1970", usage.started);
}

//! Stacks that never were, for tests of who judges and shows them.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Known, KnownRun, KnownSchedule};
use crate::failure::Category;
use crate::point::testing::{drilled, named, points};
use crate::run::{Entry, Event, Failed, Leader, Outcome, Phase, Plan, PlannedStep, State, StepKind};
use crate::schedule::{self, Schedule};
use crate::stack::Stack;

pub const NOW: &str = "2026-11-23T18:30:00Z";

pub fn now() -> Timestamp {
    NOW.parse().unwrap()
}

const STACK: &str = "\
apiVersion: drydock.dev/v1alpha1
kind: Stack
metadata: {name: shop}
spec:
  objectives: {rpo: 24h, rto: 30m, proven: 8d}
  repository: {location: /var/backups/shop, password: {fromEnv: PASSWORD}}
  data:
  - name: shop-db
    postgres: {host: db, database: shop, user: drydock, password: {fromEnv: PASSWORD}}
";

pub fn stack(text: &str) -> Stack {
    Stack::parse(Path::new("stack.yaml"), Path::new("/srv"), text).unwrap()
}

pub fn schedules(spec: &[(&str, &str)]) -> Vec<KnownSchedule> {
    let text: Vec<String> = spec
        .iter()
        .map(|(name, spec)| {
            format!("apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {{name: {name}}}\nspec: {spec}\n")
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.yaml"), text.join("---\n")).unwrap();
    let all: Vec<Schedule> = schedule::load(folder.path()).unwrap();
    all.into_iter()
        .map(|schedule| KnownSchedule { schedule, since: Some("2026-11-01T00:00:00Z".parse().unwrap()) })
        .collect()
}

pub fn plan(kind: &str, phases: &[(&str, &[(&str, StepKind)])]) -> Plan {
    let step =
        |(name, kind): &(&str, StepKind)| PlannedStep { name: (*name).into(), kind: *kind, parameters: Value::Null };
    let phases =
        phases.iter().map(|(name, steps)| Phase { name: (*name).into(), steps: steps.iter().map(step).collect() });
    Plan::new(kind, &"shop".parse().unwrap(), phases.collect())
}

/// A run that began at `started` and whose journal goes on with `events`, each a minute after the one before.
pub fn run(id: &str, plan: Plan, started: &str, events: Vec<Event>) -> KnownRun {
    let started: Timestamp = started.parse().unwrap();
    let first = Event::Accepted { digest: plan.digest(), plan, by: "root@papg-0".into(), tool: "drydock 0.1.0".into() };
    let adopted = Event::Adopted { holder: "PID 7 on papg-0".into(), token: 3, tool: "drydock 0.1.0".into() };
    let events = [first, adopted].into_iter().chain(events);
    let at = |number: u64| started + SignedDuration::from_mins(number.saturating_sub(1).cast_signed());
    let entries: Vec<Entry> = (0..).zip(events).map(|(number, event)| Entry::new(number, at(number), event)).collect();
    KnownRun { run: id.parse().unwrap(), state: State::of(&entries) }
}

pub fn done(step: &str) -> Vec<Event> {
    let name = || step.to_owned();
    vec![
        Event::Intended { step: name(), attempt: 1 },
        Event::Applied { step: name(), output: json!({"what": step}) },
        Event::Verified { step: name() },
    ]
}

pub fn failed(step: &str, attempt: u32, category: Category, message: &str, hint: Option<&str>) -> Vec<Event> {
    let failure = Failed { category, message: message.into(), hint: hint.map(str::to_owned) };
    vec![Event::Intended { step: step.into(), attempt }, Event::Failed { step: step.into(), failure }]
}

pub fn undone(step: &str) -> Vec<Event> {
    vec![Event::UndoIntended { step: step.into() }, Event::Undone { step: step.into() }]
}

pub fn over(outcome: Outcome) -> Vec<Event> {
    vec![Event::Finished { outcome }]
}

pub fn snapshot_plan() -> Plan {
    plan("snapshot", &[("take", &[("take", StepKind::Reversible)])])
}

/// A restore whose databases carry the live names already.
pub fn restore_plan() -> Plan {
    let (back, on) = (StepKind::Reversible, StepKind::Forward);
    plan(
        "restore",
        &[
            ("safety", &[("safety", back)]),
            ("fill", &[("fill:shop-db", back), ("fill:uploads", back)]),
            ("exchange", &[("exchange", StepKind::Pivot)]),
            ("hand-over", &[("hand-over:cache", on), ("references", on)]),
        ],
    )
}

/// A stack that was made this month and has nothing else.
pub fn nothing_yet() -> Known {
    Known {
        stack: stack(STACK),
        since: "2026-11-23T18:00:00Z".parse().unwrap(),
        points: points(vec![]),
        evidence: vec![],
        evidence_faults: vec![],
        runs: vec![],
        leaders: vec![],
        ends_asked: std::collections::BTreeMap::new(),
        schedules: None,
        schedule_problems: vec![],
    }
}

/// Snapshots every night, drills every week, all in time; the next snapshot under way.
pub fn all_well() -> Known {
    let nightly = "snapshot-shop-20261123t021500z-nightly";
    let weekly = "drill-shop-20261122t043000z-weekly";
    let take = |id: &str, time: &str, end: Vec<Event>| run(id, snapshot_plan(), time, [done("take"), end].concat());
    let drill = plan("drill", &[("restore", &[("fill", StepKind::Reversible), ("verify", StepKind::Reversible)])]);
    let drill_events = [done("fill"), done("verify"), over(Outcome::Succeeded)].concat();
    Known {
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        points: points(vec![
            named("3f9a1c2e00000001", "2026-11-23T02:15:00Z"),
            drilled(named("77aa1c2e00000002", "2026-11-22T02:15:00Z"), weekly, "2026-11-22T04:42:00Z", 720_000),
            drilled(named("88aa1c2e00000003", "2026-11-15T02:15:00Z"), "drill-shop-2", "2026-11-15T04:42:00Z", 700_000),
            drilled(named("99aa1c2e00000004", "2026-11-08T02:15:00Z"), "drill-shop-1", "2026-11-08T04:42:00Z", 690_000),
        ]),
        runs: vec![
            take(nightly, "2026-11-23T02:15:00Z", over(Outcome::Succeeded)),
            take("snapshot-shop-20261122t021500z-nightly", "2026-11-22T02:15:00Z", over(Outcome::Succeeded)),
            run(weekly, drill, "2026-11-22T04:30:00Z", drill_events),
            run(
                "snapshot-shop-20261123t182500z-1a2b3c4d",
                snapshot_plan(),
                "2026-11-23T18:25:00Z",
                vec![Event::Intended { step: "take".into(), attempt: 1 }],
            ),
        ],
        leaders: vec![Leader {
            holder: "PID 7 on papg-0 by root since 2026-11-23T18:25:00Z".into(),
            token: 3,
            since: "2026-11-23T18:25:00Z".parse().unwrap(),
            runs: vec!["snapshot-shop-20261123t182500z-1a2b3c4d".into()],
            is_live: true,
            gave_back: false,
        }],
        schedules: Some(schedules(&[
            ("nightly", "{operation: {snapshot: {}}, cron: 15 2 * * *}"),
            ("weekly", "{operation: {drill: {point: latest}}, cron: 30 4 * * sun, timeZone: Europe/Berlin}"),
            ("monthly", "{operation: {check: {readData: true}}, cron: 30 5 1 * *, suspend: true}"),
        ])),
        ..nothing_yet()
    }
}

/// The newest snapshots have failed, the one before was cut off, the point is too old.
pub fn rpo_missed() -> Known {
    let mut known = all_well();
    let message = "PostgreSQL at db:5432 cannot be reached: connection refused";
    let hint = Some("is the server up? `drydock doctor -f FILE` tells more");
    let failing = failed("take", 1, Category::Unavailable, message, hint);
    let events = [failing, undone("take"), over(Outcome::Failed)].concat();
    known.points.points.remove(0);
    known.points.points[0].state = crate::point::State::Broken("the snapshot of shop-db is missing".into());
    known.runs.retain(|one| one.run.as_str().starts_with("drill"));
    known.runs.extend([
        run("snapshot-shop-20261123t021500z-nightly", snapshot_plan(), "2026-11-23T02:15:00Z", events),
        run(
            "prune-shop-20261121t064500z-retention",
            plan("prune", &[("prune", &[("prune", StepKind::Reversible)])]),
            "2026-11-21T06:45:00Z",
            vec![Event::Intended { step: "prune".into(), attempt: 1 }],
        ),
    ]);
    known.leaders.clear();
    known
}

/// The newest drill found a row that is not as it was recorded.
pub fn drill_failed() -> Known {
    let mut known = all_well();
    known.points.points[1].proven = None;
    let drill = plan("drill", &[("restore", &[("fill", StepKind::Reversible), ("verify", StepKind::Reversible)])]);
    let message = "shop-db: table public.orders: digest 5f1c where 9a40 was recorded (1,000 rows, as recorded)";
    let verify = failed("verify", 1, Category::DrillFailed, message, None);
    let events = [done("fill"), verify, undone("verify"), undone("fill"), over(Outcome::Failed)].concat();
    known.runs.retain(|one| !one.run.as_str().starts_with("drill"));
    known.runs.push(run("drill-shop-20261122t043000z-weekly", drill, "2026-11-22T04:30:00Z", events));
    known
}

/// A restore is past its point of no return, and its cache cannot be handed over.
pub fn waiting() -> Known {
    let mut known = all_well();
    let message = "Redis at cache:6379 refuses the new content: OOM command not allowed";
    let hint = Some("raise maxmemory");
    let events = [
        done("safety"),
        done("fill:shop-db"),
        done("fill:uploads"),
        done("exchange"),
        failed("hand-over:cache", 1, Category::Usage, message, hint),
    ];
    let id = "restore-shop-20261123t174000z-9e8d7c6b";
    known.runs.push(run(id, restore_plan(), "2026-11-23T17:40:00Z", events.concat()));
    known
}

/// Retention by schedule, and no word of what to keep; nobody begins what is due.
pub fn schedule_cannot_run() -> Known {
    let mut known = all_well();
    known.runs.retain(|one| one.run.as_str() != "snapshot-shop-20261123t021500z-nightly");
    known.schedules = Some(schedules(&[
        ("nightly", "{operation: {snapshot: {}}, cron: 15 2 * * *}"),
        ("retention", "{operation: {forgetAndPrune: {}}, cron: 45 6 * * *}"),
        ("weekly", "{operation: {drill: {}}, cron: 30 4 * * sun, startingDeadline: 1h}"),
    ]));
    known.runs.retain(|one| !one.run.as_str().starts_with("drill"));
    known
}

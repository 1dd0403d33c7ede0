//! `drydock runs`, over journals that the real engine wrote.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use drydock::context::Context;
use drydock::failure::{Category, Failure};
use drydock::run::journal::FileJournals;
use drydock::run::{
    Engine, Entry, Event, Journals, Lease, Left, Phase, Plan, PlannedStep, Probe, RunId, Scope, State, Step, StepError,
    StepKind, Steps, Stop,
};
use drydock::storage::{LocalStore, SharedStore};
use serde_json::{Value, json};

use crate::world::{Ran, World};

pub const FILES: &str = "  data:\n  - {name: files, volume: {path: files}}\n";

/// What keeps a step from its end.
#[derive(Debug, thiserror::Error)]
#[error("the cache refuses {0}: out of memory")]
struct Refused(String);

impl Failure for Refused {
    fn category(&self) -> Category {
        Category::Usage
    }

    fn hint(&self) -> Option<String> {
        Some("raise maxmemory".into())
    }
}

/// Steps that do nothing; `broken` fails, `held` goes on when the file of that name is there.
#[derive(Default)]
struct Acts {
    broken: Option<&'static str>,
    held: Option<(&'static str, std::path::PathBuf)>,
}

struct Act<'a> {
    name: String,
    acts: &'a Acts,
}

impl Steps for Acts {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        Ok(Box::new(Act { name: planned.name.clone(), acts: self }))
    }
}

#[async_trait::async_trait(?Send)]
impl Step for Act<'_> {
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, _: &Context) -> Result<Value, StepError> {
        if self.acts.broken == Some(self.name.as_str()) {
            return Err(StepError::new(Refused(self.name.clone())));
        }
        if let Some((_, file)) = self.acts.held.as_ref().filter(|(name, _)| *name == self.name) {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(json!({}))
    }

    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, _: Option<&Value>, _: &Context) -> Result<(), StepError> {
        Ok(())
    }
}

pub fn plan(kind: &str, phases: &[(&str, &[(&str, StepKind)])]) -> Plan {
    let step =
        |(name, kind): &(&str, StepKind)| PlannedStep { name: (*name).into(), kind: *kind, parameters: Value::Null };
    let phases =
        phases.iter().map(|(name, steps)| Phase { name: (*name).into(), steps: steps.iter().map(step).collect() });
    Plan::new(kind, &"shop".parse().unwrap(), phases.collect())
}

fn restore() -> Plan {
    let back = StepKind::Reversible;
    plan(
        "restore",
        &[
            ("fill", &[("fill:db", back), ("fill:files", back)]),
            ("exchange", &[("exchange", StepKind::Pivot)]),
            ("hand-over", &[("cache", StepKind::Forward)]),
        ],
    )
}

fn snapshot() -> Plan {
    plan("snapshot", &[("take", &[("take", StepKind::Reversible)])])
}

fn journals(world: &World) -> FileJournals {
    FileJournals::new(world.path("store/runs"))
}

async fn begin(world: &World, id: &str, plan: Plan) -> RunId {
    let run: RunId = id.parse().unwrap();
    let cx = Context::default();
    let first = Event::Accepted { digest: plan.digest(), plan, by: "root@papg-0".into(), tool: drydock::TOOL.into() };
    journals(world).begin(&run, &Entry::new(0, cx.clock.now(), first)).await.unwrap().unwrap();
    run
}

/// Leads a run as far as it comes.
async fn lead(world: &World, run: &RunId, acts: &Acts) -> Left {
    let cx = Context::default();
    let (entries, journal) = journals(world).open(run).await.unwrap().unwrap();
    let state = State::of(&entries).unwrap();
    let token = state.holder.as_ref().map_or(1, |(_, token)| token + 1);
    let engine = Engine::new(journal, state, acts, &Stop::of(&cx.cancel), &cx);
    engine.adopt("PID 7 on papg-0 by root", token).await.unwrap();
    engine.finish().await.unwrap().0
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// One that succeeded, one that failed and was undone, one that waits for a person, one that was cut off.
fn eventful(name: &str) -> World {
    let world = World::new(name, FILES);
    block_on(async {
        let good = begin(&world, "snapshot-shop-20261121t021500z-nightly", snapshot()).await;
        lead(&world, &good, &Acts::default()).await;
        let bad = begin(&world, "restore-shop-20261122t100000z-0badcafe", restore()).await;
        lead(&world, &bad, &Acts { broken: Some("fill:files"), ..Acts::default() }).await;
        let stuck = begin(&world, "restore-shop-20261123t100000z-1a2b3c4d", restore()).await;
        let left = lead(&world, &stuck, &Acts { broken: Some("cache"), ..Acts::default() }).await;
        assert!(matches!(left, Left::Waiting { .. }), "{left:?}");
        begin(&world, "snapshot-shop-20261123t021500z-nightly", snapshot()).await;
    });
    world
}

fn rows(json: &Value) -> Vec<(String, String)> {
    let word = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    json["runs"].as_array().unwrap().iter().map(|row| (word(row, "run"), word(row, "standing"))).collect()
}

#[test]
fn runs_are_listed_newest_first_each_with_what_became_of_it() {
    let world = eventful("runs");
    let expected = [
        ("restore-shop-20261123t100000z-1a2b3c4d", "waiting"),
        ("snapshot-shop-20261123t021500z-nightly", "cut-off"),
        ("restore-shop-20261122t100000z-0badcafe", "failed"),
        ("snapshot-shop-20261121t021500z-nightly", "succeeded"),
    ]
    .map(|(run, standing)| (run.to_owned(), standing.to_owned()));
    assert_eq!(rows(&world.json(&["runs"])), expected);
    assert_eq!(rows(&world.json(&["runs", "list", "--limit", "1"])), expected[..1]);
    assert_eq!(rows(&world.json(&["runs", "--open"])), expected[..2]);
    assert_eq!(rows(&world.json(&["runs", "--kind", "snapshot"])), [expected[1].clone(), expected[3].clone()]);
    let text = world.run(&["runs", "--limit", "3"]).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("KIND      STARTED "), "{text}");
    assert!(lines[3].contains("failed: the cache refuses fill:files: out of memory"), "{text}");
    assert_eq!(lines[4], "and 1 older; see --limit");
    let refused = world.run(&["runs", "--open", "show", "latest"]);
    assert_eq!(refused.code, 2, "{}", refused.stdout);
}

#[test]
fn a_run_is_drawn_with_its_steps_and_what_a_person_has_to_type() {
    let world = eventful("runs-show");
    let stuck = "restore-shop-20261123t100000z-1a2b3c4d";
    let shown = world.json(&["runs", "show", "1a2b3c4d"]);
    assert_eq!(shown["run"], stuck);
    assert_eq!((&shown["waitsFor"], &shown["pastReturn"]), (&json!("cache"), &json!(true)));
    assert_eq!(shown["commands"], json!([format!("drydock runs resume {stuck} -f FILE")]));
    let stages: Vec<Vec<String>> = shown["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| {
            let step = |step: &Value| format!("{} {}", step["name"].as_str().unwrap(), step["stage"].as_str().unwrap());
            phase["steps"].as_array().unwrap().iter().map(step).collect()
        })
        .collect();
    assert_eq!(
        stages,
        [vec!["fill:db verified", "fill:files verified"], vec!["exchange verified"], vec!["cache failed"]]
    );
    let text = world.run(&["runs", "show", "latest"]).stdout;
    let command = format!("  drydock runs resume {stuck} -f {}\n", world.path("stack.yaml").display());
    assert!(text.ends_with(&command), "what is to be typed can be typed as it stands: {text}");
    assert!(text.contains("✗ cache: failed") && text.contains("hint: raise maxmemory"), "{text}");
    let undone = world.run(&["runs", "show", "0badcafe"]).stdout;
    assert!(undone.contains("↩ fill:db: undone") && undone.contains("↩ fill:files: undone"), "{undone}");
    assert!(!undone.contains("drydock runs"), "nobody has to do anything: {undone}");
    let said = world.run(&["runs", "show", "snapshot"]);
    assert_eq!(said.code, 2);
    assert!(
        said.stderr.contains("`snapshot` names 2 runs (snapshot-shop-20261123t021500z-nightly, "),
        "{}",
        said.stderr
    );
}

#[test]
fn schedules_know_how_their_last_runs_went() {
    let world = eventful("runs-schedules");
    let document = |name: &str| {
        format!(
            "apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {{name: {name}}}\nspec: {{operation: {{snapshot: {{}}}}, cron: 15 2 * * *}}\n"
        )
    };
    world.write("schedules/nightly.yaml", document("nightly"));
    world.write("schedules/weekly.yaml", document("weekly"));
    let folder = world.path("schedules");
    let args = ["schedules", "--schedules", folder.to_str().unwrap()];
    let json = world.json(&args);
    let nightly = &json["schedules"][0];
    assert_eq!(nightly["last"]["run"], "snapshot-shop-20261123t021500z-nightly");
    assert_eq!((&nightly["last"]["standing"], &nightly["last"]["ended"]), (&json!("cut-off"), &Value::Null));
    assert_eq!(json["schedules"][1]["last"], Value::Null);
    // As a daemon writes it down that it has seen a schedule.
    let since = r#"{"formatVersion":1,"schedule":"weekly","cron":"15 2 * * *","timeZone":"UTC","since":"2026-01-01T00:00:00Z"}"#;
    world.write("store/schedules/weekly.json", since);
    let seen = world.json(&args);
    assert_eq!(json["schedules"][1]["now"]["decision"], "wait", "without a daemon nothing is told as missed");
    assert_eq!(seen["schedules"][1]["now"]["decision"], "run");
    let status = world.json(&["status", "--schedules", folder.to_str().unwrap()]);
    let overdue = status["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "schedule-overdue");
    assert_eq!(overdue.unwrap()["subject"], "weekly");
    let text = world.run(&args).stdout;
    assert!(text.lines().nth(1).unwrap().contains("cut off "), "{text}");
    std::fs::rename(world.path("store"), world.path("elsewhere")).unwrap();
    let unmounted = world.run(&args);
    assert_eq!(unmounted.code, 0, "what the documents say is true all the same: {}", unmounted.stderr);
    let why = format!("earlier runs are not known: {} does not exist\n", world.path("store").display());
    assert!(unmounted.stdout.ends_with(&why), "{}", unmounted.stdout);
    std::fs::rename(world.path("elsewhere"), world.path("store")).unwrap();
}

#[test]
fn a_damaged_journal_is_named_and_keeps_nobody_from_seeing_the_others() {
    let world = eventful("runs-damaged");
    let path = world.path("store/runs/snapshot-shop-20261121t021500z-nightly.jsonl");
    let text = std::fs::read_to_string(&path).unwrap().replacen("\"adopted\"", "\"adapted\"", 1);
    std::fs::write(&path, text).unwrap();
    let listed = world.json(&["runs"]);
    let damaged = &listed["runs"][3];
    assert!(damaged["damaged"].as_str().unwrap().starts_with("line 2: unknown variant `adapted`"), "{damaged}");
    assert_eq!(listed["runs"].as_array().unwrap().len(), 4);
    let shown = world.run(&["runs", "show", "snapshot-shop-20261121", "-o", "json"]);
    assert_eq!((shown.code, shown.report()["category"].clone()), (30, json!("needs-operator")));
}

#[test]
fn a_run_in_another_process_is_followed_to_its_end() {
    let world = World::new("runs-follow", FILES);
    let run = block_on(begin(&world, "snapshot-shop-20261123t021500z-nightly", snapshot()));
    let go = world.path("go");
    let follower = world.command(&["runs", "logs", "latest", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let seen = block_on(async {
        let store: SharedStore = Arc::new(LocalStore::open(world.path("store")).await.unwrap());
        let cx = Context::default();
        let lease = Lease::acquire(&store, Scope::Act, run.as_str(), Duration::ZERO, &cx, |_| ()).await.unwrap();
        let acts = Acts { held: Some(("take", go.clone())), ..Acts::default() };
        let (left, seen) = tokio::join!(lead(&world, &run, &acts), async {
            let seen = tokio::task::spawn_blocking({
                let (mut open, mut status) = (world.command(&["runs", "-o", "json"]), world.command(&["status"]));
                move || (Ran::of(open.output().unwrap()), Ran::of(status.output().unwrap()))
            });
            let seen = seen.await.unwrap();
            std::fs::write(&go, "").unwrap();
            seen
        });
        assert!(matches!(left, Left::Over { .. }), "{left:?}");
        lease.release().await.unwrap();
        seen
    });
    let listed: Value = serde_json::from_str(&seen.0.stdout).unwrap();
    assert_eq!(rows(&listed), [(run.to_string(), "running".to_owned())]);
    let under_way = seen.1.stdout.lines().find(|line| line.starts_with(run.as_str())).unwrap();
    assert!(under_way.contains("running") && under_way.ends_with("0/1, take  take"), "{under_way}");
    let followed = Ran::of(follower.wait_with_output().unwrap());
    let told: Vec<&str> = followed.stdout.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let tool = drydock::TOOL;
    assert_eq!(
        told,
        [
            format!("accepted: snapshot of shop, 1 step, for root@papg-0 by {tool}").as_str(),
            format!("adopted by PID 7 on papg-0 by root with token 1 ({tool})").as_str(),
            "take: begins",
            "take: happened",
            "take: done, and looked at",
            "over: succeeded",
        ]
    );
    assert_eq!(rows(&world.json(&["runs"])), [(run.to_string(), "succeeded".to_owned())]);
}

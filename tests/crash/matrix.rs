//! Every step of every plan, killed (SIGKILL) before its intent, after it, after its effect and after its record: generated
//! from the journal of an undisturbed run. Whoever comes next goes on to the same end, or takes it back; judged by restic,
//! pg_dump, `diff -r`, DEBUG DIGEST, the objects in the store, the processes and the temporary files. In-place restores have
//! theirs in `tests/cli/deaths.rs`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drydock::context::Context;
use drydock::maintain::forget::policy;
use drydock::operation::{DrillRequest, How, Request, RestoreRequest, SnapshotRequest, journals, run_id, work};
use drydock::point::Home;
use drydock::restore::{Options, Target};
use drydock::run::{Engine, Entry, Event, Lease, RunId, State, Stop};
use drydock::stack::Stack;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use crate::judge;
use crate::support::mortal::{self, Mortal};
use crate::world::World;

/// Not a test of its own: what the tests below begin as a process, to die.
#[test]
#[ignore = "a process of the tests beside it"]
fn a_life() {
    mortal::live(live);
}

fn live(life: &Value) {
    let text = |key: &str| life[key].as_str().unwrap().to_owned();
    let dies = (life["number"].as_u64().unwrap(), life["stored"].as_bool().unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let run: RunId = text("run").parse().unwrap();
        let home = Home::open(Stack::load(text("document").as_ref()).unwrap()).await.unwrap();
        let cx = Context::default();
        let request = request(&life["operation"], &home.stack);
        let lease =
            Lease::acquire(&home.store, request.scope(), run.as_str(), Duration::ZERO, &cx, |_| ()).await.unwrap();
        let plan = request.plan(&home, &run, &cx).await.unwrap();
        let event = Event::Accepted { digest: plan.digest(), plan, by: "a test".into(), tool: drydock::TOOL.into() };
        let first = Entry::new(0, cx.clock.now(), event);
        let journal = journals(&home).begin(&run, &first).await.unwrap().unwrap();
        let state = State::begin(&first).unwrap();
        let how = How { wait: Duration::ZERO, fresh: true, say: &|_| () };
        let work = work(&home, &run, &state.plan, how).unwrap();
        let stop = Stop::of(&cx.cancel);
        let engine = Engine::new(Box::new(Mortal { journal, dies }), state, work.as_ref(), &stop, &cx);
        engine.adopt(lease.holder(), lease.token()).await.unwrap();
        let ended = engine.finish().await;
        panic!("it was to die at {dies:?}, and ended with {ended:?}");
    });
}

fn request(operation: &Value, stack: &Stack) -> Request {
    if let Some(point) = operation["point"].as_str() {
        let target = match operation["to"].as_str() {
            Some(folder) => Target::Folder(folder.into()),
            None => Target::Databases([("app".to_owned(), "app_copy".to_owned())].into()),
        };
        let (point, options) = (point.parse().unwrap(), Options::default());
        return Request::Restore(Box::new(RestoreRequest { point, data: Vec::new(), target, options }));
    }
    match operation.as_str().unwrap() {
        "snapshot" => Request::Snapshot(SnapshotRequest::default()),
        "check" => Request::Check("all".parse().unwrap()),
        "forget" => Request::ForgetAndPrune(policy(stack.spec.retention.as_ref().unwrap()), "0".parse().unwrap()),
        "drill" => Request::Drill(DrillRequest { choice: "latest".parse().unwrap(), data: Vec::new(), keep: false }),
        other => panic!("{other} has no matrix"),
    }
}

/// Begins a run in a process of its own, which dies around the entry.
fn life(world: &World, operation: &str, death: (u64, bool)) -> RunId {
    life_of(world, operation, &json!(operation), death)
}

/// As [`life`], of an operation that needs more than its name.
fn life_of(world: &World, word: &str, operation: &Value, (number, stored): (u64, bool)) -> RunId {
    let now = std::time::SystemTime::now().try_into().unwrap();
    let run = run_id(word, &"crash".parse().unwrap(), now);
    let life = json!({"document": world.path("stack.yaml"), "run": run, "operation": operation, "number": number,
                      "stored": stored});
    let (folder, tmp) = (world.folder.path(), world.path("tmp"));
    mortal::begin("matrix::a_life", &life, &[("DRYDOCK_CRASH_TEST", folder), ("TMPDIR", &tmp)]);
    run
}

/// Every instant at which an undisturbed run can be cut off, and what the journal says there: an entry about to be written
/// is the effect of the one before it, so each is tried once, and the last one after it was written, too.
fn deaths(world: &World, run: &str) -> Vec<((u64, bool), String)> {
    let text = std::fs::read_to_string(world.path(&format!("store/runs/{run}.jsonl"))).unwrap();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let word = |entry: &Value| format!("{} {}", entry["entry"]["event"], entry["entry"]["step"]);
    let mut words: Vec<String> = entries.iter().map(word).collect();
    words.dedup(); // one that was taken up at once was adopted twice
    let numbered = || (0..).zip(&words);
    let before = numbered().skip(1).map(|(number, word)| ((number, false), word.clone()));
    let last = numbered().last().map(|(number, word)| ((number, true), format!("after {word}")));
    before.chain(last).collect()
}

fn newest_run(world: &World) -> String {
    json_of(world, &["runs"])["runs"][0]["run"].as_str().unwrap().to_owned()
}

fn json_of(world: &World, args: &[&str]) -> Value {
    let said = crate::support::run(world.drydock(args).args(["-o", "json"]));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"))
}

/// How the run stands when somebody has brought it to its end.
fn ended(world: &World, how: &str, run: &RunId) -> String {
    let output = world.drydock(&["runs", how, run.as_str()]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let shown = json_of(world, &["runs", "show", run.as_str()]);
    let word = shown["standing"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned();
    assert!(matches!(word.as_str(), "succeeded" | "abandoned"), "`runs {how}` left it {word}: {said}");
    word
}

fn points(world: &World) -> BTreeSet<String> {
    judge::listed_points(world).into_iter().map(|point| point.id).collect()
}

/// All that lies in the store but journals and leases.
fn objects(world: &World) -> BTreeSet<String> {
    let store = world.path("store");
    let said = crate::support::run(Command::new("find").arg(&store).args(["-type", "f", "-printf", "%P %s\\n"]));
    let ours = |line: &&str| !["runs/", "lease/", "cancel/"].iter().any(|prefix| line.starts_with(prefix));
    said.lines().filter(ours).map(str::to_owned).collect()
}

/// No snapshot belongs to no point, no lock is left.
pub fn nothing_is_halfway(world: &World) {
    let said = world.restic().run(&["snapshots", "--json", "--no-lock"]);
    let snapshots: Value = serde_json::from_str(&said).unwrap();
    let marks = |snapshot: &&Value| {
        let tags = snapshot["tags"].as_array().unwrap();
        tags.iter().any(|tag| tag.as_str().unwrap().starts_with("data="))
    };
    let members = snapshots.as_array().unwrap().iter().filter(marks).count();
    let named: usize = judge::points_among(&snapshots).iter().map(|point| point.members.len()).sum();
    assert_eq!(members, named, "members without a point: {said}");
    assert_eq!(world.restic().run(&["list", "locks", "--no-lock"]).trim(), "");
    judge::nothing_is_left_behind(world);
}

#[test]
fn a_snapshot_ends_as_undisturbed_or_undone() {
    let mut world = World::new(&mut SmallRng::seed_from_u64(1));
    json_of(&world, &["snapshot"]);
    for (death, instant) in deaths(&world, &newest_run(&world)) {
        for how in ["resume", "undo"] {
            let before = points(&world);
            let run = life(&world, "snapshot", death);
            let over = instant.starts_with("after");
            let standing = if over { "succeeded".to_owned() } else { ended(&world, how, &run) };
            let new = points(&world).difference(&before).count();
            assert_eq!(new == 1, standing == "succeeded", "{instant}, {how}: {new} new points, {standing}");
            assert!(standing == "succeeded" || how == "undo", "{instant}: resumed and {standing}");
            nothing_is_halfway(&world);
            judge::repository_is_sound(&world);
        }
    }
    judge::listed_points_are_whole(&mut world);
    judge::every_byte_is_sound(&world);
}

#[test]
fn forgetting_and_pruning_ends_as_undisturbed_or_can_be_done_again() {
    let mut world = World::new(&mut SmallRng::seed_from_u64(2));
    let more = |world: &World| {
        for _ in 0..2 {
            json_of(world, &["snapshot"]);
        }
    };
    more(&world);
    more(&world);
    // The first one's plan, to know where it can be cut off.
    let dead = life(&world, "forget", (1, true));
    assert_eq!(ended(&world, "resume", &dead), "succeeded");
    for (death, instant) in deaths(&world, dead.as_str()) {
        more(&world);
        let newest: BTreeSet<String> = json_of(&world, &["points"])["points"].as_array().unwrap()[..3]
            .iter()
            .map(|point| point["id"].as_str().unwrap().to_owned())
            .collect();
        let run = life(&world, "forget", death);
        if !instant.starts_with("after") {
            assert_eq!(ended(&world, "resume", &run), "succeeded", "{instant}");
        }
        assert_eq!(points(&world), newest, "{instant}");
        nothing_is_halfway(&world);
        judge::repository_is_sound(&world);
    }
    // One that is ended instead is done again by the next, and nothing that is kept is touched.
    more(&world);
    let run = life(&world, "forget", (2, true));
    let before = points(&world);
    ended(&world, "undo", &run);
    assert_eq!(points(&world), before);
    judge::every_byte_is_sound(&world);
    judge::listed_points_are_whole(&mut world);
}

#[test]
fn a_check_and_a_drill_leave_nothing_however_they_end() {
    let mut world = World::new(&mut SmallRng::seed_from_u64(3));
    json_of(&world, &["snapshot"]);
    judge::listed_points_are_whole(&mut world);
    for operation in ["check", "drill"] {
        json_of(&world, if operation == "check" { &["check", "--read-data"] } else { &["drill"] });
        for (n, (death, instant)) in deaths(&world, &newest_run(&world)).into_iter().enumerate() {
            let before = objects(&world);
            let run = life(&world, operation, death);
            let how = ["resume", "undo"][n % 2];
            let over = instant.starts_with("after");
            let standing = if over { "succeeded".to_owned() } else { ended(&world, how, &run) };
            // What a drill has found out stays true, also when somebody wants the run to end a moment later.
            let recorded = ["applied", "verified"].iter().any(|event| instant == format!("\"{event}\" \"record\""));
            let proven = operation == "drill" && (standing == "succeeded" || recorded);
            // A drill that passed leaves its mark, which replaces the one of the drill before it.
            let after = objects(&world);
            let changed: Vec<&String> = after.symmetric_difference(&before).collect();
            let is_mark = |object: &&String| proven && object.starts_with("repository/");
            assert!(changed.iter().all(is_mark), "{operation}, {instant}, {how}: {changed:?}");
            assert_eq!(points(&world).len(), 1);
            assert!(standing == "succeeded" || how == "undo", "{operation}, {instant}: resumed and {standing}");
            nothing_is_halfway(&world);
            judge::live_data_is(&world, world.judged.keys().next().unwrap());
        }
    }
    judge::every_byte_is_sound(&world);
}

/// The files of a point in a folder that is not there, or in somebody's, beside his things.
#[test]
fn a_restore_to_a_folder_ends_as_undisturbed_or_leaves_what_was_there() {
    let mut world = World::new(&mut SmallRng::seed_from_u64(4));
    let point = snapshot(&mut world);
    sign(&world);
    let (folder, target) = (world.path("look/deeper"), world.path("look/deeper").display().to_string());
    let undisturbed = json_of(&world, &["restore", "--point", &point, "--to", &target]);
    let all = deaths(&world, undisturbed["run"].as_str().unwrap());
    std::fs::remove_dir_all(world.path("look")).unwrap();
    for (n, (death, instant)) in all.into_iter().enumerate() {
        for how in ["resume", "undo"] {
            let before = objects(&world);
            let is_somebodys = n % 2 == 0;
            if is_somebodys {
                std::fs::create_dir_all(folder.join("files")).unwrap();
                std::fs::write(folder.join("mine"), "mine").unwrap();
            }
            let run = life_of(&world, "restore-copy", &json!({"point": point, "to": target}), death);
            let over = instant.starts_with("after");
            let how = if is_past_return(&world, &run) { "resume" } else { how };
            let standing = if over { "succeeded".to_owned() } else { ended(&world, how, &run) };
            assert_eq!(standing, if how == "undo" { "abandoned" } else { "succeeded" }, "{instant}");
            if standing == "succeeded" {
                judge::same_folder(&folder.join("files"), &world.path("volume"));
                let listed = crate::support::run(Command::new("find").arg(&folder).args(["-name", ".drydock"]));
                assert_eq!(listed, "", "{instant}, {how}: a mark is left");
                assert!(folder.join("db/manifest.json").exists() && folder.join("cache/dump.rdb").exists());
            } else {
                assert_eq!(folder.exists(), is_somebodys, "{instant}");
                assert_eq!(world.path("look").exists(), is_somebodys, "{instant}");
                if is_somebodys {
                    assert_eq!(names_in(&folder), ["files", "mine"], "{instant}");
                    assert_eq!(names_in(&folder.join("files")), [""; 0], "{instant}");
                }
            }
            assert_eq!(std::fs::read_to_string(folder.join("mine")).is_ok(), is_somebodys);
            std::fs::remove_dir_all(world.path("look")).ok();
            let is_proof = |object: &&String| object.starts_with("evidence/");
            let (objects, signed) = (objects(&world), signed(&world, &run));
            assert!(objects.symmetric_difference(&before).all(|object| is_proof(&object)), "{instant}, {how}");
            assert_eq!(signed, expected(&world, &run, &standing), "{instant}, {how}");
            nothing_is_halfway(&world);
        }
    }
    assert_eq!(json_of(&world, &["evidence", "verify", "--all"])["verified"], true);
    judge::live_data_is(&world, &point);
    judge::every_byte_is_sound(&world);
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_restore_to_another_database_ends_as_undisturbed_or_leaves_no_database() {
    let mut world = World::new(&mut SmallRng::seed_from_u64(5));
    let point = snapshot(&mut world);
    sign(&world);
    let drop = |world: &World| drop(world.postgres.psql("postgres", "drop database if exists app_copy"));
    let undisturbed = json_of(&world, &["restore", "--point", &point, "--to-database", "app=app_copy"]);
    let all = deaths(&world, undisturbed["run"].as_str().unwrap());
    drop(&world);
    for (death, instant) in all {
        for how in ["resume", "undo"] {
            let run = life_of(&world, "restore-copy", &json!({"point": point}), death);
            let over = instant.starts_with("after");
            let how = if is_past_return(&world, &run) { "resume" } else { how };
            let standing = if over { "succeeded".to_owned() } else { ended(&world, how, &run) };
            assert_eq!(standing, if how == "undo" { "abandoned" } else { "succeeded" }, "{instant}");
            let there = "select datname || coalesce(shobj_description(oid, 'pg_database'), '') from pg_database \
                         where datname like 'app\\_%'";
            let there = world.postgres.psql("postgres", there);
            if standing == "succeeded" {
                assert_eq!(there, "app_copy", "{instant}, {how}");
                let (copy, live) = (world.postgres.pg_dump("app_copy", &[]), world.postgres.pg_dump("app", &[]));
                assert_eq!(copy, live, "{instant}, {how}");
                drop(&world);
            } else {
                assert_eq!(there, "", "{instant}, {how}");
            }
            assert_eq!(signed(&world, &run), expected(&world, &run, &standing), "{instant}, {how}");
            nothing_is_halfway(&world);
        }
    }
    judge::live_data_is(&world, &point);
}

fn sign(world: &World) {
    let key = world.path("evidence.pem");
    // The document is not read for it.
    crate::support::run(Command::new(env!("CARGO_BIN_EXE_drydock")).args(["evidence", "keygen", "--out"]).arg(&key));
    let text = std::fs::read_to_string(world.path("stack.yaml")).unwrap();
    let evidence = format!("  evidence: {{key: {{fromFile: {}}}}}\n", key.display());
    std::fs::write(world.path("stack.yaml"), text + &evidence).unwrap();
}

/// The outcomes of the run's records.
fn signed(world: &World, run: &RunId) -> Vec<String> {
    let listed = json_of(world, &["evidence", "list"]);
    let of_run = listed["records"].as_array().unwrap().iter().filter(|record| record["run"] == run.as_str());
    of_run.map(|record| record["outcome"].as_str().unwrap().to_owned()).collect()
}

/// It has begun to hand over what it made.
fn is_past_return(world: &World, run: &RunId) -> bool {
    has(world, run, "intended", "release")
}

fn has(world: &World, run: &RunId, event: &str, step: &str) -> bool {
    let journal = std::fs::read_to_string(world.path(&format!("store/runs/{run}.jsonl"))).unwrap();
    let mut entries = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.any(|entry| entry["entry"]["event"] == event && entry["entry"]["step"] == step)
}

/// One, as the run went; none where it never came to say what it would prove.
fn expected(world: &World, run: &RunId, standing: &str) -> Vec<String> {
    let is_opened = has(world, run, "applied", "evidence");
    match (standing, is_opened) {
        (_, false) => Vec::new(),
        ("succeeded", true) => vec!["passed".to_owned()],
        (_, true) => vec!["failed".to_owned()],
    }
}

/// A point, judged.
fn snapshot(world: &mut World) -> String {
    let taken = json_of(world, &["snapshot"]);
    judge::listed_points_are_whole(world);
    taken["point"]["id"].as_str().unwrap().to_owned()
}

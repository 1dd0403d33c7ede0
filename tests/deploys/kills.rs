//! Deploys killed (SIGKILL) before and after every entry of their journal, generated from that of an undisturbed one, and at
//! random instants: whoever comes next brings the cluster into the state that the undisturbed one left. `KILLS` says how
//! many of the journal's boundaries are tried (`all`; 10 unless given), `DEPLOYS` how many kills at random.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use drydock::context::Context;
use drydock::deploy::{Told, read_folder};
use drydock::operation::{DeployRequest, How, Request, journals, run_id, work};
use drydock::point::Home;
use drydock::run::{Engine, Entry, Event, Lease, RunId, State, Stop};
use drydock::stack::Stack;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::migrations::{database, kong, phases, schema};
use crate::support::mortal::{self, Mortal};
use crate::world::{World, image};

/// Worlds beside each other: most of the time is waiting for pods.
const WORLDS: usize = 3;

/// Not a test of its own: what the test below begins as a process, to die.
#[test]
#[ignore = "a process of the tests beside it"]
fn a_life() {
    mortal::live(live);
}

fn live(life: &Value) {
    let text = |key: &str| life[key].as_str().unwrap().to_owned();
    let dies = (life["number"].as_u64().unwrap(), life["stored"].as_bool().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let run: RunId = text("run").parse().unwrap();
        let stack = Stack::load(text("document").as_ref()).unwrap();
        let release = read_folder(&stack, text("folder").as_ref()).unwrap();
        let told = Told {
            digest: release.digest(),
            namespace: text("namespace"),
            context: None,
            wait_seconds: 300,
            force: false,
            prune_data: false,
            migrate: false,
            migrate_seconds: 300,
            image: Some(image("drydock:dev")),
            migrating: Vec::new(),
            held: Vec::new(),
        };
        let home = Home::open(stack).await.unwrap();
        let cx = Context::default();
        let request = Request::Deploy(Box::new(DeployRequest { release, told, phase: None }));
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

fn world() -> Option<World> {
    let world = World::open("kills")?;
    world.stack(phases(&[]));
    world.write("data.yaml", &database());
    world.write("kong.yaml", &kong("3.4.2"));
    Some(world)
}

fn state(world: &World) -> (Value, String) {
    (world.picture(), schema(world))
}

/// Every instant at which a run with this journal can be cut off: before an entry is stored, which is after the effect of
/// the one before it, and after the last.
fn boundaries(journal: &str) -> Vec<((u64, bool), String)> {
    let entries: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let word = |entry: &Value| format!("{} {}", entry["entry"]["event"], entry["entry"]["step"]);
    let numbered = || (0..).zip(entries.iter().map(word));
    let before = numbered().skip(1).map(|(number, word)| ((number, false), format!("before {word}")));
    let last = numbered().last().map(|(number, word)| ((number, true), format!("after {word}")));
    before.chain(last).collect()
}

#[test]
fn killed_at_every_boundary_of_its_journal_a_deploy_ends_in_the_same_state() {
    let Some(undisturbed) = world() else { return };
    undisturbed.drydock(&["deploy"]).well();
    let wanted = state(&undisturbed);
    let run = undisturbed.json(&["runs"])["runs"][0]["run"].as_str().unwrap().to_owned();
    let journal = std::fs::read_to_string(undisturbed.path(&format!("store/runs/{run}.jsonl"))).unwrap();
    drop(undisturbed);

    let all = boundaries(&journal);
    let tried = match std::env::var("KILLS").as_deref() {
        Ok("all") => all.len(),
        Ok(number) => number.parse::<usize>().unwrap().min(all.len()),
        Err(_) => 10,
    };
    let mut chosen: Vec<_> = (0..tried).map(|at| all[at * all.len() / tried].clone()).enumerate().collect();
    println!("{tried} of {} boundaries", all.len());
    chosen.reverse();
    let queue = Mutex::new(chosen);
    std::thread::scope(|scope| {
        for _ in 0..WORLDS {
            scope.spawn(|| {
                loop {
                    let Some((number, (death, word))) = queue.lock().unwrap().pop() else { return };
                    die_and_finish(number, death, &word, &wanted);
                }
            });
        }
    });
}

fn die_and_finish(number: usize, (entry, stored): (u64, bool), word: &str, wanted: &(Value, String)) {
    let world = world().unwrap();
    let run = run_id("deploy", &"shop".parse().unwrap(), std::time::SystemTime::now().try_into().unwrap());
    let life = json!({"document": world.path("stack.yaml"), "folder": world.folder.path(), "namespace": world.namespace,
        "run": run, "number": entry, "stored": stored});
    let environment = world.environment();
    mortal::begin("kills::a_life", &life, &environment.each_ref().map(|(name, value)| (*name, value.as_path())));
    // Taken up where it was, or left to be settled by the next deploy.
    let taken_up = number.is_multiple_of(2) && !stored;
    if taken_up {
        world.drydock(&["runs", "resume", run.as_str()]).well();
    } else {
        world.drydock(&["deploy"]).well();
    }
    let found = state(&world);
    println!("killed {word}, {}: {}", if taken_up { "resumed" } else { "deployed again" }, found == *wanted);
    // What was complete before it died is recorded by it and by the deploy after it.
    let releases = |found: &(Value, String)| found.0["releases"].as_array().unwrap().len();
    assert!((1..=2).contains(&releases(&found)), "{}", found.0["releases"]);
    assert_eq!((&found.0["objects"], &found.1), (&wanted.0["objects"], &wanted.1), "killed {word}");
}

#[test]
fn killed_at_a_random_instant_a_deploy_is_finished_by_the_next() {
    let kills: u64 = std::env::var("DEPLOYS").map_or(0, |text| text.parse().unwrap());
    let seed: u64 = std::env::var("SEED").map_or(1, |text| text.parse().unwrap());
    if kills == 0 {
        println!("left out: DEPLOYS says how many (`make crash`)");
        return;
    }
    let Some(undisturbed) = world() else { return };
    let begun = Instant::now();
    undisturbed.drydock(&["deploy"]).well();
    let usual = begun.elapsed();
    let wanted = state(&undisturbed);
    drop(undisturbed);
    let mut random = SmallRng::seed_from_u64(seed);
    for kill in 0..kills {
        let world = world().unwrap();
        let after = usual.mul_f64(random.random_range(0.0..1.0));
        let mut child = world.begin(&["deploy"]).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        world.drydock(&["deploy"]).well();
        let found = state(&world);
        println!("{kill}: killed after {} ms", after.as_millis());
        assert_eq!((&found.0["objects"], &found.1), (&wanted.0["objects"], &wanted.1), "killed after {after:?}");
    }
}

//! The daemon under load, killed at random instants: more schedules than it can keep up with, so that something is always
//! under way. Nothing is lost (every run comes to its end), doubled (an instant has one run, a run one point) or left behind.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::world::World;
use crate::{WORLDS, judge, matrix, number};

/// Kills between two looks at all that is there; the state of the data changes with each.
const ROUND: u64 = 15;

#[test]
fn kill_the_daemon_under_load() {
    let (seed, kills) = (number("SEED", 1), number("DAEMONS", 300));
    println!("SEED={seed} DAEMONS={kills}");
    std::thread::scope(|scope| {
        for world in 0..WORLDS {
            let share = kills / WORLDS + u64::from(world < kills % WORLDS);
            let seed = seed.wrapping_mul(WORLDS).wrapping_add(world) ^ 0xDAE0;
            scope.spawn(move || kill_in_one_world(world, seed, share));
        }
    });
}

fn kill_in_one_world(name: u64, seed: u64, kills: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut world = World::new(&mut random);
    schedules(&world);
    let mut killed = 0;
    while killed < kills {
        world.change(&mut random);
        for _ in 0..ROUND.min(kills - killed) {
            live(&world, Duration::from_millis(random.random_range(100..2_500)));
            killed += 1;
        }
        judge::repository_is_sound(&world);
        judge::listed_points_are_whole(&mut world);
        println!("world {name}: {killed} daemons killed, {} points judged", world.judged.len());
    }
    if kills > 0 {
        the_end(&mut world);
    }
}

/// Every minute all of it, from an hour ago on: what is due never ends.
fn schedules(world: &World) {
    let kinds = [
        ("snap", "{snapshot: {}}", 12),
        ("prune", "{forgetAndPrune: {}}", 3),
        ("drill", "{drill: {}}", 3),
        ("check", "{check: {readData: true}}", 3),
    ];
    let since = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    for folder in ["schedules", "store/schedules"] {
        std::fs::create_dir_all(world.path(folder)).unwrap();
    }
    for (kind, operation, count) in kinds {
        for n in 0..count {
            let name = format!("{kind}-{n}");
            let document = format!(
                "apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {{name: {name}}}\nspec:\n  operation: {operation}\n  \
                 cron: '* * * * *'\n  concurrencyPolicy: forbid\n"
            );
            std::fs::write(world.path(&format!("schedules/{name}.yaml")), document).unwrap();
            let seen = serde_json::json!({"formatVersion": 1, "schedule": name, "cron": "* * * * *", "timeZone": "UTC",
                "since": since.to_string()});
            std::fs::write(world.path(&format!("store/schedules/{name}.json")), seen.to_string()).unwrap();
        }
    }
}

/// One life of a daemon.
fn live(world: &World, life: Duration) {
    let schedules = world.path("schedules");
    let log = std::fs::File::create(world.path("killed.log")).unwrap();
    let mut command: Command = world.drydock(&["daemon", "--no-listen", "--schedules", schedules.to_str().unwrap()]);
    let mut child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    std::thread::sleep(life);
    let ended = child.try_wait().unwrap();
    assert!(ended.is_none(), "it ended by itself: {}", std::fs::read_to_string(world.path("killed.log")).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A person comes, and everything is in order.
fn the_end(world: &mut World) {
    for command in [&["snapshot"][..], &["check"], &["drill"], &["forget"], &["prune"]] {
        crate::support::run(&mut world.drydock(command));
    }
    let runs = journals(world);
    assert!(
        runs.iter().any(|run| run.kind == "snapshot" && run.outcome == "succeeded"),
        "nothing was taken by schedule"
    );
    for run in &runs {
        // While the daemon was dead no lock kept its point from being forgotten: a drill of it says so.
        // So does one that was killed before it filled anything, and is taken up after it went.
        let is_gone = ["there is no recovery point", "which the drill was to restore, is not there any more"];
        if run.kind == "drill" && is_gone.iter().any(|said| run.text.contains(said)) {
            continue;
        }
        assert!(
            matches!(run.outcome.as_str(), "succeeded" | "abandoned"),
            "{} ended {}:\n{}",
            run.id,
            run.outcome,
            run.text
        );
    }
    let taken: Vec<&String> = runs.iter().filter_map(|run| run.point.as_ref()).collect();
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len(), "two runs took one point");
    for point in judge::listed_points(world) {
        assert!(taken.contains(&&point.id), "point {} belongs to no run that succeeded", point.id);
    }
    matrix::nothing_is_halfway(world);
    judge::listed_points_are_whole(world);
    judge::every_byte_is_sound(world);
}

/// A run as its journal tells it, read by hand.
struct Run {
    id: String,
    kind: String,
    outcome: String,
    text: String,
    point: Option<String>,
}

fn journals(world: &World) -> Vec<Run> {
    let files = std::fs::read_dir(world.path("store/runs")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).map(journal).collect()
}

fn journal(path: PathBuf) -> Run {
    let id = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let text = std::fs::read_to_string(&path).unwrap();
    let entries: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["entry"].clone()).collect();
    let of = |event: &str| entries.iter().rfind(|entry| entry["event"] == event);
    let outcome = of("finished").and_then(|entry| entry["outcome"].as_str()).unwrap_or("not at all").to_owned();
    let point = of("applied").filter(|_| outcome == "succeeded").and_then(|entry| entry["output"]["point"].as_str());
    let (kind, point) = (id.split('-').next().unwrap_or_default().to_owned(), point.map(str::to_owned));
    Run { id, kind, outcome, point, text }
}

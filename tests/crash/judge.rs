//! What is true, by tools that are not drydock's.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::run;
use crate::world::World;

/// A recovery point as stock restic lists it: complete, because its own snapshot is written last.
pub struct Point {
    pub id: String,
    /// Data set and restic snapshot.
    pub members: Vec<(String, String)>,
}

/// All listed points, by their tags.
pub fn listed_points(world: &World) -> Vec<Point> {
    let said = world.restic().run(&["snapshots", "--json", "--no-lock"]);
    points_among(&serde_json::from_str(&said).unwrap())
}

/// The points among restic's list of snapshots.
pub fn points_among(snapshots: &serde_json::Value) -> Vec<Point> {
    let all: Vec<(String, Vec<String>)> = snapshots
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|s| {
            let tags = s["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
            (s["id"].as_str().unwrap().to_owned(), tags.iter().map(|t| t.as_str().unwrap().to_owned()).collect())
        })
        .collect();
    let tag =
        |tags: &[String], name: &str| tags.iter().find_map(|t| t.strip_prefix(&format!("{name}=")).map(str::to_owned));
    let members_of = |point: &str| {
        let members = all.iter().filter(|(_, tags)| tag(tags, "point").as_deref() == Some(point));
        members.filter_map(|(id, tags)| Some((tag(tags, "data")?, id.clone()))).collect()
    };
    let points = all.iter().filter(|(_, tags)| tag(tags, "data").is_none());
    points.filter_map(|(_, tags)| tag(tags, "point")).map(|id| Point { members: members_of(&id), id }).collect()
}

/// restic finds nothing wrong with the structure.
pub fn repository_is_sound(world: &World) {
    world.restic().run(&["check", "--no-lock"]);
}

/// restic reads every byte and finds nothing wrong.
pub fn every_byte_is_sound(world: &World) {
    world.restic().run(&["check", "--read-data", "--no-lock"]);
}

/// Every listed point that was not judged yet brings back, by stock tools, one state of the ledger, the same in all
/// its data sets.
pub fn listed_points_are_whole(world: &mut World) {
    for point in listed_points(world) {
        if world.judged.contains_key(&point.id) {
            continue;
        }
        let target = world.path("judged");
        std::fs::remove_dir_all(&target).ok();
        let mut names: Vec<&str> = point.members.iter().map(|(data, _)| data.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache", "db", "files"], "point {} lists other members", point.id);
        for (_, snapshot) in &point.members {
            world.restic().run(&["restore", snapshot, "--no-lock", "--target", target.to_str().unwrap()]);
        }
        let states = States {
            files: files_state(world, &target.join("files")),
            db: database_state(world, &target.join("db")),
            cache: redis_state(world, &target.join("cache/dump.rdb")),
        };
        // Safety points too: the next run brings what a killed in-place restore has left to its end before it takes one.
        let mixed = states.files != states.db || states.db != states.cache;
        assert!(!mixed, "point {} mixes {states:?}", point.id);
        world.judged.insert(point.id, states);
    }
}

/// The ledger's state that each data set of a point brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct States {
    files: String,
    db: String,
    cache: String,
}

impl States {
    fn truth(world: &World, state: &str) -> PathBuf {
        world.path(&format!("ledger/{state}"))
    }
}

fn files_state(world: &World, folder: &Path) -> String {
    let state = std::fs::read_to_string(folder.join("state")).unwrap();
    same_folder(folder, &States::truth(world, &state).join("volume"));
    state
}

/// `diff -r` and a listing of metadata agree.
pub fn same_folder(one: &Path, other: &Path) {
    run(Command::new("diff").args(["-r", "--no-dereference", "--exclude=.drydock"]).args([one, other]));
    let listing = |folder: &Path| {
        let format = "%P %y %m %U %G %T@ %l\\n";
        let said = run(Command::new("find").arg(folder).args([
            "-mindepth",
            "1",
            "-name",
            ".drydock",
            "-prune",
            "-o",
            "-mindepth",
            "1",
            "-printf",
            format,
        ]));
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(listing(one), listing(other));
}

/// The stored files, loaded by hand with pg_restore and psql, dump as the ledger says of the state that is in them.
fn database_state(world: &World, files: &Path) -> String {
    world.postgres.psql("postgres", "drop database if exists judge");
    let by_hand = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks/run");
    run(Command::new("bash")
        .arg(by_hand)
        .arg("load-postgres-by-hand")
        .env("PGHOST", "127.0.0.1")
        .env("PGUSER", "postgres")
        .env("PGPORT", world.postgres.port.to_string())
        .env("FILES", files)
        .env("DATABASE", "app")
        .env("NEW_DATABASE", "judge")
        .env("PGOPTIONS", "--client-min-messages=warning"));
    let state = world.postgres.psql("judge", "select n from state");
    dumps_as(world, "judge", &States::truth(world, &state));
    state
}

/// `pg_dump` of the database is the ledger's but for the order of rows, which COPY does not keep (a shorter row may go
/// onto an earlier page); a difference is shown by `diff`.
fn dumps_as(world: &World, database: &str, truth: &Path) {
    let dump = world.path("dump.sql");
    std::fs::write(&dump, world.postgres.pg_dump(database, &[])).unwrap();
    run(Command::new("bash")
        .args(["-c", "diff <(sort \"$0\") <(sort \"$1\") | head -n 40; exit ${PIPESTATUS[0]}"])
        .args([&dump, &truth.join("db.sql")]));
}

/// A redis-server that starts on the stored file has the digest that the ledger says of its state.
fn redis_state(world: &World, rdb: &Path) -> String {
    let server = crate::support::redis::Redis::start_on("7.0", rdb);
    let state = server.cli(&["get", "state"]);
    let truth = States::truth(world, &state).join("cache.digest");
    assert_eq!(server.digest(), std::fs::read_to_string(truth).unwrap());
    state
}

/// After an in-place restore the live data is the point's, all of it.
pub fn live_data_is(world: &World, point: &str) {
    let states = &world.judged[point];
    dumps_as(world, "app", &States::truth(world, &states.db));
    same_folder(&world.path("volume"), &States::truth(world, &states.files).join("volume"));
    let digest = std::fs::read_to_string(States::truth(world, &states.cache).join("cache.digest")).unwrap();
    assert_eq!(world.redis.digest(), digest, "{point}");
}

/// No process of a killed run lives on, no temporary file, no half-filled database.
pub fn nothing_is_left_behind(world: &World) {
    let mark = format!("DRYDOCK_CRASH_TEST={}", world.folder.path().display());
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(environment) = std::fs::read(entry.path().join("environ")) {
            let left = environment.split(|b| *b == 0).any(|variable| variable == mark.as_bytes());
            let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            // A redis-server writes its title over its environment; what it works in tells whose it is.
            let scratch = command.contains(&format!("{}/tmp/", world.folder.path().display()));
            assert!(!left && !scratch, "a process lives on: {}", command.replace('\0', " "));
        }
    }
    let left: Vec<_> = std::fs::read_dir(world.path("tmp")).unwrap().flatten().map(|e| e.path()).collect();
    assert!(left.is_empty(), "temporary files are left: {left:?}");
    let databases = world.postgres.psql("postgres", "select datname from pg_database where datname not in ('app', 'judge') and not datistemplate and datname <> 'postgres'");
    assert_eq!(databases, "", "databases are left");
}

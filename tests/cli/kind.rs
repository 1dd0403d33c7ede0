//! Kind to production: who waits behind a snapshot's locks waits a moment, whatever the snapshot does at that time.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use rand::Rng;

use crate::support::postgres::Postgres;
use crate::support::run;
use crate::world::World;

/// A database and files that take minutes to store; the rows point at the files, or not.
fn slow(name: &str, server: &Postgres, more: &str) -> World {
    let spec = format!(
        "    limits: {{upload: 300KB}}\n  data:\n  - {{name: db, postgres: {{host: 127.0.0.1, port: {}, user: postgres, \
         database: cms{}}}}}\n  - {{name: files, volume: {{path: files}}}}\n{more}",
        server.port,
        if name == "too-long" { ", maxDuration: 4s" } else { "" }
    );
    let world = World::new(name, &spec);
    let mut random = vec![0; 60 << 20];
    rand::rng().fill_bytes(&mut random);
    world.write("files/large", random);
    world
}

const REFERENCES: &str = "  references:\n  - strapiUploads: {database: db, volume: files}\n";

fn server() -> Postgres {
    let server = Postgres::start("15");
    server.create_database("cms");
    server.psql(
        "cms",
        "create table files (id int, url text, hash text, ext text, size numeric, formats jsonb, provider text)",
    );
    server
}

/// A snapshot that reads files now.
fn begun(world: &World) -> (Child, BufReader<ChildStderr>, String) {
    let mut command = world.command(&["snapshot", "--progress", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("/files\"") {
        assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "it ended before it read files: {seen}");
    }
    (child, stderr, seen)
}

#[test]
fn a_table_that_is_altered_while_files_are_read_ends_the_snapshot_that_needs_its_rows() {
    let server = server();
    let world = slow("in-the-way", &server, REFERENCES);
    let (mut child, mut stderr, mut seen) = begun(&world);
    let asked = Instant::now();
    server.psql("cms", "alter table files add width int");
    assert!(asked.elapsed() < Duration::from_secs(8), "production waited {:?}", asked.elapsed());
    stderr.read_to_string(&mut seen).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75), "{seen}");
    assert!(seen.contains("waits for an ACCESS EXCLUSIVE lock on public.files"), "{seen}");
    assert_eq!(world.json(&["points"])["points"], serde_json::json!([]));
}

#[test]
fn a_snapshot_held_longer_than_it_may_ends_while_files_are_read() {
    let server = server();
    let world = slow("too-long", &server, REFERENCES);
    let (mut child, mut stderr, mut seen) = begun(&world);
    let begun = Instant::now();
    stderr.read_to_string(&mut seen).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "it was held for {:?}", begun.elapsed());
    assert_eq!(child.wait().unwrap().code(), Some(75), "{seen}");
    assert!(seen.contains("got older than maxDuration"), "{seen}");
}

#[test]
fn a_database_is_let_go_once_it_is_read_when_no_reference_needs_it() {
    let server = server();
    let world = slow("let-go", &server, "");
    let (mut child, mut stderr, mut seen) = begun(&world);
    let ours = "select count(*) from pg_stat_activity where application_name like 'drydock%'";
    let asked = Instant::now();
    while server.psql("cms", ours) != "0" {
        assert!(asked.elapsed() < Duration::from_secs(8), "it is held while files are read");
    }
    assert!(child.try_wait().unwrap().is_none(), "it still reads files");
    run(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]));
    stderr.read_to_string(&mut seen).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{seen}");
}

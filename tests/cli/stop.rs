//! Ctrl-C, SIGTERM and `--timeout`: nothing half-done is listed, no lock stays, and the next run works.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::support::run;
use crate::world::{Ran, World};

/// A stack whose snapshot takes seconds, because its store is slow.
fn slow(name: &str) -> World {
    let spec = "    limits: {upload: 300KB}\n  data:\n  - {name: files, volume: {path: files}}\n";
    let world = World::new(name, spec);
    let mut random = vec![0; 30 << 20];
    rand::rng().fill_bytes(&mut random);
    world.write("files/large", random);
    world
}

fn nothing_is_left(world: &World) {
    assert_eq!(world.json(&["points"])["points"], serde_json::json!([]));
    assert_eq!(world.restic().run(&["snapshots", "--json"]).trim(), "[]");
    assert_eq!(world.json(&["unlock"])["removed"], serde_json::json!([]), "the lock was released");
}

#[test]
fn a_signal_stops_a_snapshot_cleanly() {
    for signal in ["INT", "TERM"] {
        let world = slow(&format!("signal-{signal}"));
        let mut command = world.command(&["snapshot", "--progress", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("\"event\":\"progress\"") {
            assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "it ended before it began: {seen}");
        }
        run(std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]));
        let asked = Instant::now();
        std::io::Read::read_to_string(&mut stderr, &mut seen).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{seen}");
        assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?} to stop", asked.elapsed());
        assert!(seen.contains("it is safe to run the same command again"), "{seen}");
        nothing_is_left(&world);
    }
}

#[test]
fn a_timeout_is_the_same_with_its_own_words() {
    let world = slow("timeout");
    let ran = Ran::of(world.command(&["snapshot", "--timeout", "2s", "-o", "json"]).output().unwrap());
    assert_eq!((ran.code, ran.report()["category"].as_str()), (130, Some("interrupted")), "{}", ran.stderr);
    assert!(ran.report()["message"].as_str().unwrap().starts_with("stopped by --timeout 2"), "{}", ran.stderr);
    nothing_is_left(&world);
    world.write_document("  data:\n  - {name: files, volume: {path: files}}\n");
    assert_eq!(world.json(&["snapshot"])["state"], "complete", "the next run works");
}

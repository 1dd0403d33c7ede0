//! `drydock status`: a stack's life as its one screen shows it, and how long that takes when there were many runs.

use std::path::Path;
use std::time::Instant;

use drydock::point::Home;
use drydock::stack::Stack;
use drydock::status;
use serde_json::{Value, json};

use crate::runs::FILES;
use crate::world::World;

const OBJECTIVES: &str = "  objectives: {rpo: 24h, rto: 30m, proven: 8d}\n";

fn codes(json: &Value) -> Vec<&str> {
    json["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn from_nothing_to_proven_and_back_to_what_is_broken() {
    let world = World::new("status", &format!("{OBJECTIVES}{FILES}"));
    world.write("files/a", "what must survive");
    let empty = world.run(&["status", "--fail"]);
    assert_eq!(empty.code, 22, "{}", empty.stderr);
    let command = format!("type: drydock snapshot -f {}", world.path("stack.yaml").display());
    assert!(empty.stdout.contains(&command), "{}", empty.stdout);

    let taken = world.json(&["snapshot"]);
    let status = world.json(&["status"]);
    assert_eq!(codes(&status), ["not-proven"]);
    assert_eq!(status["recoveryPoints"]["complete"]["id"], taken["point"]["id"]);
    assert_eq!(status["achieved"]["rpo"]["goal"], "met");
    assert_eq!(world.run(&["status", "--fail"]).code, 3);

    assert_eq!(world.run(&["drill"]).code, 0);
    let status = world.json(&["status", "--fail"]);
    assert_eq!((codes(&status), &status["exitCode"]), (vec![], &json!(0)));
    assert_eq!(status["recoveryPoints"]["proven"]["id"], taken["point"]["id"]);
    assert_eq!(status["achieved"]["rto"]["goal"], "met");
    assert_eq!(status["schedules"], Value::Null);

    let asserting = |min: u32| {
        let assertion = format!("  drill: {{assertions: [{{files: {{data: files, pattern: '*', min: {min}}}}}]}}\n");
        world.write_document(&format!("{OBJECTIVES}{FILES}{assertion}"));
    };
    asserting(2);
    assert_eq!(world.run(&["drill"]).code, 21);
    let failed = world.run(&["status", "--fail", "-o", "json"]);
    let status: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!((failed.code, codes(&status)), (21, vec!["drill-failed"]), "{status:#}");
    asserting(1);
    assert_eq!(world.run(&["drill"]).code, 0);
    assert_eq!(world.run(&["status", "--fail"]).code, 0, "a later drill of everything has passed");

    world.write("schedules/kept.yaml", "apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {name: kept}\nspec: {operation: {forgetAndPrune: {}}, cron: '@daily'}\n");
    let schedules = world.path("schedules");
    let status = world.json(&["status", "--schedules", schedules.to_str().unwrap()]);
    assert_eq!(codes(&status), ["schedule-cannot-run"]);

    // Stock restic knows no recovery points: it takes a member away.
    let member = taken["point"]["members"][0]["snapshot"].as_str().unwrap().to_owned();
    world.restic().run(&["forget", &member]);
    let broken = world.run(&["status", "--fail", "-o", "json"]);
    let status: Value = serde_json::from_str(&broken.stdout).unwrap();
    assert_eq!((broken.code, codes(&status)), (20, vec!["point-broken", "rpo-missed"]));
}

/// Prints what it takes; a machine that is busy with other tests must not fail for it, ten times as long is a defect.
#[test]
fn of_ten_thousand_runs_the_newest_are_read() {
    let world = World::new("status-many", &format!("{OBJECTIVES}{FILES}"));
    world.write("files/a", "a");
    assert_eq!(world.run(&["snapshot"]).code, 0);
    let journal = include_str!("../fixtures/formats/run-journal-2.jsonl");
    let folder = world.path("store/runs");
    std::fs::create_dir_all(&folder).unwrap();
    let first: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let name = |n: i64| {
        let at = first + jiff::SignedDuration::from_mins(47 * n);
        format!("snapshot-shop-{}-hourly", at.strftime("%Y%m%dt%H%M%Sz"))
    };
    let names: Vec<String> = (0..10_000).map(name).collect();
    for (n, name) in names.iter().enumerate() {
        // Who reads what is old would stumble over it.
        let text = if n + 200 < names.len() { "no journal\n" } else { journal };
        std::fs::write(folder.join(format!("{name}.jsonl")), text).unwrap();
    }
    let stack = Stack::load(Path::new(&world.path("stack.yaml"))).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let home = Home::open(stack).await.unwrap();
        let now = jiff::Timestamp::now();
        let begun = Instant::now();
        let known = status::load(&home, None, now).await.unwrap();
        let loaded = begun.elapsed();
        let status = status::status(&known, now);
        let took = begun.elapsed();
        println!(
            "status of {} runs: {took:?}, of it {:?} judged ({} journals read)",
            names.len(),
            took - loaded,
            known.runs.len()
        );
        assert_eq!(status.runs.last[0].run.as_str(), names.last().unwrap());
        assert_eq!(status.runs.damaged, []);
        assert!(took.as_millis() < 1_000, "{took:?}");
    });
    let begun = Instant::now();
    assert_eq!(world.json(&["runs", "--limit", "5"])["all"], names.len() + 1, "and the snapshot's own");
    println!("drydock runs, the whole process: {:?}", begun.elapsed());
}

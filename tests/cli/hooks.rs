//! The stack's own commands around real captures: when they run, what their failure means, and that nothing is left.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::postgres::Postgres;
use crate::support::{run, wait_until};
use crate::world::{Ran, World, any_file_holds};

/// Two folders, `HERE` for the world's; `first` and `second` are their hooks.
fn world(name: &str, first: &str, second: &str) -> World {
    let world = World::new(name, "  data:\n  - {name: none, volume: {path: none}}\n");
    document(&world, first, second);
    world.write("first/a", "one");
    world.write("second/a", "two");
    world
}

fn document(world: &World, first: &str, second: &str) {
    let sets = [("first", first), ("second", second)];
    let data: String = sets
        .map(|(name, hooks)| format!("  - name: {name}\n    volume: {{path: {name}}}\n    hooks: {{{hooks}}}\n"))
        .concat();
    let data = data.replace("HERE", world.folder.path().to_str().unwrap());
    world.write_document(&format!("  data:\n{data}"));
}

fn log(world: &World) -> Vec<String> {
    let text = std::fs::read_to_string(world.path("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn say(when: &str) -> String {
    format!("{when}: [{{run: [sh, -c, 'echo $DRYDOCK_HOOK $DRYDOCK_DATA >> HERE/log']}}]")
}

fn saying() -> String {
    format!("{}, {}", say("beforeSnapshot"), say("afterSnapshot"))
}

fn no_point_is_there(world: &World) {
    assert_eq!(world.json(&["points"])["points"], json!([]));
    assert_eq!(world.restic().run(&["snapshots", "--json"]).trim(), "[]");
}

#[test]
fn a_data_set_is_read_between_its_hooks_and_a_dry_run_names_them() {
    let server = Postgres::start("15");
    server.create_database("shop");
    server.psql("shop", "create table t (said text)");
    let world = World::new("hooks", "  data:\n  - {name: none, volume: {path: none}}\n");
    let psql = format!("psql -XAtq -h 127.0.0.1 -p {} -U postgres shop -c", server.port);
    let both = |what: &str| {
        ["beforeSnapshot", "afterSnapshot"]
            .map(|when| format!("{when}: [{{run: [sh, -c, '{}'], timeout: 1m}}]", what.replace("WHEN", when)))
            .join(", ")
    };
    let log = format!("env | grep ^DRYDOCK_ | sort >> {}; ", world.path("log").display());
    let of_db = both(&format!("{log}{psql} \"insert into t values (\\$\\$WHEN\\$\\$)\""));
    let of_files = both(&format!("{log}touch {}/WHEN", world.path("files").display()));
    world.write("files/a", "content");
    world.write_document(&format!(
        "  data:\n  - name: files\n    volume: {{path: files}}\n    hooks: {{{of_files}}}\n  - name: db\n    postgres: {{host: \
         127.0.0.1, port: {}, database: shop, user: postgres}}\n    hooks: {{{of_db}}}\n",
        server.port
    ));
    let dry = world.json(&["snapshot", "--dry-run"]);
    let named = |hook: &Value| format!("{} {} {}", hook["hook"], hook["data"], hook["timeoutMs"]).replace('"', "");
    let named: Vec<String> = dry["hooks"].as_array().unwrap().iter().map(named).collect();
    let expected = [
        "beforeSnapshot db 60000",
        "afterSnapshot db 60000",
        "beforeSnapshot files 60000",
        "afterSnapshot files 60000",
    ];
    assert_eq!(named, expected);
    let text = world.run(&["snapshot", "--dry-run"]).stdout;
    assert!(text.contains("hook beforeSnapshot of db: sh -c ") && text.contains("(not run; at most 1m)"), "{text}");
    assert!(!world.path("log").exists(), "a dry run runs none");

    let taken = world.json(&["snapshot"]);
    let point = taken["point"]["id"].as_str().unwrap();
    let told = std::fs::read_to_string(world.path("log")).unwrap();
    let order: Vec<(&str, &str)> = told
        .lines()
        .filter_map(|line| line.strip_prefix("DRYDOCK_DATA="))
        .zip(told.lines().filter_map(|line| line.strip_prefix("DRYDOCK_HOOK=")))
        .collect();
    let (before, after) = ("beforeSnapshot", "afterSnapshot");
    assert_eq!(order, [("db", before), ("db", after), ("files", before), ("files", after)]);
    assert_eq!(told.matches(&format!("DRYDOCK_POINT={point}\n")).count(), 4, "{told}");
    assert_eq!(told.matches("DRYDOCK_STACK=shop\n").count(), 4, "{told}");
    assert_eq!(told.matches("DRYDOCK_RUN=snapshot-shop-").count(), 4, "{told}");

    let restored = world.path("restored");
    world.json(&["restore", "--point", "latest", "--to", restored.to_str().unwrap()]);
    assert!(restored.join("files/beforeSnapshot").exists() && !restored.join("files/afterSnapshot").exists());
    let rows = std::fs::read_to_string(restored.join("db/databases/shop/tables/public.t.copy")).unwrap();
    assert_eq!(rows, "beforeSnapshot\n");
    assert_eq!(
        server.psql("shop", "select string_agg(said, ',' order by said desc) from t"),
        "beforeSnapshot,afterSnapshot"
    );
}

#[test]
fn one_that_fails_before_leaves_no_point_and_what_it_began_is_taken_back() {
    let fails = "beforeSnapshot: [{run: [sh, -c, 'echo customer 4711 >&2; exit 7']}]";
    let world = world("hook-before", &format!("{fails}, {}", say("afterSnapshot")), &saying());
    let ran = world.run(&["snapshot", "-o", "json"]);
    let report = ran.report();
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    assert_eq!(
        report["message"],
        "the hook beforeSnapshot[0] (`sh`) of the data set `first` ended with exit code 7; there is no recovery point"
    );
    assert!(report["causes"].as_array().unwrap().contains(&json!("it said: customer 4711")), "{report}");
    assert_eq!(log(&world), ["afterSnapshot first"], "the second was not begun");
    no_point_is_there(&world);
    assert!(!any_file_holds(&world.path("store"), "customer 4711"), "what a hook says stays with who asked");
}

#[test]
fn one_that_fails_after_leaves_no_point_either() {
    let world =
        world("hook-after", "afterSnapshot: [{run: ['false']}, {run: [sh, -c, 'echo thawed >> HERE/log']}]", &saying());
    let ran = world.run(&["snapshot", "-o", "json"]);
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    assert_eq!(
        ran.report()["message"],
        "the hook afterSnapshot[0] (`false`) of the data set `first` ended with exit code 1; there is no recovery point"
    );
    assert_eq!(log(&world), ["thawed"]);
    no_point_is_there(&world);
    document(&world, &saying(), "");
    assert_eq!(world.json(&["snapshot"])["state"], "complete", "the next one works");
}

#[test]
fn what_was_stopped_goes_on_also_when_reading_fails_and_both_failures_are_told() {
    let breaks = "beforeSnapshot: [{run: [sh, -c, 'rm -r HERE/second; echo broken >> HERE/log']}]";
    let thaws = "afterSnapshot: [{run: [sh, -c, 'echo thawed >> HERE/log; echo stuck; exit 3']}]";
    let world = world("hook-thaw", &saying(), &format!("{breaks}, {thaws}"));
    let ran = world.run(&["snapshot", "-o", "json"]);
    assert_eq!(log(&world), ["beforeSnapshot first", "afterSnapshot first", "broken", "thawed"]);
    let report = ran.report();
    let message = report["message"].as_str().unwrap();
    assert!(
        message.starts_with("cannot take a snapshot of the data set `second`; there is no recovery point"),
        "{report}"
    );
    assert!(
        message.ends_with("besides, the hook afterSnapshot[0] (`sh`) of the data set `second` ended with exit code 3")
    );
    assert!(ran.stderr.contains("it said: stuck"), "{}", ran.stderr);
    no_point_is_there(&world);
}

/// A hook with a child of its own, both of which wait; their process ids are in the file `pids`.
const WAITS: &str = "beforeSnapshot: [{run: [sh, -c, 'sleep 600 & echo $! > HERE/new; echo $$ >> HERE/new; \
                     mv HERE/new HERE/pids; wait']}]";

fn killed_while_a_hook_runs(world: &World, signal: &str) -> (Vec<String>, Ran) {
    let child = world.command(&["snapshot"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the hook", Duration::from_secs(30), || world.path("pids").exists());
    run(std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]));
    let pids = std::fs::read_to_string(world.path("pids")).unwrap().lines().map(str::to_owned).collect();
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    (pids, Ran { code: output.status.code().unwrap_or(-1), stdout, stderr })
}

fn are_gone(pids: &[String]) {
    let is_gone = |pid: &String| {
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
    };
    assert_eq!(pids.len(), 2);
    wait_until("the end of the hook's processes", Duration::from_secs(20), || pids.iter().all(is_gone));
}

#[test]
fn ctrl_c_ends_the_hook_and_takes_back_what_it_began() {
    let world = world("hook-stopped", &format!("{WAITS}, {}", say("afterSnapshot")), "");
    let (pids, ran) = killed_while_a_hook_runs(&world, "INT");
    are_gone(&pids);
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert_eq!(log(&world), ["afterSnapshot first"]);
    no_point_is_there(&world);
}

#[test]
fn a_kill_leaves_no_process_of_a_hook_and_the_next_command_takes_back_what_it_began() {
    let world = world("hook-killed", &format!("{WAITS}, {}", say("afterSnapshot")), &saying());
    let (pids, _) = killed_while_a_hook_runs(&world, "KILL");
    are_gone(&pids);
    assert_eq!(log(&world), [""; 0], "nobody was left to do it");
    document(&world, &saying(), &saying());
    assert_eq!(world.json(&["snapshot"])["state"], "complete");
    let all = log(&world);
    let (undone, taken) = all.split_at(all.len() - 4);
    assert_eq!(undone, ["afterSnapshot first", "afterSnapshot second"], "undoing runs them for every data set");
    let regular = ["beforeSnapshot first", "afterSnapshot first", "beforeSnapshot second", "afterSnapshot second"];
    assert_eq!(taken, regular);
}

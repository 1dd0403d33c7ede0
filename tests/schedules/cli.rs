//! `drydock schedules` as people and scripts meet it.

use std::process::{Command, Output};

use serde_json::Value;

struct World {
    folder: tempfile::TempDir,
}

const STACK: &str = "\
apiVersion: drydock.dev/v1alpha1
kind: Stack
metadata: {name: papg}
spec:
  repository: {location: ./store, password: {fromEnv: PASSWORD}}
  data: [{name: files, volume: {path: /srv/files}}]
";

fn document(name: &str, spec: &str) -> String {
    format!("apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {{name: {name}}}\nspec:\n{spec}\n")
}

impl World {
    fn new(documents: &[String]) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(world.folder.path().join("schedules")).unwrap();
        std::fs::write(world.folder.path().join("stack.yaml"), STACK).unwrap();
        for (n, document) in documents.iter().enumerate() {
            std::fs::write(world.folder.path().join(format!("schedules/{n}.yaml")), document).unwrap();
        }
        world
    }

    /// Runs in the folder, so that `schedules/` is found by itself.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command.arg("schedules").args(args).current_dir(self.folder.path());
        command.env_remove("DRYDOCK_FILE").env_remove("DRYDOCK_SCHEDULES").output().unwrap()
    }

    /// What is printed; 3 where a schedule can never run.
    fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stdout);
        let expected = if text.contains("has no `retention`") { 3 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{text}{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[args, &["-o", "json"]].concat())).unwrap()
    }

    /// Of a refusal: the exit code and what is said.
    fn refusal(&self, args: &[&str]) -> (i32, String) {
        let output = self.run(args);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

fn world() -> World {
    World::new(&[
        document("yearly", "  operation: {snapshot: {}}\n  cron: 30 2 1 1 *\n  timeZone: Asia/Kathmandu\n  jitter: 1h"),
        document("kept", "  operation: {forgetAndPrune: {}}\n  cron: '@daily'"),
        document("elsewhere", "  operation: {drill: {point: random:30d}}\n  cron: '@weekly'\n  stacks: [shop, papg]"),
        document("paused", "  operation: {check: {readData: true}}\n  cron: '@monthly'\n  suspend: true"),
    ])
}

/// The rows by schedule and stack, each with its last column and whether it has a next start.
fn rows(json: &Value) -> Vec<(String, String, bool)> {
    let row = |row: &Value| {
        let word = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        let reason = row["now"]["reason"].as_str().unwrap_or("-");
        (format!("{} {}", word("schedule"), word("stack")), reason.to_owned(), row["starts"].is_string())
    };
    json["schedules"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn a_stack_is_told_what_runs_on_it_and_why_not_now() {
    let world = world();
    let json = world.json(&["-f", "stack.yaml"]);
    let row = |name: &str, reason: &str, starts| (name.to_owned(), reason.to_owned(), starts);
    assert_eq!(
        rows(&json),
        [
            row("elsewhere shop", "noStack", false),
            row("elsewhere papg", "notYet", true),
            row("kept papg", "misfit", false),
            row("paused papg", "suspended", false),
            row("yearly papg", "notYet", true),
        ]
    );
    let yearly = &json["schedules"][4];
    let instant = |key: &str| crate::at(yearly[key].as_str().unwrap());
    let (scheduled, starts) = (instant("scheduled"), instant("starts"));
    assert_eq!(scheduled.strftime("%m-%d %H:%M:%S").to_string(), "12-31 20:45:00", "02:30 in Kathmandu");
    assert!((1..3_600).contains(&starts.duration_since(scheduled).as_secs()), "{starts}");
    assert_eq!(yearly["does"], "snapshot");
    assert!(json["tzdata"].as_str().unwrap().starts_with("20"));

    let text = world.text(&["-f", "stack.yaml"]);
    for said in [
        "there is no stack `shop`; it waits for one",
        "the stack `papg` has no `retention` that says what to keep",
        "drill --point random:30d  @weekly     UTC",
        "Asia/Kathmandu",
        "its time has not come",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn without_a_stack_what_depends_on_it_is_left_open() {
    let json = world().json(&[]);
    let found = rows(&json);
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["elsewhere shop", "elsewhere papg", "kept -", "paused -", "yearly -"]);
    assert!(json["schedules"][4]["starts"].is_null() && json["schedules"][4]["scheduled"].is_string());
    assert_eq!(json["schedules"][2]["starts"], json["schedules"][2]["scheduled"], "no jitter, no doubt");
    assert!(json["schedules"][3]["scheduled"].is_null(), "suspended");
    let text = world().text(&[]);
    assert!(text.contains("the start is up to 1h later, by the stack (say -f FILE)"), "{text}");
}

#[test]
fn the_next_instants_are_shown_in_the_zone_and_in_utc_with_what_clocks_do() {
    let nightly = "  operation: {snapshot: {}}\n  cron: 30 2 * * *\n  timeZone: Europe/Berlin";
    let world = World::new(&[document("nightly", nightly)]);
    let json = world.json(&["next", "--count", "400"]);
    let instants = json["schedules"][0]["instants"].as_array().unwrap();
    assert_eq!(instants.len(), 400);
    let shifts: Vec<&str> = instants.iter().filter_map(|instant| instant["shift"].as_str()).collect();
    assert!(shifts.contains(&"after-gap") && shifts.contains(&"first-of-two"), "{shifts:?}");
    for instant in instants {
        let (local, scheduled) =
            (instant["local"].as_str().unwrap(), crate::at(instant["scheduled"].as_str().unwrap()));
        let time = if instant["shift"] == "after-gap" { "03:00" } else { "02:30" };
        assert_eq!(&local[11..16], time, "{local}");
        let back: jiff::Timestamp = format!("{}:00{}", local[..16].replace(' ', "T"), &local[17..]).parse().unwrap();
        assert_eq!(back, scheduled, "{local}");
        assert!(instant["starts"].is_null());
    }
    let text = world.text(&["next", "nightly"]);
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.starts_with("SCHEDULE  ZONE           LOCAL") && text.contains("+0"), "{text}");
    let (code, said) = world.refusal(&["next", "weekly"]);
    assert_eq!((code, said.as_str()), (2, "error: there is no schedule `weekly`\nhint: there are nightly\n"));
}

#[test]
fn a_broken_folder_is_refused_with_all_that_is_wrong() {
    let world = World::new(&[
        document("a", "  operation: {snapshot: {}}\n  cron: 0 0 30 2 *\n  timeZone: Mars/Olympus"),
        document("b", "  operation: {snapshot: {}}\n  crno: 0 0 1 2 *"),
    ]);
    let (code, said) = world.refusal(&[]);
    assert_eq!(code, 2);
    for problem in [
        "schedules/0.yaml:6:3: spec.cron: `0 0 30 2 *` never fires: February has no day 30",
        "schedules/0.yaml:7:3: spec.timeZone: `Mars/Olympus` is no time zone",
        "schedules/1.yaml:6:3: spec.crno: `crno` is not known here; did you mean `cron`?",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
    let (code, said) = world.refusal(&["--schedules", "nowhere", "-o", "json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, report["message"].as_str()), (2, Some("cannot read the schedules' folder nowhere")));
    assert!(report["hint"].as_str().unwrap().contains("DRYDOCK_SCHEDULES"));
}

#[test]
fn the_folder_may_come_from_the_environment_and_may_be_empty() {
    let world = World::new(&[]);
    assert_eq!(world.text(&[]), "no schedules in schedules\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules");
    let output = command.args(["schedules", "next"]).env("DRYDOCK_SCHEDULES", shipped).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("nightly-snapshot") && text.contains("suspended"), "{text}");
}

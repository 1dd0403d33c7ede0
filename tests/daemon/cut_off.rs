//! Daemons that leave or die in the middle of a run, and the next one.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::scene::{FILES, Scene};
use crate::support::wait_until;

/// Slow enough to be met in the middle: three packs of noise, of which the first goes at once and each other in its turn.
const SLOW: &str = "    limits: {upload: 4MiB}\n";

fn slow(name: &str) -> Scene {
    let scene = Scene::files(name, SLOW);
    let noise = std::fs::File::create(scene.path("files/noise")).unwrap();
    assert!(Command::new("head").args(["-c", "48M", "/dev/urandom"]).stdout(noise).status().unwrap().success());
    scene.schedule("snap", "{snapshot: {}}", "@hourly", 5);
    scene
}

/// Lets a run begin, ends the daemon by `end`, and starts another on a store that is no longer slow.
fn resumed_after(name: &str, end: &str) {
    let scene = slow(name);
    let mut first = scene.daemon(&["--grace", "1s"]);
    let is_under_way = |open: &serde_json::Value| open["standing"] == "running" && open["progress"]["at"][0] == "take";
    let status = first.until_status("a run under way", |status| is_under_way(&status["runs"]["open"][0]));
    let run = status["runs"]["open"][0]["run"].as_str().unwrap().to_owned();
    std::thread::sleep(Duration::from_millis(1_500)); // packs are on their way
    first.signal(end);
    let code = first.code();
    let left = if end == "TERM" { "parked" } else { "cut-off" };
    if end == "TERM" {
        assert_eq!(code, Some(0), "{}", first.log());
        first.says("a run is parked: the next daemon resumes it");
    }
    assert_eq!(scene.runs(), [(run.clone(), left.to_owned())], "{}", first.log());
    assert_eq!(scene.json(&["points"])["points"].as_array().unwrap().len(), 0);

    scene.write_stack("  data:\n  - name: files\n    volume: {path: ./files}\n");
    let second = scene.daemon(&[]);
    second.until_status("the run goes on to its end", |status| {
        status["runs"]["last"].as_array().unwrap().iter().any(|last| last["run"] == run.as_str())
    });
    assert_eq!(scene.runs(), [(run.clone(), "succeeded".to_owned())], "{}", second.log());
    let points = scene.json(&["points"]);
    assert_eq!(points["points"].as_array().unwrap().len(), 1, "{points}");
    assert_eq!(points["strays"], 0, "{points}");
    let adopted = scene.drydock(&["runs", "logs", &run]);
    assert_eq!(adopted.matches("adopted").count(), 2, "{adopted}");
}

#[test]
fn sigterm_parks_what_is_longer_than_the_grace_and_the_next_daemon_resumes_it() {
    resumed_after("parked", "TERM");
}

#[test]
fn a_killed_daemons_run_is_taken_up_by_the_next() {
    resumed_after("killed", "KILL");
}

/// Whoever typed it is gone; a daemon brings the rest, and lets go of it.
#[test]
fn a_killed_commands_restore_into_a_folder_is_taken_up_by_a_daemon() {
    let scene = Scene::files("copy", "");
    let noise = std::fs::File::create(scene.path("files/noise")).unwrap();
    assert!(Command::new("head").args(["-c", "48M", "/dev/urandom"]).stdout(noise).status().unwrap().success());
    scene.json(&["snapshot"]);
    scene.write_stack(&format!("    limits: {{download: 4MiB}}\n{FILES}"));
    let look = scene.path("look");
    let mut command = scene.command(&["restore", "--point", "latest", "--to", look.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mark = look.join("files/.drydock/restoring");
    wait_until("the first of its files", Duration::from_secs(30), || mark.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let run = scene.runs()[0].clone();
    assert!(run.0.starts_with("restore-copy-shop-") && run.1 == "cut-off", "{run:?}");
    let text = std::fs::read_to_string(&mark).unwrap();
    assert!(text.ends_with(&format!("\nrun: {}\n", run.0)), "{text}");

    scene.write_stack(FILES);
    let daemon = scene.daemon(&[]);
    daemon.until_status("the run goes on to its end", |status| {
        status["runs"]["last"].as_array().unwrap().iter().any(|last| last["run"] == run.0.as_str())
    });
    assert_eq!(scene.runs()[0], (run.0, "succeeded".to_owned()), "{}", daemon.log());
    crate::support::run(Command::new("diff").arg("-r").arg(scene.path("files")).arg(look.join("files")));
}

//! Daemons on a bucket.

use std::process::Command;

use serde_json::Value;

use crate::scene::{Daemon, Scene};
use crate::support::seaweed::Seaweed;

fn nothing_goes_on(status: &Value) -> bool {
    status["runs"]["open"].as_array().unwrap().is_empty()
}

fn complete(status: &Value) -> u64 {
    status["recoveryPoints"]["completeCount"].as_u64().unwrap()
}

/// The schedules of all runs, each as often as it ran.
fn ran(scene: &Scene) -> Vec<(String, String)> {
    let of = |run: &str| run.rsplit('-').next().unwrap().to_owned();
    let mut runs: Vec<_> = scene.runs().iter().map(|(run, standing)| (of(run), standing.clone())).collect();
    runs.sort();
    runs
}

#[test]
fn two_daemons_on_one_bucket_double_nothing_and_one_goes_on_where_the_other_was_killed() {
    let server = Seaweed::start();
    let scene = Scene::in_a_bucket(&server, "daemons");
    for name in ["one", "two"] {
        scene.schedule(name, "{snapshot: {}}", "@hourly", 5);
    }
    let daemons = [scene.daemon(&[]), scene.daemon(&[])];
    for daemon in &daemons {
        daemon.until_status("two points", |status| complete(status) == 2 && nothing_goes_on(status));
    }
    let done = |name: &str| (name.to_owned(), "succeeded".to_owned());
    assert_eq!(ran(&scene), [done("one"), done("two")]);
    assert_eq!(scene.json(&["points"])["points"].as_array().unwrap().len(), 2);
    let logs = daemons.iter().map(Daemon::log).collect::<Vec<_>>().join("\n--\n");
    assert!(
        logs.contains("another process leads this run") || logs.contains("waits for who is at the stack"),
        "{logs}"
    );

    // a run that is long enough to be met
    let noise = std::fs::File::create(scene.path("files/noise")).unwrap();
    assert!(Command::new("head").args(["-c", "48M", "/dev/urandom"]).stdout(noise).status().unwrap().success());
    scene.write_stack(&format!("    limits: {{upload: 6MiB}}\n{}", crate::scene::FILES));
    for daemon in &daemons {
        daemon.signal("HUP");
        daemon.says("the documents were read again and are in force");
    }
    scene.schedule("long", "{snapshot: {}}", "@hourly", 5);
    let is_at_it = |open: &Value| open["standing"] == "running" && open["progress"]["at"][0] == "take";
    let status = daemons[0].until_status("a run under way", |status| is_at_it(&status["runs"]["open"][0]));
    let open = &status["runs"]["open"][0];
    let run = open["run"].as_str().unwrap().to_owned();
    let holder = open["holder"].as_str().unwrap();
    let (leads, follows): (Vec<_>, Vec<_>) =
        daemons.into_iter().partition(|daemon| holder.starts_with(&format!("PID {} on ", daemon.pid())));
    assert_eq!((leads.len(), follows.len()), (1, 1), "{holder}");
    follows[0].says(&format!("following it run={run}"));
    leads[0].signal("KILL");
    drop(leads);
    let follower = &follows[0];
    follower.until_status("the other one goes on", |status| complete(status) == 3 && nothing_goes_on(status));
    assert_eq!(ran(&scene), [done("long"), done("one"), done("two")], "{}", follower.log());
    let adopted = scene.drydock(&["runs", "logs", &run]);
    assert_eq!(adopted.matches("adopted").count(), 2, "{adopted}");
    let points = scene.json(&["points"]);
    assert_eq!((points["points"].as_array().unwrap().len(), &points["strays"]), (3, &serde_json::json!(0)), "{points}");
    let checked = scene.json(&["check", "--read-data"]);
    let found = [&checked["points"], &checked["repository"]["damage"], &checked["repository"]["unread"]];
    assert_eq!(found, [&serde_json::json!([]); 3], "{checked}");
    assert_eq!(
        (&checked["wholePoints"], &checked["repository"]["duplicateBlobs"]),
        (&3.into(), &0.into()),
        "{checked}"
    );
    let page = follower.get("/").body;
    assert!(page.contains("long"), "{page}");
}

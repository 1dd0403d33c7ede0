//! Two daemons on one stack.

use crate::scene::Scene;

#[test]
fn two_daemons_never_double_an_instant() {
    let scene = Scene::files("pair", "");
    for name in ["one", "two", "three"] {
        scene.schedule(name, "{snapshot: {}}", "@hourly", 5);
    }
    let daemons = [scene.daemon(&[]), scene.daemon(&[])];
    for daemon in &daemons {
        daemon.until_status("three points", |status| status["recoveryPoints"]["completeCount"] == 3);
        daemon.until_status("nothing goes on", |status| status["runs"]["open"].as_array().unwrap().is_empty());
    }
    let mut runs = scene.runs();
    runs.sort();
    let schedules: Vec<&str> = runs.iter().map(|(run, _)| run.rsplit('-').next().unwrap()).collect();
    assert_eq!(schedules, ["one", "three", "two"], "{runs:?}");
    assert!(runs.iter().all(|(_, standing)| standing == "succeeded"), "{runs:?}");
    assert_eq!(scene.json(&["points"])["points"].as_array().unwrap().len(), 3);
    // whoever came second has waited for the first, and said so
    let logs = daemons.iter().map(|daemon| daemon.log()).collect::<Vec<_>>().join("\n--\n");
    assert!(
        logs.contains("another process leads this run") || logs.contains("waits for who is at the stack"),
        "{logs}"
    );
    for mut daemon in daemons {
        daemon.signal("TERM");
        assert_eq!(daemon.code(), Some(0), "{}", daemon.log());
    }
}

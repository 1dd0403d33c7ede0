//! Verified, but late.

use std::time::Duration;

use serde_json::json;

use crate::scene::Scene;

#[test]
fn a_point_older_than_its_objective_is_late_and_proven_all_the_same() {
    let scene = Scene::new("late", "  objectives: {rpo: 1s, rto: 30m}\n");
    std::thread::sleep(Duration::from_millis(1_100));
    let ran = scene.drydock(&["drill", "-o", "json"]).expect(22);
    let report = ran.json();
    assert_eq!((&report["outcome"], &report["proven"]), (&json!("late"), &json!(true)));
    let rpo = &report["measured"]["rpo"];
    assert_eq!((&rpo["goal"], &rpo["objectiveMs"]), (&json!("missed"), &json!(1_000)));
    assert!(rpo["achievedMs"].as_u64().unwrap() > 1_000);
    let error: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("verified, but late: achieved RPO ") && message.ends_with("MISSES the objective of 1.0s"),
        "{message}"
    );

    scene.edit("rpo: 1s, rto: 30m", "rto: 1s");
    let report = scene.drydock(&["drill", "-o", "json"]).expect(22).json();
    assert_eq!(report["measured"]["rto"]["goal"], "missed", "no drill starts a server and fills it within a second");
}

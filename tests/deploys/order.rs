//! Phase after phase; what is unchanged is left alone; a broken release stops where it breaks and is taken back.

use serde_json::json;

use crate::world::{World, deployment, documents, image, map};

#[test]
fn a_phase_begins_when_the_one_before_is_healthy_and_a_broken_release_is_taken_back() {
    let Some(world) = World::open("order") else { return };
    let busybox = image("busybox:1.35.0");
    world.write("data.yaml", &documents(&[map("settings", "blue"), deployment("db", &busybox, 4)]));
    world.write("web.yaml", &documents(&[deployment("web", &busybox, 0), map("old", "goes")]));

    let planned = world.drydock(&["diff"]).well();
    assert!(planned.out.contains("web") && planned.out.contains("settings"), "{}", planned.out);
    assert_eq!(world.get(&["deployments"])["items"], json!([]), "a diff changes nothing");

    world.drydock(&["deploy"]).well();
    let seconds = |object: &serde_json::Value| object.as_str().unwrap().to_owned(); // RFC 3339 in UTC sorts as text
    let db = world.get(&["deployment", "db"]);
    let available =
        db["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Available").unwrap();
    let web = world.get(&["deployment", "web"]);
    let (ready, begun) = (seconds(&available["lastTransitionTime"]), seconds(&web["metadata"]["creationTimestamp"]));
    assert!(begun >= ready, "web began at {begun}, the database was ready at {ready}");
    assert!(ready > seconds(&db["metadata"]["creationTimestamp"]), "the database took its time");
    assert_eq!(world.json(&["releases"])["releases"][0]["number"], 1);

    let versions = || {
        let found = world.get(&["deployments,configmaps"]);
        let of = |one: &serde_json::Value| {
            (one["metadata"]["name"].clone(), one["metadata"]["generation"].clone(), one["data"].clone())
        };
        found["items"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let before = versions();
    world.drydock(&["deploy"]).well();
    assert_eq!(versions(), before, "the same release again changes nothing");

    world.write("web.yaml", &documents(&[deployment("web", &image("busybox:not-there"), 0)]));
    let broken = world.drydock(&["deploy", "--wait", "15s"]);
    broken.failed(75, &["Deployment web", "not-there", "drydock rollback"]);
    assert!(world.get(&["configmaps"]).to_string().contains("\"old\""), "nothing is pruned before all is healthy");

    world.drydock(&["rollback"]).well();
    let web = world.get(&["deployment", "web"]);
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], busybox.as_str());
    assert_eq!(web["status"]["readyReplicas"], 1);

    world.write("web.yaml", &documents(&[deployment("web", &busybox, 0)]));
    world.drydock(&["deploy"]).well();
    assert!(!world.get(&["configmaps"]).to_string().contains("\"old\""), "what left the release is removed");
}

#[test]
fn two_hundred_objects_that_are_unchanged_are_looked_at_and_left() {
    let Some(world) = World::open("many") else { return };
    let maps: Vec<_> = (0..200).map(|n| map(&format!("map-{n}"), "same")).collect();
    world.write("data.yaml", &documents(&maps[..100]));
    world.write("web.yaml", &documents(&maps[100..]));
    world.drydock(&["deploy"]).well();
    let begun = std::time::Instant::now();
    let again = world.json(&["deploy"]);
    println!("200 unchanged objects: {} ms", begun.elapsed().as_millis());
    for phase in again["phases"].as_array().unwrap() {
        assert_eq!((&phase["created"], &phase["changed"], &phase["unchanged"]), (&json!(0), &json!(0), &json!(100)));
    }
}

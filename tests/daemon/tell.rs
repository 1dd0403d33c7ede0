//! Whoever is to be told: of an objective that is missed and met again, of runs that fail and succeed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::scene::Scene;
use crate::support::wait_until;

const SPEC: &str = "  objectives: {rpo: 24h}\n  notifications:\n  - webhook: {url: {fromFile: programs}}\n  - webhook: {url: \
                    {fromFile: people}, format: slack}\n    on: [objective]\n  heartbeats:\n  - {url: {fromFile: beat}, \
                    after: [snapshot]}\n";

/// What a message is about: its kind, and the run's schedule or the objective.
fn gist(message: &Value) -> (&str, &str) {
    let of = match &message["objective"] {
        Value::Null => message["run"].as_str().unwrap().rsplit('-').next().unwrap(),
        objective => objective["name"].as_str().unwrap(),
    };
    (message["kind"].as_str().unwrap(), of)
}

#[test]
fn a_missed_objective_a_failure_and_their_ends_are_each_told_once() {
    let receiver = Receiver::start(&[("/hook/4711", 500)]);
    let scene = Scene::files("tell", SPEC);
    for (file, path) in [("programs", "hook/4711"), ("people", "chat/4712"), ("beat", "beat/4713")] {
        scene.write(file, &format!("{}/{path}\n", receiver.url));
    }
    // nothing was ever taken: all would be lost
    let daemon = scene.daemon(&[]);
    let told = receiver.hears("/hook/4711", 2, || daemon.log());
    let missed = told[1].json();
    assert_eq!(told[0].json(), missed, "the 500 is answered with the same message, which its id tells");
    assert_eq!(
        (gist(&missed), &missed["stack"], &missed["times"]),
        (("objective-missed", "rpo"), &json!("shop"), &json!(1))
    );
    assert_eq!(missed["objective"], json!({"name": "rpo", "objectiveMs": 86_400_000, "achievedMs": null}));
    let said = receiver.hears("/chat/4712", 1, || daemon.log())[0].json();
    let text = said["text"].as_str().unwrap();
    assert!(text.starts_with("shop: the objective rpo of 1d is missed: nothing has achieved it yet\n"), "{text}");
    assert_eq!(said, json!({"text": text}), "chat services refuse fields that they do not know");

    // a run that cannot read its files
    std::fs::rename(scene.path("files"), scene.path("away")).unwrap();
    scene.schedule("first", "{snapshot: {}}", "@hourly", 5);
    let failure = receiver.hears("/hook/4711", 3, || daemon.log())[2].json();
    assert_eq!(gist(&failure), ("failure", "first"));
    assert_eq!(failure["message"], "cannot estimate the data set `files`");
    let noted = || {
        let json = std::fs::read(scene.path("store/notifications.json")).unwrap_or_default();
        let document: Value = serde_json::from_slice(&json).unwrap_or_default();
        let receivers = document["receivers"].as_object().cloned().unwrap_or_default();
        receivers.values().any(|told| !told["failing"]["snapshot"]["told"].is_null())
    };
    // A process that is killed between the two tells it again, rather than never.
    wait_until("that it was told is noted", Duration::from_secs(20), noted);
    drop(daemon); // killed: the next process knows what was told

    std::fs::rename(scene.path("away"), scene.path("files")).unwrap();
    let daemon = scene.daemon(&[]);
    daemon.until("it is ready", "/readyz", |answer| answer.status == 200);
    scene.schedule("second", "{snapshot: {}}", "@hourly", 5);
    let told = receiver.hears("/hook/4711", 5, || daemon.log());
    let told: Vec<Value> = told[3..].iter().map(|call| call.json()).collect();
    let gists: Vec<_> = told.iter().map(gist).collect();
    assert_eq!(gists, [("recovery", "second"), ("objective-met", "rpo")], "{told:#?}");
    assert_eq!((&told[0]["times"], &told[0]["since"]), (&json!(1), &failure["since"]));
    assert!(told[1]["objective"]["achievedMs"].as_u64().unwrap() < 60_000, "{}", told[1]);
    let said = receiver.hears("/chat/4712", 2, || daemon.log())[1].json();
    assert!(said["text"].as_str().unwrap().contains("the objective rpo of 1d is met again"), "{said}");
    let called = receiver.hears("/beat/4713", 1, || daemon.log());
    assert_eq!(called[0].line, "GET /beat/4713");

    // the stack is looked at again, and again nothing is news: a third success has its heartbeat and no message
    scene.schedule("third", "{snapshot: {}}", "@hourly", 5);
    receiver.hears("/beat/4713", 2, || daemon.log());
    daemon.until_status("nothing goes on", |status| status["runs"]["open"].as_array().unwrap().is_empty());
    let counts = ["/hook/4711", "/chat/4712", "/beat/4713"].map(|path| receiver.calls(path).len());
    assert_eq!(counts, [5, 2, 2], "{}", daemon.log());
    assert!(!daemon.log().contains("471"), "the URLs are secrets: {}", daemon.log());
    let now = Timestamp::now();
    let times = told.iter().map(|one| one["time"].as_str().unwrap().parse::<Timestamp>().unwrap());
    assert!(times.into_iter().all(|time| now.duration_since(time) < SignedDuration::from_mins(5)));
}

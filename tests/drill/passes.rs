//! A drill that passes: what it says, and what it leaves, which is a mark and nothing else.

use base64::Engine;
use drydock::evidence::{AssertionOutcome, Chain, Outcome, SigningKey, Trust};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::scene::Scene;

const ASSERTIONS: &str = "  objectives: {rpo: 24h, rto: 30m}
  drill:
    assertions:
    - sql: {data: db, query: \"select count(*) > 50 from messages\"}
    - rows: {data: db, table: messages, min: 100, max: 100}
    - keys: {data: cache, pattern: \"session:*\", min: 1, max: 1}
    - files: {data: uploads, pattern: \"*\", min: 3, max: 3}
";

#[test]
fn a_point_that_restores_is_proven_and_stays_while_others_go() {
    let scene = Scene::new("passes", ASSERTIONS);
    let preview = scene.drydock(&["drill", "--dry-run", "-o", "json"]).expect(0).json();
    assert!(preview["data"][0]["server"].as_str().unwrap().starts_with("postgresql 15."), "{preview}");
    assert_eq!(scene.left(), Vec::<String>::new(), "a dry run makes nothing");
    let ran = scene.drydock(&["drill"]).expect(0);
    assert!(ran.stdout.starts_with("VERIFIED: recovery point "), "{}", ran.stdout);
    let report = scene.drydock(&["drill", "-o", "json"]).expect(0).json();
    assert_eq!(
        (&report["outcome"], &report["proven"], &report["isWhole"]),
        (&json!("verified"), &json!(true), &json!(true))
    );
    let compared = |n: usize, what: &str| report["data"][n]["comparison"]["compared"][what].as_u64().unwrap();
    assert!(compared(0, "tables") > 30 && compared(0, "sequences") > 1 && compared(0, "schema objects") > 100);
    assert!(compared(1, "files") >= 3 && compared(2, "keys") > 10, "{report}");
    assert_eq!(report["references"][0]["comparison"]["compared"]["referencedFiles"], 3);
    let verdicts: Vec<_> = report["assertions"].as_array().unwrap().iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!(verdicts, vec![json!("holds"); 4]);
    assert!(report["rtoMs"].as_u64().unwrap() > 0);
    assert_eq!(report["measured"]["rpo"]["goal"], "met");
    assert_eq!(report["trend"]["earlier"], 1, "the drill before this one is remembered");
    assert_eq!(scene.left(), Vec::<String>::new());

    // What was proven is found by its name, and no rule takes it while it is the newest.
    let proven = scene.drydock(&["points", "show", "latest-proven", "-o", "json"]).expect(0).json();
    assert_eq!(proven["point"]["id"], report["point"]);
    assert_eq!(proven["proven"]["run"], report["run"]);
    assert_eq!(proven["proven"]["rtoMs"], report["rtoMs"]);
    scene.drydock(&["snapshot"]).expect(0);
    let plan = scene.drydock(&["forget", "--keep-last", "1", "-o", "json"]).expect(0).json();
    assert_eq!(plan["points"][1]["reasons"], json!(["newest proven"]));
    assert_eq!(plan["points"][1]["keep"], true);
    // The next one that is proven takes its place; the mark goes with its point.
    scene.drydock(&["drill"]).expect(0);
    let plan = scene.drydock(&["forget", "--keep-last", "1", "-o", "json"]).expect(0).json();
    assert_eq!((plan["points"].as_array().unwrap().len(), &plan["points"][1]["keep"]), (2, &json!(false)));
    let points = scene.drydock(&["points", "-o", "json"]).expect(0).json();
    assert_eq!(points["points"].as_array().unwrap().len(), 1);
    let plan = scene.drydock(&["forget", "--keep-last", "1", "-o", "json"]).expect(0).json();
    assert_eq!(plan["lostKeeps"], json!([]), "no mark is left of the point that is gone");
}

#[test]
fn a_part_of_a_point_proves_no_point_and_says_what_was_not_asked() {
    let scene = Scene::new("part", ASSERTIONS);
    let report = scene.drydock(&["drill", "--data", "uploads", "-o", "json"]).expect(0).json();
    assert_eq!((&report["outcome"], &report["proven"]), (&json!("verified"), &json!(false)));
    assert_eq!(report["notAsked"][0], "sql of db, which is not drilled");
    assert_eq!(report["notAsked"].as_array().unwrap().len(), 3);
    let none = scene.drydock(&["points", "show", "latest-proven"]).expect(2);
    assert!(none.stderr.contains("no drill has restored"), "{}", none.stderr);
    assert_eq!(scene.left(), Vec::<String>::new());
}

/// What lies outside the encrypted repository says what happened, and nothing of what is in a row.
#[test]
fn a_drill_leaves_one_signed_record_whether_it_passes_or_not() {
    let scene = Scene::new(
        "evidence",
        "  evidence: {key: {fromFile: key.pem}}
  drill:
    assertions:
    - sql: {data: db, query: \"select count(*) = 100 from messages where content like 'message%'\"}
    - sql: {data: db, query: \"select content::int > 0 from messages where id = 7\"}
    - rows: {data: db, table: messages, max: 99}
",
    );
    let refused = scene.drydock(&["drill"]).expect(2);
    assert!(refused.stderr.contains("key"), "a key that is not there is found out first: {}", refused.stderr);
    let key = SigningKey::generate().unwrap();
    std::fs::write(scene.path("key.pem"), key.to_pem().unwrap().expose_secret()).unwrap();
    let failed = scene.drydock(&["drill", "-o", "json"]).expect(21).json();
    scene.edit("max: 99", "max: 100");
    scene.edit("content::int > 0", "content <> ''");
    let passed = scene.drydock(&["drill", "-o", "json"]).expect(0).json();
    assert_eq!((&failed["evidence"]["number"], &passed["evidence"]["number"]), (&json!(1), &json!(2)));

    let examined = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let home = scene.home().await;
        let chain = Chain::new(home.store.clone(), home.stack.name.clone());
        chain.examine(None, &Trust::Published, &[]).await.unwrap()
    });
    assert!(examined.holds(), "{:?}", examined.faults());
    let records: Vec<_> = examined.links().map(|link| link.record.clone()).collect();
    assert_eq!((records[0].outcome, records[1].outcome), (Outcome::Failed, Outcome::Passed));
    assert_eq!(records[0].run, failed["run"].as_str().unwrap());
    assert_eq!(records[1].point.id, passed["point"].as_str().unwrap());
    assert_eq!(records[1].data.len(), 3);
    assert_eq!(records[1].achieved.rto_ms, passed["rtoMs"].as_u64());
    let names: Vec<&str> = records[0].assertions.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["sql (assertion 1)", "sql (assertion 2)", "rows of messages (assertion 3)"]);
    let outcomes: Vec<_> = records[0].assertions.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [AssertionOutcome::Passed, AssertionOutcome::Errored, AssertionOutcome::Failed]);
    assert_eq!(records[0].reasons.len(), 2, "{:?} {}", records[0].reasons, failed["data"]);
    let text = std::fs::read_to_string(scene.path("store/evidence/000001.json")).unwrap();
    let payload: serde_json::Value = serde_json::from_str(&text).unwrap();
    let payload = base64::prelude::BASE64_STANDARD.decode(payload["payload"].as_str().unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert!(payload.contains("messages") && !payload.contains("message number"), "{payload}");
}

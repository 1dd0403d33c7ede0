//! Every kind of assertion, passing, failing and impossible to ask.

use serde_json::Value;

use crate::scene::Scene;

const ASSERTIONS: &str = r#"  drill:
    statementTimeout: 1s
    assertions:
    - sql: {data: db, query: "select count(*) = 100 from messages"}
    - sql: {data: db, query: "select count(*) > 100 from messages"}
    - sql: {data: db, query: "select nonsense from messages"}
    - sql: {data: db, query: "delete from messages"}
    - sql: {data: db, query: "commit; delete from messages"}
    - sql: {data: db, query: "select pg_sleep(30) is null"}
    - sql: {data: db, query: "select content from messages limit 1"}
    - rows: {data: db, table: public.messages, min: 100}
    - rows: {data: db, table: messages, max: 99}
    - rows: {data: db, table: letters, min: 1}
    - freshness: {data: db, query: "select max(created_at) from messages", within: 1h}
    - freshness: {data: db, query: "select max(created_at) - interval '3 hours' from messages", within: 1h}
    - freshness: {data: db, query: "select max(content) from messages", within: 1h}
    - keys: {data: cache, pattern: "session:*", min: 1, max: 1}
    - keys: {data: cache, pattern: "session:*", min: 2}
    - keys: {data: cache, pattern: "session:*", database: 99, min: 2}
    - files: {data: uploads, pattern: "aa/**", min: 1, max: 1}
    - files: {data: uploads, pattern: "*.png", min: 1}
    - command: {name: smoke, run: [./smoke]}
    - command: {name: wrong, run: [sh, -c, "echo this is why >&2; exit 7"]}
    - command: {name: slow, run: [sh, -c, "sleep 60 & wait"], timeout: 1s}
    - command: {name: absent, run: [./absent]}
"#;

/// It reaches everything by the environment alone, and production by nothing.
const SMOKE: &str = r#"#!/bin/sh -eu
test "$(psql -XAt -h "$DRYDOCK_PG_DB_HOST" -p "$DRYDOCK_PG_DB_PORT" -U "$DRYDOCK_PG_DB_USER" -d "$DRYDOCK_PG_DB_DATABASE" -c 'select count(*) from messages')" = 100
test "$(redis-cli -s "$DRYDOCK_REDIS_CACHE_SOCKET" get session:1)" = somebody
test "$(cat "$DRYDOCK_VOLUME_UPLOADS_PATH/aa/bb/aabbfirst")" = "the first upload"
test -n "$DRYDOCK_RUN" && test -n "$DRYDOCK_POINT"
"#;

#[test]
fn each_kind_holds_fails_or_says_why_it_cannot_be_asked() {
    let scene = Scene::bare("assertions", ASSERTIONS);
    std::fs::write(scene.path("smoke"), SMOKE).unwrap();
    std::process::Command::new("chmod").arg("+x").arg(scene.path("smoke")).status().unwrap();
    scene.drydock(&["snapshot"]).expect(0);
    let ran = scene.drydock(&["drill", "-o", "json"]).expect(21);
    let report = ran.json();
    let said = |n: usize| {
        let one = &report["assertions"][n];
        (one["verdict"].as_str().unwrap(), one["found"].as_str().unwrap())
    };
    let holds = |n: usize, found: &str| assert_eq!(said(n), ("holds", found));
    let fails = |n: usize, found: &str| assert_eq!(said(n), ("fails", found));
    let errs = |n: usize, why: &str| {
        let (verdict, found) = said(n);
        assert!(verdict == "errs" && found.contains(why), "{n}: {verdict}: {found}");
    };
    holds(0, "true");
    fails(1, "false");
    errs(2, "column \"nonsense\" does not exist");
    errs(3, "read-only transaction");
    errs(4, "multiple commands");
    errs(5, "statement timeout");
    errs(6, "yields a text, not a boolean");
    holds(7, "100");
    fails(8, "100");
    errs(9, "relation \"letters\" does not exist");
    assert!(said(10).0 == "holds" && said(10).1.ends_with("older than it"), "{:?}", said(10));
    assert!(said(11).0 == "fails" && said(11).1.starts_with("3h"), "{:?}", said(11));
    errs(12, "yields a text");
    holds(13, "1");
    fails(14, "1");
    errs(15, "out of range");
    holds(16, "1");
    fails(17, "0");
    holds(18, "exit code 0");
    fails(19, "exit code 7");
    assert_eq!(report["assertions"][19]["note"], "this is why");
    fails(20, "nothing after 1.0s");
    errs(21, "cannot start");
    assert_eq!(report["proven"], false);
    assert_eq!(scene.left(), Vec::<String>::new(), "also what a command had started and left is gone");
    let error: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&error["category"], &error["exitCode"]), (&"drill-failed".into(), &21.into()));
    assert!(error["message"].as_str().unwrap().contains("false where true is expected (and 15 more)"), "{error}");
}

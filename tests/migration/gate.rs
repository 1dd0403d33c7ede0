use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::redis::Redis;
use crate::support::{free_port, wait_until};
use crate::{NEW, OLD};

/// `drydock gate WHAT`: exit code and the one line that it printed.
fn gate(what: &str, server: &str) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_drydock"))
        .args(["gate", what])
        .env("DRYDOCK_GATE", server)
        .env("PASSWORD", "a password that is wrong")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("that is wrong"), "{said}");
    (output.status.code().unwrap(), serde_json::from_str(&said).unwrap())
}

fn postgres(port: u16, database: &str) -> String {
    format!("{{host: 127.0.0.1, port: {port}, database: {database}, user: postgres}}")
}

#[test]
fn a_database_serves_or_is_not_there_or_does_not_answer() {
    assert_eq!(gate("postgres", &postgres(OLD.port, "postgres")), (0, json!({"state": "healthy"})));
    let (code, said) = gate("postgres", &postgres(OLD.port, "shop"));
    assert_eq!((code, &said["state"]), (20, &json!("refused")));
    assert_eq!(said["reason"], format!("there is no database `shop` at 127.0.0.1:{}", OLD.port));
    let nobody = free_port();
    let (code, said) = gate("postgres", &postgres(nobody, "postgres"));
    assert_eq!((code, &said["state"]), (75, &json!("notYet")));
    let reason = said["reason"].as_str().unwrap();
    assert!(reason.starts_with(&format!("cannot connect to PostgreSQL at 127.0.0.1:{nobody}: ")), "{reason}");
}

#[test]
fn the_facts_of_the_applications_are_printed_whole() {
    NEW.create_database("gated");
    let server = postgres(NEW.port, "gated");
    let (code, said) = gate("kong", &server);
    let facts = json!({"schemaMeta": null, "hasLocks": false, "lock": null, "isBeforeOne": false});
    assert_eq!((code, said), (0, json!({"state": "healthy", "facts": facts})));
    let (code, said) = gate("strapi", &server);
    let facts = json!({"tables": 0, "schemaHashes": null, "migrations": {}});
    assert_eq!((code, said), (0, json!({"state": "healthy", "facts": facts})));
    let (code, said) = gate("chatwoot", &postgres(NEW.port, "not_there"));
    assert_eq!((code, &said["facts"]["exists"]), (0, &json!(false)));
}

#[test]
fn a_redis_serves_or_refuses_the_login_or_still_loads() {
    let server = Redis::start("7.0");
    let address = format!("host: 127.0.0.1, port: {}", server.port);
    assert_eq!(gate("redis", &format!("{{{address}}}")), (0, json!({"state": "healthy"})));
    let (code, said) = gate("redis", &format!("{{{address}, password: {{fromEnv: PASSWORD}}}}"));
    assert_eq!((code, &said["state"]), (20, &json!("refused")), "{said}");

    // LOADING is what it says while it reads its keys, 5 ms each here, and answers between them.
    for (setting, value) in [("key-load-delay", "5000"), ("loading-process-events-interval-bytes", "1024")] {
        server.cli(&["config", "set", setting, value]);
    }
    server.cli(&["debug", "populate", "400", "key", "1000"]);
    let port = server.port.to_string();
    let mut reload =
        Command::new("redis-cli").args(["-p", &port, "debug", "reload"]).stdout(Stdio::null()).spawn().unwrap();
    let loading = format!("Redis at 127.0.0.1:{port} is still loading its data");
    wait_until("the gate's `not yet`", Duration::from_secs(20), || {
        let (code, said) = gate("redis", &format!("{{{address}}}"));
        assert!(code != 20, "{said}");
        (code, &said["state"], &said["reason"]) == (75, &json!("notYet"), &json!(loading))
    });
    reload.wait().unwrap();
    assert_eq!(gate("redis", &format!("{{{address}}}")), (0, json!({"state": "healthy"})));
}

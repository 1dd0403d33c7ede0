//! Bringing a snapshot back into a running server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use drydock::context::Context;
use drydock::data::redis::{self, RedisError};
use drydock::failure::Failure;

use crate::helpers::{EMPTY, OVER, Store, is_untouched, role, spec, spec_rehearsed_by, target};
use crate::support::{Server, cache, give_away, run, wait_until};

#[tokio::test]
async fn every_version_comes_back_as_it_was_and_an_upgrade_too() {
    let store = Store::new().await;
    for (from, to) in [("7.0", "7.0"), ("6.2", "6.2"), ("6.2", "7.0")] {
        let source = target(from, &[]);
        source.torture();
        let point = store.capture(&spec(source.port)).await.unwrap();
        let goal = target(to, &[]);
        goal.cli(&["set", "former", "1"]);
        let spec = spec_rehearsed_by(goal.port, to);
        let error =
            redis::restore(&store.repository, &point.tree, &spec, &EMPTY, &Context::default()).await.unwrap_err();
        assert!(error.to_string().ends_with("it holds 1 keys, which a restore replaces"), "{error}");
        let restored = redis::restore(&store.repository, &point.tree, &spec, &OVER, &Context::default()).await.unwrap();
        assert_eq!(restored.comparison.differences, [], "{from} into {to}");
        assert_eq!(restored.comparison.compared["keys"], point.items);
        assert_eq!(restored.comparison.compared["databases"], 4);
        assert_eq!(goal.digest(), source.digest(), "{from} into {to}");
        assert_eq!(role(&goal), "master");
        assert_eq!(goal.cli(&["config", "get", "repl-diskless-load"]), "repl-diskless-load\ndisabled");
        // What DEBUG DIGEST does not see: groups and what is pending, and functions.
        assert_eq!(
            goal.cli(&["xpending", "stream:large", "readers"]),
            source.cli(&["xpending", "stream:large", "readers"])
        );
        assert_eq!(
            goal.cli(&["xinfo", "consumers", "stream:large", "readers"])
                .lines()
                .filter(|l| l.contains("alice"))
                .count(),
            1
        );
        if from == "7.0" {
            assert_eq!(goal.cli(&["fcall", "answer", "0"]), "42");
        }
        goal.cli(&["set", "written", "afterwards"]);
    }
}

#[tokio::test]
async fn a_newer_snapshot_is_refused_before_an_older_target_is_touched() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.cli(&["set", "a", "1"]);
    let point = store.capture(&spec(source.port)).await.unwrap();
    let goal = target("6.2", &[]);
    goal.cli(&["set", "former", "1"]);
    let digest = goal.digest();
    let cx = Context::default();
    for scratch in ["6.2", "7.0"] {
        let spec = spec_rehearsed_by(goal.port, scratch);
        let error = redis::restore(&store.repository, &point.tree, &spec, &OVER, &cx).await.unwrap_err();
        assert!(
            error.to_string().contains("is redis 6.2.14 and loads up to RDB version 9, the snapshot is RDB version 10"),
            "{error}"
        );
        assert_eq!(error.hint().unwrap(), "restore into a server not older than redis 7.0.15");
        let error = redis::plan_restore(&store.repository, &point.tree, &spec, &OVER, &cx).await.unwrap_err();
        assert_eq!(error.category().exit_code(), 2);
    }
    is_untouched(&goal, &digest);
    // A target that could, and a scratch server that cannot.
    let goal = target("7.0", &[]);
    let spec = spec_rehearsed_by(goal.port, "6.2");
    let error = redis::restore(&store.repository, &point.tree, &spec, &EMPTY, &cx).await.unwrap_err();
    assert!(matches!(error, RedisError::Scratch { .. }), "{error}");
    assert!(error.to_string().contains("redis 6.2.14 and loads up to RDB version 9"), "{error}");
}

/// A scratch server as a run of the process `pid` has it, with a customer's data in memory.
fn scratch_of(pid: u32) -> (PathBuf, Server) {
    let folder = std::env::temp_dir().join(format!("drydock-scratch-{pid}-test"));
    std::fs::create_dir(&folder).unwrap();
    give_away(&folder);
    let (socket, dir) = (folder.join("socket"), folder.to_str().unwrap().to_owned());
    let args =
        ["--port", "0", "--unixsocket", socket.to_str().unwrap(), "--dir", &dir, "--save", "", "--loglevel", "warning"];
    let server = Server::start(&cache().join("redis-server-7.0"), &args, &folder.join("log"));
    wait_until("the scratch server", Duration::from_secs(10), || {
        Command::new("redis-cli").arg("-s").arg(&socket).arg("ping").output().unwrap().stdout == b"PONG\n"
    });
    in_scratch(&folder, &["set", "customer", "data"]);
    (folder, server)
}

fn in_scratch(folder: &Path, args: &[&str]) -> String {
    run(Command::new("redis-cli").arg("-s").arg(folder.join("socket")).args(args)).trim().to_owned()
}

/// Killed in the instant between its start and its word to die with its parent, it lives on.
#[tokio::test]
async fn an_orphaned_scratch_server_is_ended_by_the_next_restore_and_one_in_use_is_not() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.cli(&["set", "a", "1"]);
    let point = store.capture(&spec(source.port)).await.unwrap().tree;
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let (orphans, mut orphan) = scratch_of(gone.id());
    let (others, mut other) = scratch_of(std::process::id());
    let goal = target("7.0", &[]);
    redis::restore(&store.repository, &point, &spec(goal.port), &EMPTY, &Context::default()).await.unwrap();
    assert_eq!(goal.digest(), source.digest());
    wait_until("the orphan's end", Duration::from_secs(10), || !orphan.is_running());
    assert!(!orphans.exists(), "and its folder is gone");
    assert!(other.is_running());
    assert_eq!(in_scratch(&others, &["get", "customer"]), "data");
    other.kill();
    std::fs::remove_dir_all(&others).unwrap();
}

//! Real processes: what they are told, how they end, and that nothing of them is left.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;
use crate::failure::{Category, Failure};
use crate::stack::Stack;

/// A data set of which `hooks` is said in YAML's flow style; `HERE` is the folder.
fn set(folder: &Path, hooks: &str) -> DataSet {
    let hooks = hooks.replace("HERE", folder.to_str().unwrap());
    let text = format!(
        "{{apiVersion: drydock.dev/v1alpha1, kind: Stack, metadata: {{name: shop}}, spec: {{repository: {{location: /b, \
         password: {{fromFile: p}}}}, data: [{{name: uploads, volume: {{path: /u}}, hooks: {{{hooks}}}}}]}}}}"
    );
    Stack::parse(Path::new("stack.yaml"), Path::new("/"), &text).unwrap().spec.data.remove(0)
}

fn occasion() -> Occasion {
    Occasion { stack: "shop".parse().unwrap(), point: "3f9a000000000001".into(), run: Some("snapshot-shop-1".into()) }
}

async fn before(set: &DataSet) -> Result<(), HookError> {
    run(set, When::BeforeSnapshot, &occasion(), &Context::default()).await
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The process ids that a hook has written, one a line, once there are `n`.
async fn pids(file: PathBuf, n: usize) -> Vec<u32> {
    let begun = Instant::now();
    loop {
        let text = read(&file);
        if text.ends_with('\n') && text.lines().count() == n {
            return text.lines().map(|line| line.parse().unwrap()).collect();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{} holds `{text}`", file.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A killed process is there until its new parent has looked at it.
async fn are_gone(pids: &[u32]) {
    let begun = Instant::now();
    let lives = |pid: &u32| {
        let stat = read(Path::new(&format!("/proc/{pid}/stat")));
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    };
    while pids.iter().any(lives) {
        assert!(begun.elapsed() < Duration::from_secs(20), "one of {pids:?} lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_hook_is_told_what_it_is_part_of_and_no_secret_of_others() {
    let folder = tempfile::tempdir().unwrap();
    // cargo's own variables stand for whatever else is in drydock's environment.
    let set = set(
        folder.path(),
        "beforeSnapshot: [{run: [sh, -c, 'env > HERE/env; pwd > HERE/pwd; cat > HERE/stdin'], env: [CARGO_PKG_NAME]}]",
    );
    before(&set).await.unwrap();
    let env = read(&folder.path().join("env"));
    for expected in [
        "DRYDOCK_HOOK=beforeSnapshot",
        "DRYDOCK_STACK=shop",
        "DRYDOCK_DATA=uploads",
        "DRYDOCK_POINT=3f9a000000000001",
        "DRYDOCK_RUN=snapshot-shop-1",
        "CARGO_PKG_NAME=drydock",
    ] {
        assert!(env.lines().any(|line| line == expected), "{expected} is not in {env}");
    }
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !env.contains("CARGO_MANIFEST_DIR"), "{env}");
    let said = |name: &str| read(&folder.path().join(name));
    assert_eq!((said("pwd").as_str(), said("stdin").as_str()), ("/\n", ""));
}

#[tokio::test]
async fn a_failure_names_the_hook_and_keeps_what_it_said_out_of_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(
        folder.path(),
        "beforeSnapshot: [{run: ['true']}, {run: [sh, -c, 'echo customer 4711; echo locked >&2; exit 7', hunter2]}, \
         {run: [touch, HERE/third]}]",
    );
    let error = before(&set).await.unwrap_err();
    assert_eq!(error.to_string(), "the hook beforeSnapshot[1] (`sh`) of the data set `uploads` ended with exit code 7");
    assert_eq!(error.source().unwrap().to_string(), "it said: customer 4711\nlocked");
    assert_eq!(error.category(), Category::Unavailable);
    assert!(!folder.path().join("third").exists(), "what comes after a failed hook is not run");
}

#[tokio::test]
async fn the_end_of_what_a_hook_says_is_kept_however_much_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), "beforeSnapshot: [{run: [sh, -c, 'seq 100000; echo the reason; kill -TERM $$']}]");
    let error = before(&set).await.unwrap_err();
    assert_eq!(error.how, How::Signal(15));
    let said = error.source().unwrap().to_string();
    assert!(said.len() <= 2_010 && said.ends_with("99999\n100000\nthe reason"), "{said}");
}

#[tokio::test]
async fn at_its_timeout_a_hook_is_killed_with_all_that_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(
        folder.path(),
        "beforeSnapshot: [{run: [sh, -c, 'echo $$ > HERE/p; sleep 600 & echo $! >> HERE/p; echo waiting; wait'], timeout: 1s}]",
    );
    let error = before(&set).await.unwrap_err();
    assert_eq!(error.how, How::Timeout(Duration::from_secs(1)));
    assert!(error.to_string().ends_with("was killed: it had not ended after 1.0s"), "{error}");
    assert_eq!(error.source().unwrap().to_string(), "it said: waiting");
    are_gone(&pids(folder.path().join("p"), 2).await).await;
}

#[tokio::test]
async fn what_a_hook_leaves_behind_ends_with_it_unless_it_has_left_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(
        folder.path(),
        "beforeSnapshot: [{run: [sh, -c, 'sleep 600 & echo $! > HERE/p; setsid sh -c \"echo \\$\\$ > HERE/q; exec sleep 600\" & \
         while ! [ -s HERE/q ]; do sleep 0.01; done']}]",
    );
    let begun = Instant::now();
    before(&set).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "nobody waits for what has left");
    are_gone(&pids(folder.path().join("p"), 1).await).await;
    let service = pids(folder.path().join("q"), 1).await[0];
    assert!(Path::new(&format!("/proc/{service}")).exists(), "a service that a hook has started goes on");
    let service = rustix::process::Pid::from_raw(i32::try_from(service).unwrap()).unwrap();
    rustix::process::kill_process(service, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn told_to_stop_or_dropped_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let long = |file: &str| {
        format!(
            "beforeSnapshot: [{{run: [sh, -c, 'sleep 600 & echo $! > HERE/{file}; echo $$ >> HERE/{file}; wait']}}]"
        )
    };
    let (stopped, dropped) = (set(folder.path(), &long("stopped")), set(folder.path(), &long("dropped")));
    let cx = Context::default();
    let occasion = occasion();
    let ids = pids(folder.path().join("stopped"), 2);
    let stop = async {
        let ids = ids.await;
        cx.cancel.cancel();
        ids
    };
    let (error, ids) = tokio::join!(run(&stopped, When::BeforeSnapshot, &occasion, &cx), stop);
    let error = error.unwrap_err();
    assert_eq!((error.how.clone(), error.category()), (How::Cancelled, Category::Interrupted));
    are_gone(&ids).await;
    let ids = tokio::select! {
        ended = before(&dropped) => panic!("{ended:?}"),
        ids = pids(folder.path().join("dropped"), 2) => ids,
    };
    are_gone(&ids).await;
}

#[tokio::test]
async fn after_a_snapshot_all_hooks_run_whatever_fails_and_whoever_stops() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(
        folder.path(),
        "afterSnapshot: [{run: ['false']}, {run: [sh, -c, 'exit 9']}, {run: [sh, -c, 'echo thawed >> HERE/thawed']}]",
    );
    let cx = Context::default();
    cx.cancel.cancel();
    let error = run(&set, When::AfterSnapshot, &occasion(), &cx).await.unwrap_err();
    assert_eq!((error.number, error.how), (0, How::Code(1)), "the first that failed");
    let again = after_cut_off([&set, &set], &occasion(), &cx).await;
    assert_eq!(again.unwrap_err().number, 0);
    assert_eq!(read(&folder.path().join("thawed")), "thawed\nthawed\nthawed\n");
}

#[tokio::test]
async fn what_is_no_program_is_said_so_and_no_word_of_a_shell_is_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("script"), "#!/bin/sh\n").unwrap(); // not executable
    for (run, expected) in [
        ("[quiesce-shop]", "cannot be started: there is no program `quiesce-shop` on the PATH"),
        ("[exit, '0']", "cannot be started: there is no program `exit` on the PATH"),
        ("[HERE/nothing]", "cannot be started: there is no file HERE/nothing"),
        ("[HERE/script]", "cannot be started: it is no program, or may not be executed"),
    ] {
        let here = folder.path().to_str().unwrap();
        let error = before(&set(folder.path(), &format!("beforeSnapshot: [{{run: {run}}}]"))).await.unwrap_err();
        assert!(error.to_string().ends_with(&expected.replace("HERE", here)), "{run}: {error}");
        assert_eq!(error.category(), Category::Usage);
        assert!(error.hint().unwrap().contains("hooks.beforeSnapshot[0]` of `uploads"), "{:?}", error.hint());
    }
}

#[test]
fn a_dry_run_names_hooks_in_the_order_in_which_they_are_run() {
    let set = set(
        Path::new("/x"),
        "afterSnapshot: [{run: [thaw]}], beforeSnapshot: [{run: [freeze, now], timeout: 30s}, {run: [sync]}], \
         beforeLive: [{run: [stop]}]",
    );
    let whens = [When::BeforeSnapshot, When::AfterSnapshot];
    let shown: Vec<String> = named([&set], &whens)
        .iter()
        .map(|one| format!("{} {} {}", one.hook, one.run.join(" "), one.timeout_ms))
        .collect();
    assert_eq!(shown, ["beforeSnapshot freeze now 30000", "beforeSnapshot sync 300000", "afterSnapshot thaw 300000"]);
}

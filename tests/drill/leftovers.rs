//! Nothing is left: after success (tests of what passes), failure, Ctrl-C, and after a kill and the next drill.

use std::process::{Child, Command};
use std::time::Duration;

use serde_json::Value;

use crate::scene::{Ran, Scene, processes};
use crate::support::{run, wait_until};

/// An assertion that holds a drill up for as long as the file `wait` is there.
const HELD: &str = "  drill:
    assertions:
    - command: {name: held, run: [sh, -c, 'if [ -e WAIT ]; then sleep 300; fi']}
";

fn held(name: &str) -> Scene {
    let scene = Scene::new(name, HELD);
    scene.edit("WAIT", scene.path("wait").to_str().unwrap());
    scene
}

/// A drill that is in the middle of it, its sandbox filled.
fn in_the_middle(scene: &Scene, args: &[&str]) -> Child {
    std::fs::write(scene.path("wait"), "").unwrap();
    let child = scene.command(&[&["drill"], args].concat()).spawn().unwrap();
    wait_until("the drill", Duration::from_secs(120), || {
        processes(&scene.root()).iter().any(|process| process.contains("/command"))
    });
    std::fs::remove_file(scene.path("wait")).unwrap();
    child
}

fn signal(child: &Child, signal: &str) {
    run(Command::new("kill").args([signal, &child.id().to_string()]));
}

#[test]
fn after_ctrl_c() {
    let scene = held("interrupted");
    let child = in_the_middle(&scene, &[]);
    signal(&child, "-INT");
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(130);
    assert!(ran.stderr.contains("safe to run the same command again"), "{}", ran.stderr);
    assert_eq!(scene.left(), Vec::<String>::new());
}

/// One that was killed has servers that die with it, one that was to be kept has servers that do not, and both have a
/// command that nobody ends.
#[test]
fn after_a_kill_and_the_next_drill() {
    let scene = held("killed");
    for args in [&[][..], &["--keep"]] {
        let mut child = in_the_middle(&scene, args);
        signal(&child, "-KILL");
        child.wait().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert!(!scene.left().is_empty(), "a kill leaves something, or this test shows nothing");
        let servers = processes(&scene.root()).iter().any(|process| process.contains("/postgres0"));
        assert_eq!(servers, args.contains(&"--keep"), "{:#?}", scene.left());
        scene.drydock(&["drill"]).expect(0);
        assert_eq!(scene.left(), Vec::<String>::new(), "{args:?}");
    }
}

#[test]
fn one_that_is_under_way_and_one_that_is_kept_are_let_be() {
    let scene = held("let-be");
    let mut other = in_the_middle(&scene, &[]);
    let told = scene.drydock(&["drill", "--lock-wait", "0s"]).expect(11);
    assert!(told.stderr.contains("is at the run drill-"), "one drill of a stack at a time: {}", told.stderr);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let swept = runtime.block_on(drydock::drill::sweep(&scene.root())).unwrap();
    assert!(swept.is_empty(), "{swept:?} was under way");
    assert_eq!(other.try_wait().unwrap(), None, "the other drill goes on");
    signal(&other, "-INT");
    other.wait().unwrap();
    let kept: Value = scene.drydock(&["drill", "--keep", "-o", "json"]).expect(0).json();

    let run_id = kept["run"].as_str().unwrap();
    let address = &kept["sandbox"]["addresses"]["db"]["postgres"];
    let field = |name: &str| address[name].as_str().unwrap().to_owned();
    let ask = || {
        let mut psql = Command::new("psql");
        psql.args([
            "-XAt",
            "-h",
            &field("host"),
            "-U",
            &field("user"),
            "-d",
            address["databases"][0].as_str().unwrap(),
        ]);
        run(psql.args(["-c", "select count(*) from messages"]))
    };
    assert_eq!(ask(), "100\n", "a person can look at it");
    let next = scene.drydock(&["drill", "-o", "json"]).expect(0).json();
    assert_eq!(next["kept"], serde_json::json!([run_id]), "and is reminded of it");
    assert_eq!(ask(), "100\n", "it is still there");
    scene.drydock(&["drill", "--remove", run_id]).expect(0);
    assert_eq!(scene.left(), Vec::<String>::new());
    let gone = scene.drydock(&["drill", "--remove", run_id]).expect(2);
    assert!(gone.stderr.contains("there is no sandbox of the run"), "{}", gone.stderr);
}

#[test]
fn without_a_server_the_package_is_named_and_nothing_is_made() {
    let scene = Scene::new("no-server", "");
    std::fs::create_dir(scene.path("empty")).unwrap();
    let text = std::fs::read_to_string(scene.path("stack.yaml")).unwrap();
    let from = text.split_once("serverBinaries: ").unwrap().1.split_once('}').unwrap().0.to_owned();
    scene.edit(&format!("serverBinaries: {from}"), &format!("serverBinaries: {}", scene.path("empty").display()));
    let ran = scene.drydock(&["drill"]).expect(2);
    assert!(ran.stderr.contains("no PostgreSQL server of version 15 or later is installed here"), "{}", ran.stderr);
    assert!(ran.stderr.contains("apt-get install postgresql-15"), "{}", ran.stderr);
    assert_eq!(scene.left(), Vec::<String>::new());
}

#[test]
fn a_blob_that_is_damaged_fails_the_drill_and_not_drydock() {
    let scene = Scene::new("damaged", "");
    scene.folder.holds_damage();
    let packs = scene.path("store/repository/data");
    let script = format!(
        "find {} -type f -size +16k | while read f; do printf 'XXXXXXXX' | dd of=$f bs=1 seek=4096 conv=notrunc status=none; done",
        packs.display()
    );
    run(Command::new("sh").args(["-c", &script]));
    let ran = scene.drydock(&["drill", "-o", "json"]).expect(21);
    let report = ran.json();
    assert_eq!(report["outcome"], "not-verified");
    assert_eq!(report["failure"]["what"], "does not restore", "{report}");
    assert_eq!(scene.left(), Vec::<String>::new());
}

/// Who has no rights beyond his own drills as himself: nobody needs to be root for it.
#[test]
fn an_ordinary_user_drills_as_himself() {
    if !rustix::process::geteuid().is_root() {
        return; // then all drills of these tests are such
    }
    const NOBODY: u32 = 65_534;
    let scene = Scene::bare("ordinary", "");
    let binary = scene.path("drydock"); // where it is built others may not come
    std::fs::copy(env!("CARGO_BIN_EXE_drydock"), &binary).unwrap();
    run(Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(scene.folder.path()));
    let drydock = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "--"]).arg(&binary);
        command
            .args(args)
            .arg("-f")
            .arg(scene.path("stack.yaml"))
            .env("TMPDIR", scene.root())
            .env("HOME", scene.root());
        Ran::from(command.output().unwrap())
    };
    drydock(&["snapshot"]).expect(0);
    let report = drydock(&["drill", "--keep", "-o", "json"]).expect(0).json();
    assert_eq!((&report["outcome"], &report["proven"]), (&serde_json::json!("verified"), &serde_json::json!(true)));
    let owners: Vec<String> = processes(&scene.root())
        .iter()
        .map(|line| run(Command::new("stat").args(["-c", "%u", line.split_whitespace().nth(8).unwrap()])))
        .collect();
    assert!(owners.len() >= 2 && owners.iter().all(|owner| owner.trim() == NOBODY.to_string()), "{owners:?}");
    drydock(&["drill", "--remove", report["run"].as_str().unwrap()]).expect(0);
    assert_eq!(scene.left(), Vec::<String>::new());
}

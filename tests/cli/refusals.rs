//! Bad input: the cause, the place, the next move, the exit code.

use std::process::Command;

use crate::world::{PASSWORD, Ran, World};

const FILES: &str = "  data:\n  - {name: files, volume: {path: files}}\n";

#[test]
fn init_makes_a_repository_once_and_refuses_a_stranger() {
    let world = World::bare("init", FILES);
    let first = world.json(&["init"]);
    assert_eq!((first["created"].as_bool(), first["stack"].as_str()), (Some(true), Some("shop")));
    let second = world.json(&["init"]);
    assert_eq!(second["created"], false);
    assert_eq!(second["repositoryId"], first["repositoryId"]);
    world.restic().run(&["cat", "config"]);

    let text = std::fs::read_to_string(world.path("stack.yaml")).unwrap().replace("name: shop", "name: other");
    std::fs::write(world.path("stack.yaml"), text).unwrap();
    for command in ["init", "points", "snapshot"] {
        let refused = world.run(&[command]);
        assert_eq!(refused.code, 2, "{command}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("belongs to the stack `shop`, not to `other`"),
            "{command}: {}",
            refused.stderr
        );
    }
}

#[test]
fn init_says_what_losing_the_password_means_and_refuses_one_that_can_be_guessed() {
    let world = World::bare("weak", FILES);
    std::fs::write(world.path("password"), "shop-backup-2026").unwrap();
    let refused = world.run(&["init"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("too easy to guess") && refused.stderr.contains("openssl rand"),
        "{}",
        refused.stderr
    );
    assert!(!world.path("store/stack.json").exists(), "a refusal changes nothing");
    let made = world.run(&["init", "--allow-weak-password"]);
    assert_eq!(made.code, 0);
    assert!(made.stdout.contains("whoever loses it has lost every recovery point"), "{}", made.stdout);
}

#[test]
fn a_wrong_password_is_12() {
    let world = World::new("wrong", FILES);
    std::fs::write(world.path("password"), "another-password-altogether").unwrap();
    let refused = world.run(&["points", "-o", "json"]);
    assert_eq!((refused.code, refused.report()["category"].as_str()), (12, Some("wrong-password")));
    assert_eq!(refused.stdout, "", "nothing but results on standard output");
    std::fs::remove_file(world.path("password")).unwrap();
    let refused = world.run(&["points"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("cannot read the secret file") && refused.stderr.contains("No such file"));
}

#[test]
fn no_repository_is_10_with_the_command_to_type() {
    let world = World::bare("none", FILES);
    let document = world.path("stack.yaml");
    for command in [&["points"][..], &["snapshot"], &["check"], &["key", "list"], &["forget", "--keep-last", "1"]] {
        let refused = world.run(&[command, &["-o", "json"]].concat());
        assert_eq!(refused.code, 10, "{command:?}: {}", refused.stderr);
        let hint = refused.report()["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains(&format!("drydock init -f {}", document.display())), "{command:?}: {hint}");
    }
    std::fs::create_dir(world.path("store")).unwrap();
    assert_eq!(world.run(&["points"]).code, 10, "an empty folder is no repository either");
}

#[test]
fn an_unknown_field_is_2_with_its_line() {
    let world = World::bare("field", "  data:\n  - {name: files, volume: {pth: files}}\n");
    let refused = world.run(&["snapshot"]);
    assert_eq!(refused.code, 2);
    let expected =
        format!("{}:9:28: spec.data[0].volume.pth: `pth` is not known here", world.path("stack.yaml").display());
    assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
}

#[test]
fn what_is_wrong_with_the_command_line_is_2_also_as_json() {
    let ran = |args: &[&str]| Ran::of(Command::new(env!("CARGO_BIN_EXE_drydock")).args(args).output().unwrap());
    let refused = ran(&["points", "--nonsense", "-o", "json"]);
    assert_eq!((refused.code, refused.report()["exitCode"].as_i64()), (2, Some(2)));
    let refused = ran(&["points"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("no Stack document is given") && refused.stderr.contains("-f stack.yaml"));
    assert_eq!(ran(&["--version"]).code, 0);
    for shell in ["bash", "zsh", "fish"] {
        assert!(ran(&["completions", shell]).stdout.contains("snapshot"), "{shell}");
    }
}

#[test]
fn a_data_set_that_cannot_be_read_leaves_no_point_and_is_named() {
    let world = World::new("unreadable", FILES);
    let refused = world.run(&["snapshot", "-o", "json"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.report()["message"].as_str().unwrap().contains("the data set `files`"), "{}", refused.stderr);
    assert_eq!(world.json(&["points"])["points"], serde_json::json!([]));
    assert_eq!(world.restic().run(&["snapshots", "--json"]).trim(), "[]", "nothing is left behind");
}

#[test]
fn no_password_is_written_anywhere() {
    let world = World::new("secret", FILES);
    world.write("files/a", "hello");
    for args in [&["snapshot"][..], &["points"], &["doctor"], &["key", "list"], &["check"], &["init"]] {
        let loud = ["-vvv", "--log-format", "json", "--progress", "json", "-o", "json"];
        let ran = world.run(&[args, &loud].concat());
        assert!(matches!(ran.code, 0 | 3), "{args:?}: {}", ran.stderr);
        assert!(!ran.stdout.contains(PASSWORD) && !ran.stderr.contains(PASSWORD), "{args:?}");
        assert!(
            ran.stderr.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
            "{}",
            ran.stderr
        );
    }
    assert!(!crate::world::any_file_holds(&world.path("store"), PASSWORD));
}

//! Exit codes, both streams, JSON.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::story::{self, FAILED, LATE};
use crate::support::run;
use crate::world::{Ran, World};

fn alone(args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
    Ran::of(command.args(args).env_remove("DRYDOCK_FILE").output().unwrap())
}

#[test]
fn a_key_is_made_once_for_its_owner_alone_and_openssl_reads_it() {
    let world = World::bare("evidence-keygen", "  data:\n  - {name: files, volume: {path: files}}\n");
    let file = world.path("evidence.pem");
    let made = world.json(&["evidence", "keygen", "--out", file.to_str().unwrap()]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let public = run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&file));
    assert_eq!(made["publicKey"].as_str().unwrap(), public);
    let digest = "openssl pkey -pubout -outform DER -in \"$0\" | sha256sum | cut -d' ' -f1";
    let id = run(Command::new("bash").args(["-c", digest]).arg(&file));
    assert_eq!(made["keyId"].as_str().unwrap(), id.trim());
    let before = std::fs::read(&file).unwrap();
    let again = world.run(&["evidence", "keygen", "--out", file.to_str().unwrap()]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("hint: a key is never overwritten"), "{}", again.stderr);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let text = alone(&["evidence", "keygen", "--out", world.path("second.pem").to_str().unwrap()]);
    let line = format!("  evidence: {{key: {{fromFile: {}}}}}\n", world.path("second.pem").display());
    assert!(text.stdout.contains(&line), "{}", text.stdout);
}

#[test]
fn a_key_that_openssl_made_signs_too() {
    let world = story::world("openssl");
    let file = world.path("evidence.pem");
    run(Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&file));
    story::tell(&world, 2);
    let verified = world.json(&["evidence", "verify", "--all"]);
    assert_eq!((verified["verified"].as_bool(), verified["records"].as_u64()), (Some(true), Some(2)));
}

#[test]
fn what_was_proven_is_listed_and_shown_without_the_repositorys_password() {
    let world = story::world("list");
    let empty = world.run(&["evidence"]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, "the stack shop has no evidence yet\n0 records verified\n"));
    story::tell(&world, 30);
    std::fs::remove_file(world.path("password")).unwrap();
    let listed = world.json(&["evidence", "list"]);
    let records = listed["records"].as_array().unwrap();
    assert_eq!((records.len(), listed["verified"].as_bool()), (30, Some(true)));
    let outcome = |number: u64| records[usize::try_from(30 - number).unwrap()]["outcome"].as_str().unwrap();
    assert_eq!((outcome(FAILED), outcome(LATE), outcome(30)), ("failed", "late", "passed"));
    let text = world.run(&["evidence", "--last", "3"]);
    assert_eq!(text.code, 2, "an option of `list` goes behind it");
    let text = world.run(&["evidence", "list", "--last", "3"]).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[4]), (5, "3 records verified"), "{text}");
    assert!(lines[2].contains("late") && lines[2].contains("1m 11s of 1m !"), "{text}");

    let shown = world.run(&["evidence", "show", &FAILED.to_string()]);
    assert_eq!(shown.code, 0);
    for said in [
        "record 17 of shop: drill failed\n",
        "because       db: 3 differences from what was recorded\n",
        "difference: db: table public.attachments: 1,203 rows where 1,204 rows was recorded\n",
    ] {
        assert!(shown.stdout.contains(said), "{said}{}", shown.stdout);
    }
    let run = records[0]["run"].as_str().unwrap();
    let by_run = world.json(&["evidence", "show", run]);
    assert_eq!(by_run["record"]["run"].as_str(), Some(run));
    assert_eq!(by_run, world.json(&["evidence", "show", "latest"]));
    assert_eq!(world.run(&["evidence", "show", "drill-"]).code, 2);
    assert!(world.run(&["evidence", "show", "99"]).stderr.contains("there is no evidence `99`"));
}

#[test]
fn one_altered_byte_fails_everything_that_reads_and_is_named() {
    let world = story::world("altered");
    story::tell(&world, 5);
    let object = world.path("store/evidence/000003.json");
    let original = std::fs::read(&object).unwrap();
    let mut altered = original.clone();
    let at = original.len() / 2;
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(&object, &altered).unwrap();
    let html = world.path("e.html");
    for args in
        [&["evidence"][..], &["evidence", "verify", "--all"], &["evidence", "export", "--html", html.to_str().unwrap()]]
    {
        let ran = world.run(args);
        assert_eq!(ran.code, 20, "{args:?}: {}", ran.stderr);
        assert!(ran.stdout.contains("evidence/000003.json: altered: "), "{}", ran.stdout);
    }
    let shown = world.run(&["evidence", "show", "3", "-o", "json"]);
    assert_eq!((shown.code, shown.report()["category"].as_str()), (20, Some("integrity")));
    assert_eq!(world.run(&["evidence", "show", "4"]).code, 0, "the others are as good as before");
    std::fs::write(&object, &original).unwrap();
    assert_eq!(world.run(&["evidence", "verify", "--all"]).code, 0);
}

#[test]
fn a_cut_end_and_a_borrowed_key_are_found_by_who_noted_and_got_them_before() {
    let world = story::world("pinned");
    story::tell(&world, 4);
    let newest = world.json(&["evidence", "verify", "--all"])["newest"].as_str().unwrap().to_owned();
    let public = world.path("public.pem");
    let pem = world.run(&["evidence", "keys", "--pem"]).stdout;
    std::fs::write(&public, &pem).unwrap();
    let public = public.to_str().unwrap();
    let good = world.run(&["evidence", "verify", "--all", "--key", public, "--includes", &newest]);
    assert_eq!(good.code, 0, "{}{}", good.stdout, good.stderr);
    std::fs::remove_file(world.path("store/evidence/000004.json")).unwrap();
    assert_eq!(world.run(&["evidence", "verify", "--all"]).code, 0);
    let cut = world.run(&["evidence", "verify", "--all", "--includes", &newest]);
    assert_eq!(cut.code, 20);
    assert!(cut.stdout.contains("evidence/000004.json: it was there, with the digest "), "{}", cut.stdout);

    // Somebody who may write to the store, but has not our key, makes up a story of their own.
    std::fs::remove_dir_all(world.path("store/evidence")).unwrap();
    std::fs::remove_file(world.path("evidence.pem")).unwrap();
    world.run(&["evidence", "keygen", "--out", world.path("evidence.pem").to_str().unwrap()]);
    story::tell(&world, 4);
    assert_eq!(world.run(&["evidence", "verify", "--all"]).code, 0, "beside their evidence lies their key");
    let found = world.run(&["evidence", "verify", "--all", "--key", public]);
    assert_eq!(found.code, 20);
    assert!(found.stdout.contains("which is published but not among those that were given"), "{}", found.stdout);
}

#[test]
fn one_record_is_verified_offline() {
    let world = story::world("offline");
    story::tell(&world, 2);
    let envelope = world.path("store/evidence/000002.json");
    let envelope = envelope.to_str().unwrap();
    let id = world.json(&["evidence", "keys"])["keys"][0]["keyId"].as_str().unwrap().to_owned();
    let stored = world.path(&format!("store/evidence/keys/{id}.json"));
    let pem = world.path("public.pem");
    std::fs::write(&pem, world.run(&["evidence", "keys", "--pem"]).stdout).unwrap();
    for key in [&stored, &pem] {
        let ran = alone(&["evidence", "verify", envelope, "--key", key.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.starts_with("verified: record 2 of shop, drill passed\n"), "{}", ran.stdout);
        assert!(ran.stdout.contains("It does not show\nwhose key it is"), "{}", ran.stdout);
    }
    let unkeyed = alone(&["evidence", "verify", envelope]);
    assert_eq!(unkeyed.code, 2);
    assert_eq!(alone(&["evidence", "verify"]).code, 2);
    run(Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(world.path("other.pem")));
    let private = alone(&["evidence", "verify", envelope, "--key", world.path("other.pem").to_str().unwrap()]);
    assert_eq!(private.code, 2, "{}", private.stderr);
    assert!(private.stderr.contains("it is no public key as PEM"), "{}", private.stderr);
    let other = run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(world.path("other.pem")));
    std::fs::write(&pem, other).unwrap();
    let wrong = alone(&["evidence", "verify", envelope, "--key", pem.to_str().unwrap(), "-o", "json"]);
    assert_eq!((wrong.code, wrong.report()["exitCode"].as_u64()), (20, Some(20)));
    assert!(wrong.stderr.contains("which nobody knows"), "{}", wrong.stderr);
}

#[test]
fn a_key_is_retired_and_another_takes_over() {
    let world = story::world("retire");
    story::tell(&world, 2);
    let old = world.path("old.pem");
    std::fs::rename(world.path("evidence.pem"), &old).unwrap();
    world.run(&["evidence", "keygen", "--out", world.path("evidence.pem").to_str().unwrap()]);
    let early = world.run(&["evidence", "retire"]);
    assert_eq!(early.code, 2, "the new key has signed nothing yet: {}", early.stderr);
    let retired = world.json(&["evidence", "retire", "--private-key", old.to_str().unwrap()]);
    let keys = world.json(&["evidence", "keys"]);
    assert_eq!(keys["keys"][0]["validUntil"], retired["validUntil"]);
    assert_eq!(world.run(&["evidence", "verify", "--all"]).code, 0);
    let again = world.run(&["evidence", "retire", "--private-key", old.to_str().unwrap()]);
    assert_eq!(again.code, 2, "{}", again.stderr);
}

#[test]
fn doctor_says_whether_evidence_can_be_signed() {
    let world = story::world("doctor");
    let said = || {
        let ran = world.run(&["doctor", "-o", "json"]);
        let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let ours = |finding: &&serde_json::Value| finding["subject"] == "evidence";
        let detail = |finding: &serde_json::Value| finding["detail"].as_str().unwrap().to_owned();
        found["findings"].as_array().unwrap().iter().filter(ours).map(detail).collect::<Vec<_>>().join("; ")
    };
    assert!(said().contains("for the first time"), "{}", said());
    story::tell(&world, 1);
    assert!(said().contains("which is published"), "{}", said());
    std::fs::set_permissions(world.path("evidence.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said().starts_with("others than its owner may read the key file "), "{}", said());
    assert_eq!(world.run(&["evidence", "retire"]).code, 0);
    std::fs::write(world.path("evidence.pem"), "no key\n").unwrap();
    assert!(said().contains("it is no private key as PEM"), "{}", said());
}

#[test]
fn no_secret_is_in_the_store() {
    let world = story::world("secret");
    story::tell(&world, 2);
    let pem = std::fs::read_to_string(world.path("evidence.pem")).unwrap();
    let body = pem.lines().nth(1).unwrap();
    assert!(!crate::world::any_file_holds(&world.path("store"), &body[24..]));
    assert!(!crate::world::any_file_holds(&world.path("store/evidence"), crate::world::PASSWORD));
}

//! What people mean by `latest`, and what a keep promises.

use std::collections::BTreeSet;

use drydock::run::{Entry, Event, Outcome, Phase, Plan, PlannedStep, StepKind};
use serde_json::{Value, json};

use crate::world::World;

const FILES: &str = "  data:\n  - {name: files, volume: {path: files}}\n";

#[test]
fn the_same_in_place_restore_again_does_not_bring_the_damage_back() {
    let world = World::new("latest", FILES);
    world.write("files/a", "as it should be");
    let good = world.json(&["snapshot"]);
    world.write("files/a", "damaged");
    for _ in 0..2 {
        let restored = world.run(&["restore", "--point", "latest", "--in-place", "--yes"]);
        assert_eq!(restored.code, 0, "{}", restored.stderr);
        assert_eq!(std::fs::read_to_string(world.path("files/a")).unwrap(), "as it should be");
    }
    let points = world.json(&["points"]);
    let reasons: Vec<bool> = points["points"].as_array().unwrap().iter().map(|p| p["reason"].is_string()).collect();
    assert_eq!(reasons, [true, true, false], "the safety points are listed");
    assert_eq!(world.json(&["points", "show", "latest"])["point"]["id"], good["point"]["id"]);
}

#[test]
fn a_keep_is_never_shortened_by_another() {
    let world = World::new("keep", FILES);
    world.write("files/a", "a");
    assert_eq!(world.run(&["snapshot"]).code, 0);
    let keep = |args: &[&str]| world.run(&[&["points", "keep", "latest", "--reason", "why"], args].concat());
    assert_eq!(keep(&["--until", "30d"]).code, 0);
    let longer = keep(&[]);
    assert_eq!(longer.code, 0, "{}", longer.stderr);
    assert!(longer.stdout.contains("is kept for ever: why\nit was kept until "), "{}", longer.stdout);
    let shorter = keep(&["--until", "1d"]);
    assert_eq!(shorter.code, 2);
    assert!(
        shorter.stderr.contains("is kept for ever by ") && shorter.stderr.contains("points unkeep"),
        "{}",
        shorter.stderr
    );
    assert!(world.json(&["points"])["points"][0]["kept"]["until"].is_null());
    assert_eq!(world.run(&["points", "unkeep", "latest"]).code, 0);
    assert_eq!(keep(&["--until", "1d"]).code, 0);
}

#[test]
fn points_are_found_and_kept_by_the_tags_that_people_gave_them() {
    let world = World::new("tags", FILES);
    world.write("files/a", "a");
    let take = |args: &[&str]| {
        let taken = world.json(&[&["snapshot"], args].concat());
        (taken["point"]["id"].as_str().unwrap().to_owned(), taken["tags"].clone())
    };
    let (before, tags) = take(&["--tag", "nightly", "--tag", "release=4.11"]);
    assert_eq!(tags, json!(["nightly", "release=4.11"]));
    let (nightly, _) = take(&["--tag", "nightly,größe,nightly"]);
    let (plain, tags) = take(&[]);
    assert_eq!(tags, json!([]));
    for (tag, why) in [("point=1", "drydock's own"), ("drydock", "drydock's own"), ("a b", "no tag"), ("", "no tag")] {
        let refused = world.run(&["snapshot", "--tag", tag]);
        assert!(refused.code == 2 && refused.stderr.contains(why), "`{tag}`: {}", refused.stderr);
    }

    // restic finds members and points by them.
    let found = |tags: &str| -> BTreeSet<String> {
        let listed = world.restic().run(&["snapshots", "--json", "--tag", tags]);
        let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
        let own = |snapshot: &Value| {
            let tags: Vec<&str> =
                snapshot["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
            let value = |key: &str| tags.iter().find_map(|tag| tag.strip_prefix(key)).unwrap_or("its point").to_owned();
            format!("{} {}", value("point="), value("data="))
        };
        listed.iter().map(own).collect()
    };
    let both = |point: &str| BTreeSet::from([format!("{point} files"), format!("{point} its point")]);
    assert_eq!(found("release=4.11"), both(&before));
    assert_eq!(found("nightly"), &both(&before) | &both(&nightly));
    assert_eq!(found("nightly,größe"), both(&nightly));

    let listed = |args: &[&str]| -> Vec<String> {
        let points = world.json(&[&["points"], args].concat())["points"].clone();
        points.as_array().unwrap().iter().map(|point| point["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&[]), [&*plain, &nightly, &before]);
    assert_eq!(listed(&["--tag", "nightly"]), [&*nightly, &before]);
    assert_eq!(listed(&["list", "--tag", "nightly,release=4.11"]), [&*before]);
    assert_eq!(listed(&["--tag", "release=4.11", "--tag", "größe"]), [&*nightly, &before]);
    assert_eq!(listed(&["--tag", "none"]), Vec::<String>::new());
    assert!(world.run(&["points"]).stdout.contains("tagged nightly, release=4.11"));
    assert!(world.run(&["points", "show", &before]).stdout.contains("tags          nightly, release=4.11\n"));
    assert_eq!(world.run(&["points", "--tag", "nightly", "show", &before]).code, 2);

    let fates = |plan: &Value| -> Vec<(String, bool, String)> {
        let one = |fate: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&fate["id"]), fate["keep"].as_bool().unwrap(), text(&fate["reasons"][0]))
        };
        plan["points"].as_array().unwrap().iter().map(one).collect()
    };
    let expected = [
        (plain.clone(), true, "last complete".to_owned()),
        (nightly, false, "no rule keeps it".to_owned()),
        (before.clone(), true, "has tags [nightly, release=4.11]".to_owned()),
    ];
    let rule = ["--keep-last", "1", "--keep-tag", "nightly,release=4.11"];
    assert_eq!(fates(&world.json(&[&["forget", "--dry-run"], &rule[..]].concat())), expected);
    world.write_document(&format!("{FILES}  retention: {{keepLast: 1, keepTags: [none, \"nightly,release=4.11\"]}}\n"));
    assert_eq!(fates(&world.json(&["forget"])), expected);
    assert_eq!(listed(&[]), [&*plain, &before]);
    world.write_document(&format!("{FILES}  retention: {{keepTags: [\"data=files\"]}}\n"));
    let refused = world.run(&["forget"]);
    assert!(
        refused.code == 2 && refused.stderr.contains("keepTags") && refused.stderr.contains("own tags"),
        "{}",
        refused.stderr
    );
}

/// A journal of a run that has succeeded, as a file beside the repository.
fn journal(operation: &str, step: &str, parameters: Value) -> String {
    let step = PlannedStep { name: step.into(), kind: StepKind::Reversible, parameters };
    let phase = Phase { name: step.name.clone(), steps: vec![step.clone()] };
    let plan = Plan::new(operation, &"shop".parse().unwrap(), vec![phase]);
    let events = [
        Event::Accepted { digest: plan.digest(), plan, by: "root@papg-0".into(), tool: "drydock 0.1.0".into() },
        Event::Adopted { holder: "PID 7 on papg-0".into(), token: 3, tool: "drydock 0.1.0".into() },
        Event::Intended { step: step.name.clone(), attempt: 1 },
        Event::Applied { step: step.name.clone(), output: Value::Null },
        Event::Verified { step: step.name.clone() },
        Event::Finished { outcome: Outcome::Succeeded },
    ];
    let time = "2026-01-01T00:00:00Z".parse().unwrap();
    let lines = (0..).zip(events).map(|(n, event)| serde_json::to_string(&Entry::new(n, time, event)).unwrap() + "\n");
    lines.collect()
}

#[test]
fn forget_removes_the_journals_of_restores_that_are_over_but_for_the_newest() {
    let world = World::new("journals", FILES);
    world.write("files/a", "a");
    let told = json!({"point": "0011223344556677", "safetyPoint": "8899aabbccddeeff", "roles": false, "allowGaps": false,
                      "data": [{"data": "files", "kind": "volume"}]});
    let exchanged = journal("restore", "exchange:files", told);
    let write = |run: &str, text: &str| world.write(&format!("store/runs/{run}.jsonl"), text);
    for n in 0..103 {
        let run = format!("restore-shop-{n:06}");
        write(&run, &exchanged);
        write(
            &format!("restore-discard-shop-{n:06}"),
            &journal("restore-discard", "discard:files", json!({"run": run})),
        );
    }
    write("restore-shop-200000", &exchanged); // what it replaced is kept
    // Whose removal was cut short.
    write("restore-discard-shop-1", &journal("restore-discard", "discard:files", json!({"run": "restore-shop-gone"})));
    assert_eq!(world.json(&["restore", "--list"])["kept"], json!([]), "nothing of it is there");
    assert_eq!(world.run(&["snapshot"]).code, 0);
    let mut old: Vec<String> =
        (0..3).flat_map(|n| ["restore", "restore-discard"].map(|word| format!("{word}-shop-{n:06}"))).collect();
    old.push("restore-discard-shop-1".into());
    assert_eq!(world.json(&["forget", "--keep-last", "1", "--dry-run"])["journals"], json!(old));
    let forgot = world.run(&["forget", "--keep-last", "1"]);
    assert!(forgot.code == 0 && forgot.stdout.contains("7 journals of old restores removed"), "{}", forgot.stdout);
    let is_there = |run: &str| world.path(&format!("store/runs/{run}.jsonl")).exists();
    assert!(!old.iter().any(|run| is_there(run)));
    for word in ["restore", "restore-discard"] {
        assert!((3..103).all(|n| is_there(&format!("{word}-shop-{n:06}"))));
    }
    assert!(is_there("restore-shop-200000"));
    assert_eq!(world.json(&["forget", "--keep-last", "1"])["journals"], json!([]));
}

#[test]
fn prune_clears_away_what_an_interrupted_write_has_left() {
    let world = World::new("sweep", FILES);
    world.write("files/a", "a");
    assert_eq!(world.run(&["snapshot"]).code, 0);
    let folder = world.path("store/repository/index");
    let (old, young) = (folder.join(".drydock-tmp-old"), folder.join(".drydock-tmp-young"));
    for path in [&old, &young] {
        std::fs::write(path, "half of it").unwrap();
    }
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 3600);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(yesterday).unwrap();
    let pruned = world.json(&["prune"]);
    assert_eq!((pruned["sweptObjects"].as_u64(), pruned["sweptBytes"].as_u64()), (Some(1), Some(10)));
    assert!(!old.exists() && young.exists());
}

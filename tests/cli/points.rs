//! What people mean by `latest`, and what a keep promises.

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

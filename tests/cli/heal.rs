//! Damage of the repository that the next snapshot makes good, judged by restic.

use std::path::PathBuf;
use std::process::Command;

use crate::support::run;
use crate::world::World;

const FILES: &str = "  data:\n  - {name: files, volume: {path: files}}\n";

fn world(name: &str) -> World {
    let world = World::new(name, FILES);
    for n in 0..40_u32 {
        let mut text = String::new();
        (0..3000_u32).for_each(|k| text += &format!("{} ", (n * 7919 + k).wrapping_mul(2_654_435_761)));
        world.write(&format!("files/folder-{}/{n}.txt", n % 4), text);
    }
    world
}

/// The packs of the repository, largest first: that of the files, then that of the trees.
fn packs(world: &World) -> Vec<PathBuf> {
    let said =
        run(Command::new("find").arg(world.path("store/repository/data")).args(["-type", "f", "-printf", "%s %p\n"]));
    let mut packs: Vec<(u64, PathBuf)> = said
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(bytes, path)| (bytes.parse().unwrap(), path.into()))
        .collect();
    packs.sort();
    packs.into_iter().rev().map(|(_, path)| path).collect()
}

/// restic brings the newest point's files back as they are.
fn restic_restores_it(world: &World) {
    let point = &world.json(&["points", "show", "latest"])["point"]["members"][0]["snapshot"];
    let target = world.path("by-restic");
    std::fs::remove_dir_all(&target).ok();
    world.restic().run(&["restore", point.as_str().unwrap(), "--target", target.to_str().unwrap()]);
    run(Command::new("diff").arg("-r").args([world.path("files"), target.join("files")]));
}

#[test]
fn a_snapshot_stores_again_what_lay_in_a_pack_that_is_gone_or_cut() {
    for (name, cut) in [("gone", false), ("cut", true)] {
        let world = world(name);
        let broken = world.json(&["snapshot"]);
        for pack in packs(&world) {
            match cut {
                true => std::fs::write(&pack, &std::fs::read(&pack).unwrap()[..100]).unwrap(),
                false => std::fs::remove_file(&pack).unwrap(),
            }
        }
        // What lists the points themselves is lost as well: the new one cannot build on the former.
        let again = world.run(&["snapshot"]);
        assert_eq!(again.code, 0, "{}", again.stderr);
        assert!(again.stderr.contains("packs are not in the store as the index says"), "{}", again.stderr);
        let checked = world.run(&["check", "--read-data", "-o", "json"]);
        let report: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
        let newest = &world.json(&["points", "show", "latest"])["point"]["id"];
        let touched = report["points"].as_array().unwrap();
        assert!(touched.iter().all(|point| point["id"] != *newest), "{}", checked.stdout);
        let target = world.path("by-drydock");
        assert_eq!(world.run(&["restore", "--point", "latest", "--to", target.to_str().unwrap()]).code, 0);
        // Until the index is told not to name what is gone, restic may look there first, for a quarter of an hour.
        assert_eq!(world.run(&["repair", "index"]).code, 20);
        restic_restores_it(&world);
        // The broken point lacks its own record's trees.
        let member = broken["point"]["members"][0]["snapshot"].as_str().unwrap();
        world.restic().run(&["forget", broken["snapshot"].as_str().unwrap(), member]);
        world.restic().run(&["check", "--read-data"]);
    }
}

#[test]
fn damage_that_only_reading_finds_is_repaired_by_what_check_says() {
    let world = world("flip");
    assert_eq!(world.run(&["snapshot"]).code, 0);
    let largest = packs(&world).remove(0);
    let mut bytes = std::fs::read(&largest).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let checked = world.run(&["check", "--read-data"]);
    assert_eq!(checked.code, 20);
    let pack = &largest.file_name().unwrap().to_str().unwrap()[..16];
    assert!(checked.stdout.contains("repair packs -f ") && checked.stdout.contains(pack), "{}", checked.stdout);
    let repaired = world.run(&["repair", "packs", pack]);
    assert_eq!(repaired.code, 20, "something is lost: {}", repaired.stdout);
    assert_eq!(world.run(&["snapshot"]).code, 0);
    restic_restores_it(&world);
    // The live files are as they were, so the former point is whole again as well.
    let checked = world.run(&["check", "--read-data"]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    assert_eq!(world.run(&["prune"]).code, 0);
    world.restic().run(&["check", "--read-data"]);
}

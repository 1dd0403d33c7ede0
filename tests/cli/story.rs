//! What a user does, from the first recovery point to the last.

use serde_json::{Value, json};

use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::world::World;

fn ids(world: &World) -> Vec<String> {
    let points = world.json(&["points"])["points"].as_array().unwrap().clone();
    points.iter().map(|point| point["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn points_of_a_folder_are_listed_kept_and_forgotten() {
    let world = World::new(
        "points",
        "  data:\n  - {name: files, volume: {path: files}}\n  - {name: more, volume: {path: more}}\n",
    );
    world.write("files/a", "hello");
    world.write("more/b", "there");
    let first = world.json(&["snapshot"]);
    assert_eq!((&first["state"], &first["point"]["omitted"]), (&json!("complete"), &json!([])));
    let kept = first["point"]["id"].as_str().unwrap();
    world.write("files/a", "hello again");
    let second = world.json(&["snapshot"])["point"]["id"].clone();
    let partial = world.json(&["snapshot", "--data", "more"]);
    assert_eq!((&partial["state"], &partial["point"]["omitted"]), (&json!("partial"), &json!(["files"])));
    assert_eq!(world.json(&["points", "show", "latest"])["point"]["id"], second, "a partial point is never latest");

    assert_eq!(world.json(&["points", "keep", &kept[..6], "--reason", "audit"])["kept"]["reason"], "audit");
    assert_eq!(world.json(&["points", "show", kept])["kept"]["reason"], "audit");
    let third = world.json(&["snapshot"])["point"]["id"].clone();
    let plan = world.json(&["forget", "--keep-last", "1", "--dry-run"]);
    let fates: Vec<(&Value, &Value)> =
        plan["points"].as_array().unwrap().iter().map(|fate| (&fate["id"], &fate["keep"])).collect();
    assert_eq!(
        fates,
        [
            (&third, &json!(true)),
            (&partial["point"]["id"], &json!(true)),
            (&second, &json!(false)),
            (&first["point"]["id"], &json!(true))
        ]
    );
    assert_eq!(ids(&world).len(), 4, "a dry run drops nothing");
    world.json(&["forget", "--keep-last", "1"]);
    assert_eq!(ids(&world), [third.as_str().unwrap(), partial["point"]["id"].as_str().unwrap(), kept]);
    world.json(&["points", "unkeep", kept]);
    world.json(&["forget", "--keep-last", "1"]);
    assert_eq!(ids(&world).len(), 2);
    world.restic().run(&["check", "--read-data"]);
}

#[test]
fn a_point_whose_member_is_gone_is_broken_and_never_latest() {
    let world = World::new("broken", "  data:\n  - {name: files, volume: {path: files}}\n");
    world.write("files/a", "hello");
    let whole = world.json(&["snapshot"])["point"]["id"].clone();
    let broken = world.json(&["snapshot"]);
    let member = broken["point"]["members"][0]["snapshot"].as_str().unwrap();
    world.restic().run(&["forget", member]); // stock restic knows no points
    let points = world.json(&["points"]);
    assert_eq!((&points["points"][0]["state"], &points["points"][1]["state"]), (&json!("broken"), &json!("complete")));
    assert_eq!(points["points"][0]["why"], "the snapshot of files is missing");
    assert_eq!(world.json(&["points", "show", "latest"])["point"]["id"], whole);
    let checked = world.run(&["check", "-o", "json"]);
    assert_eq!(checked.code, 20);
    let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        (&checked["points"][0]["id"], &checked["points"][0]["data"]),
        (&broken["point"]["id"], &json!(["files"]))
    );
}

#[test]
fn leftovers_of_a_run_that_was_cut_off_go_with_forget() {
    let world = World::new("strays", "  data:\n  - {name: files, volume: {path: files}}\n");
    world.write("files/a", "hello");
    world.json(&["snapshot"]);
    let cut = world.json(&["snapshot"]);
    world.restic().run(&["forget", cut["snapshot"].as_str().unwrap()]); // as if the point had never been saved
    assert_eq!(world.json(&["points"])["strays"], 1);
    assert_eq!(ids(&world).len(), 1);
    world.json(&["forget", "--keep-last", "5"]);
    assert_eq!(world.json(&["points"])["strays"], 0);
    assert_eq!(ids(&world).len(), 1);
}

#[test]
fn a_database_a_cache_and_a_folder_make_one_point() {
    let (postgres, redis) = (Postgres::start("15"), Redis::start("7.0"));
    postgres.create_database("shop");
    postgres.psql("shop", "create table items (id int primary key, name text); insert into items select n, 'item ' || n from generate_series(1, 1000) n");
    redis.cli(&["set", "greeting", "hello"]);
    let spec = format!(
        "  data:\n  - {{name: cache, redis: {{host: 127.0.0.1, port: {}}}}}\n  - {{name: files, volume: {{path: files}}}}\n  - {{name: db, \
         postgres: {{host: 127.0.0.1, port: {}, database: shop, user: postgres}}}}\n",
        redis.port, postgres.port
    );
    let world = World::new("three", &spec);
    world.write("files/a", "hello");
    let doctor = world.run(&["doctor"]);
    assert!(matches!(doctor.code, 0 | 3), "{}{}", doctor.stdout, doctor.stderr);
    let taken = world.json(&["snapshot"]);
    let names: Vec<&str> =
        taken["point"]["members"].as_array().unwrap().iter().map(|m| m["data"].as_str().unwrap()).collect();
    assert_eq!(names, ["db", "files", "cache"], "databases first, caches last");
    let expected = world.json(&["snapshot", "--dry-run"]);
    assert!(expected["expectedMs"].as_u64().is_some(), "the last point's rate tells the time: {expected}");
    world.restic().run(&["check", "--read-data"]);
    postgres.psql("shop", "update items set name = 'other' where id = 1; create table more (a int)");
    redis.cli(&["set", "another", "key"]);
    world.write("files/a", "hello again");
    world.write("files/new/b", "there");
    world.json(&["snapshot"]);
    let former = taken["point"]["id"].as_str().unwrap();
    let diff = world.json(&["points", "diff", former, "latest"]);
    let said: Vec<String> = diff["data"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|set| set["changes"].as_array().unwrap())
        .map(|change| format!("{} {}", change["how"].as_str().unwrap(), change["what"].as_str().unwrap()))
        .collect();
    assert_eq!(
        said,
        [
            "changed table shop.public.items",
            "added table shop.public.more",
            "changed a",
            "added new",
            "added new/b",
            "changed database 0"
        ]
    );
    assert!(world.run(&["points", "diff", "latest", "latest"]).stdout.contains("db: the same"));
    let target = world.path("by-hand");
    for member in taken["point"]["members"].as_array().unwrap() {
        world.restic().run(&["restore", member["snapshot"].as_str().unwrap(), "--target", target.to_str().unwrap()]);
    }
    assert_eq!(std::fs::read(target.join("files/a")).unwrap(), b"hello");
    for file in ["db/manifest.json", "db/globals.sql", "cache/dump.rdb", "cache/manifest.json"] {
        assert!(target.join(file).is_file(), "{file}");
    }
}

//! Bringing back: beside, in new databases, in place; verified, or refused and nothing changed.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use drydock::context::Context;
use drydock::operation::{Found, Order, Request, RestoreRequest, lead, learned, run_id};
use drydock::point::{Home, load};
use drydock::restore::{Options, Target};
use drydock::run::{Lease, Scope, Stop};
use drydock::stack::Stack;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{run, wait_until};
use crate::world::World;

/// A shop: a database, a cache, a folder; one recovery point of it, and then damage to all three.
struct Shop {
    world: World,
    postgres: Postgres,
    redis: Redis,
    point: String,
    /// The packs that the folder's snapshot added to those of the database and the cache.
    packs_of_files: Vec<PathBuf>,
    /// The packs that the point added, the largest with its RDB: no two are the same, because they hold the time.
    packs_of_point: Vec<PathBuf>,
    dump: String,
    digest: String,
}

impl Shop {
    fn damaged(name: &str) -> Self {
        let (postgres, redis) = (Postgres::start("15"), Redis::start("7.0"));
        postgres.create_database("shop");
        postgres.psql(
            "shop",
            "create table items (id int primary key, name text); \
             insert into items select n, 'item ' || n from generate_series(1, 1000) n",
        );
        redis.cli(&["set", "greeting", "hello"]);
        redis.cli(&["debug", "populate", "3000", "key", "50"]);
        let spec = format!(
            "  data:\n  - {{name: cache, redis: {{host: 127.0.0.1, port: {}}}}}\n  - {{name: files, volume: {{path: files}}}}\n  \
             - {{name: db, postgres: {{host: 127.0.0.1, port: {}, database: shop, user: postgres}}}}\n",
            redis.port, postgres.port
        );
        let world = World::new(name, &spec);
        world.folder.holds_damage();
        world.write("files/a", "hello");
        world.write("files/deep/b", vec![7; 3 << 20]);
        let (dump, digest) = (postgres.pg_dump("shop", &[]), redis.digest());
        let since = |former: &[PathBuf]| packs(&world).into_iter().filter(|pack| !former.contains(pack)).collect();
        world.json(&["snapshot", "--data", "db,cache"]);
        let former = packs(&world);
        world.json(&["snapshot", "--data", "files"]);
        let packs_of_files = since(&former);
        let former = packs(&world);
        let point = world.json(&["snapshot"])["point"]["id"].as_str().unwrap().to_owned();
        let packs_of_point = since(&former);
        run(Command::new("cp").arg("-a").arg(world.path("files")).arg(world.path("truth")));

        postgres.psql("shop", "delete from items where id % 3 = 0; update items set name = 'oops' where id = 1");
        redis.cli(&["flushall"]);
        redis.cli(&["set", "wrong", "key"]);
        std::fs::write(world.path("files/a"), "damaged").unwrap();
        std::fs::remove_file(world.path("files/deep/b")).unwrap();
        Self { world, postgres, redis, point, packs_of_files, packs_of_point, dump, digest }
    }

    fn all_is_back(&self) {
        assert_eq!(self.postgres.pg_dump("shop", &[]), self.dump);
        assert_eq!(self.redis.digest(), self.digest);
        self.files_are_back();
    }

    fn files_are_back(&self) {
        let (truth, files) = (self.world.path("truth"), self.world.path("files"));
        run(Command::new("diff").args(["-r", "--exclude=.drydock"]).arg(truth).arg(files));
    }

    fn live(&self) -> (String, String, String) {
        let file = std::fs::read_to_string(self.world.path("files/a")).unwrap();
        (self.postgres.pg_dump("shop", &[]), self.redis.digest(), file)
    }
}

fn packs(world: &World) -> Vec<PathBuf> {
    let listed = run(Command::new("find").arg(world.path("store")).args(["-path", "*/data/*", "-type", "f"]));
    listed.lines().map(PathBuf::from).collect()
}

#[test]
fn the_files_of_a_point_go_into_a_folder() {
    let shop = Shop::damaged("to");
    let before = shop.live();
    let target = shop.world.path("look");
    let report = shop.world.json(&["restore", "--point", "latest", "--to", target.to_str().unwrap()]);
    assert_eq!(report["data"].as_array().unwrap().len(), 3);
    run(Command::new("diff").arg("-r").arg(shop.world.path("truth")).arg(target.join("files")));
    assert!(target.join("db/manifest.json").is_file() && target.join("cache/dump.rdb").is_file());
    assert_eq!(shop.live(), before, "what is live was not touched");
    let dry = shop.world.run(&["restore", "--point", "latest", "--to", target.to_str().unwrap(), "--dry-run"]);
    assert!(dry.code == 2 && dry.stdout.contains("REFUSED"), "and a dry run says so: {}", dry.stdout);
    let again = shop.world.run(&["restore", "--point", "latest", "--to", target.to_str().unwrap()]);
    assert_eq!(again.code, 2, "a folder that holds something is refused: {}", again.stderr);
    let one = shop.world.path("one");
    shop.world.json(&["restore", "--point", &shop.point[..8], "--data", "files", "--to", one.to_str().unwrap()]);
    let entries: Vec<_> = std::fs::read_dir(&one).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(entries, ["files"]);
}

/// What fails is told, and nothing of it is left but what was there before.
#[test]
fn a_restore_to_a_folder_that_fails_leaves_what_was_there() {
    let shop = Shop::damaged("to-fails");
    let before = shop.live();
    damage(&shop.packs_of_files, 100);
    let (folder, target) = (shop.world.path("somebodys"), shop.world.path("somebodys").display().to_string());
    std::fs::create_dir_all(folder.join("files")).unwrap();
    std::fs::write(folder.join("mine"), "mine").unwrap();
    let refused = shop.world.run(&["restore", "--point", "latest", "--to", &target]);
    assert_eq!(refused.code, 20, "{}{}", refused.stdout, refused.stderr);
    let said = "cannot restore the data set `files`; what it had made is removed again";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    let mut left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["files", "mine"], "the database's files went before it, and are gone again");
    assert_eq!(std::fs::read_dir(folder.join("files")).unwrap().count(), 0);
    assert_eq!(shop.live(), before);

    let runs = shop.world.json(&["runs"]);
    let run = &runs["runs"][0];
    assert_eq!((&run["kind"], &run["standing"]), (&json!("restore-copy"), &json!("failed")), "{runs}");
    let shown = shop.world.run(&["runs", "show", run["run"].as_str().unwrap()]);
    for step in ["fill:db", "fill:files", "fill:cache", "release"] {
        assert!(shown.stdout.contains(step), "{step}: {}", shown.stdout);
    }
    // What is not damaged can be had.
    shop.world.json(&["restore", "--point", "latest", "--data", "db,cache", "--to", &target]);
    assert!(folder.join("db/manifest.json").is_file() && folder.join("cache/dump.rdb").is_file());
    assert_eq!(std::fs::read_to_string(folder.join("mine")).unwrap(), "mine");
}

fn newest_record(world: &World) -> Value {
    world.json(&["evidence", "show", "latest"])
}

#[test]
fn each_restore_leaves_one_signed_record_of_what_it_compared() {
    let shop = Shop::damaged("evidence");
    shop.world.sign("  objectives: {rto: 1h}\n");
    let target = shop.world.path("look").display().to_string();
    let looked = shop.world.json(&["restore", "--point", "latest", "--to", &target]);
    assert_eq!(looked["evidence"]["number"], 1, "{looked}");
    let shown = newest_record(&shop.world);
    let record = &shown["record"];
    assert_eq!((&record["kind"], &record["outcome"]), (&json!("restore"), &json!("passed")), "{record}");
    assert_eq!((&record["run"], &record["point"]["id"]), (&looked["run"], &json!(shop.point)), "{record}");
    let compared = |record: &Value, data: &str| -> Value {
        let sets = record["data"].as_array().unwrap();
        sets.iter().find(|set| set["data"] == data).unwrap()["comparison"]["compared"].clone()
    };
    assert_eq!(compared(record, "files")["bytes"], (3 << 20) + 5, "{record}");
    let parts: Vec<&str> =
        record["achieved"]["parts"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect();
    assert_eq!(parts, ["fill:db", "fill:files", "fill:cache", "release"]);
    assert!(record["achieved"]["rtoMs"].as_u64().unwrap() > 0, "{record}");

    let beside = shop.world.json(&["restore", "--point", "latest", "--to-database", "shop_before"]);
    let record = &newest_record(&shop.world)["record"];
    assert_eq!((&record["run"], &record["outcome"]), (&beside["run"], &json!("passed")));
    assert_eq!(compared(record, "db")["rows"], 1000, "{record}");
    assert_eq!(record["data"].as_array().unwrap().len(), 1, "what was not restored is not proven: {record}");

    let replaced = shop.world.run(&["restore", "--point", &shop.point, "--in-place", "--yes"]);
    assert!(replaced.code == 0 && replaced.stdout.contains("evidence: record 3 of the chain"), "{}", replaced.stdout);
    shop.all_is_back();
    let record = &newest_record(&shop.world)["record"];
    assert_eq!(record["data"].as_array().unwrap().len(), 3);
    for (data, of, count) in [("db", "rows", 1000), ("files", "files", 2), ("cache", "keys", 3001)] {
        assert_eq!(compared(record, data)[of], count, "{data}: {record}");
    }
    let shown = shop.world.run(&["evidence", "show", "latest"]);
    for said in ["record 3 of shop: restore passed\n", "within the objective of 1h", "hand-over:cache"] {
        assert!(shown.stdout.contains(said), "{said}: {}", shown.stdout);
    }

    // What fails is told as well, without what a server or a file said.
    let before = shop.live();
    damage(&shop.packs_of_files, 100);
    let failing: [&[&str]; 2] = [&["--to", &target, "--allow-not-empty"], &["--in-place", "--yes"]];
    for (n, to) in failing.into_iter().enumerate() {
        let failed = shop.world.run(&[&["restore", "--point", &shop.point], to].concat());
        assert_eq!(failed.code, 20, "{}", failed.stderr);
        let shown = newest_record(&shop.world);
        let record = &shown["record"];
        assert_eq!((&shown["number"], &record["outcome"]), (&json!(4 + n), &json!("failed")), "{record}");
        let reasons = record["reasons"].as_array().unwrap();
        assert_eq!((reasons.len(), &reasons[0]["category"]), (1, &json!("not-restored")), "{record}");
        assert_eq!(reasons[0]["data"], "files", "{record}");
        assert_eq!(record["achieved"]["rtoMs"], Value::Null, "{record}");
    }
    assert_eq!(shop.live(), before);
    assert_eq!(shop.world.json(&["evidence", "verify", "--all"])["records"], 5);
    let page = shop.world.path("page.html");
    shop.world.json(&["evidence", "export", "--html", page.to_str().unwrap()]);
    let page = std::fs::read_to_string(page).unwrap();
    for said in ["restore", "files could not be brought back", "hand-over:cache"] {
        assert!(page.contains(said), "{said}");
    }
}

/// Without a key that can sign nothing is begun; one that is lost meanwhile keeps a run open, which is gone on with.
#[test]
fn a_restore_whose_evidence_cannot_be_signed_is_not_begun() {
    let world = World::new("no-key", "  data:\n  - {name: files, volume: {path: files}}\n");
    world.write("files/a", "point");
    world.json(&["snapshot"]);
    world.sign("");
    world.write("files/a", "live");
    let key = std::fs::read(world.path("evidence.pem")).unwrap();
    std::fs::remove_file(world.path("evidence.pem")).unwrap();
    let target = world.path("look").display().to_string();
    let runs = |world: &World| world.json(&["runs"])["all"].clone();
    let before = runs(&world);
    for to in [&["--to", &target][..], &["--in-place", "--yes"]] {
        let refused = world.run(&[&["restore", "--point", "latest"], to].concat());
        assert!(refused.code != 0 && refused.stderr.contains("the key that signs evidence"), "{}", refused.stderr);
    }
    assert_eq!(runs(&world), before);
    assert!(!world.path("look").exists());
    assert_eq!(std::fs::read_to_string(world.path("files/a")).unwrap(), "live");

    // The stack's own command before it goes live takes the key away.
    std::fs::write(world.path("evidence.pem"), &key).unwrap();
    let document = std::fs::read_to_string(world.path("stack.yaml")).unwrap();
    let hook = format!("hooks: {{beforeLive: [{{run: [rm, {}]}}]}}", world.path("evidence.pem").display());
    let hooked = document.replace("volume: {path: files}}", &format!("volume: {{path: files}}, {hook}}}"));
    assert_ne!(hooked, document);
    std::fs::write(world.path("stack.yaml"), hooked).unwrap();
    let open = world.run(&["restore", "--point", "latest", "--in-place", "--yes"]);
    let said = "all is restored and as recorded, but the evidence of the restore ";
    assert!(open.code == 30 && open.stderr.contains(said) && open.stderr.contains("runs resume "), "{}", open.stderr);
    assert_eq!(std::fs::read_to_string(world.path("files/a")).unwrap(), "point");
    assert_eq!(world.json(&["restore", "--list"])["kept"][0]["unfinished"], false, "what is live is whole");
    std::fs::write(world.path("evidence.pem"), &key).unwrap();
    let waits = world.json(&["runs", "--open"])["runs"][0].clone();
    assert_eq!((&waits["kind"], &waits["standing"]), (&json!("restore"), &json!("waiting")), "{waits}");
    world.json(&["runs", "resume", waits["run"].as_str().unwrap()]);
    let record = &newest_record(&world)["record"];
    assert_eq!((&record["kind"], &record["outcome"]), (&json!("restore"), &json!("passed")), "{record}");
    assert_eq!(world.json(&["evidence", "list"])["records"].as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_to_string(world.path("files/a")).unwrap(), "point");
}

/// Two people look at a point at the same time, while a third takes the next one.
#[test]
fn a_restore_beside_needs_no_right_to_act_on_the_stack() {
    let shop = Shop::damaged("beside-act");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let home = Home::open(Stack::load(&shop.world.path("stack.yaml")).unwrap()).await.unwrap();
        let cx = Context::default();
        let act =
            Lease::acquire(&home.store, Scope::Act, "snapshot-shop-1", Duration::ZERO, &cx, |_| ()).await.unwrap();
        let look = shop.world.path("look").display().to_string();
        shop.world.json(&["restore", "--point", "latest", "--to", &look, "--lock-wait", "0s"]);
        let copy = Lease::acquire(&home.store, Scope::Copy, "restore-copy-shop-1", Duration::ZERO, &cx, |_| ()).await;
        let second = shop.world.path("second").display().to_string();
        let held = shop.world.run(&["restore", "--point", "latest", "--to", &second, "--lock-wait", "0s"]);
        assert!(held.code == 11 && held.stderr.contains("is at the run restore-copy-shop-1"), "{}", held.stderr);
        assert!(!shop.world.path("second").exists());
        copy.unwrap().release().await.unwrap();
        act.release().await.unwrap();
    });
}

#[test]
fn a_database_goes_beside_the_live_one() {
    let shop = Shop::damaged("beside");
    let before = shop.live();
    let report = shop.world.json(&["restore", "--point", "latest", "--to-database", "shop_before"]);
    assert_eq!(report["data"][0]["comparison"]["differenceCount"], 0);
    assert_eq!(report["data"][0]["comparison"]["compared"]["rows"], 1000);
    assert_eq!(shop.postgres.pg_dump("shop_before", &[]), shop.dump);
    assert_eq!(shop.live(), before);
    let refused = shop.world.run(&["restore", "--point", "latest", "--to-database"]);
    assert_eq!(refused.code, 2, "the live one is not empty: {}", refused.stderr);
    shop.world.json(&["restore", "--point", "latest", "--data", "db", "--to-database", "shop=shop_again"]);
    assert_eq!(shop.postgres.pg_dump("shop_again", &[]), shop.dump);
    let unknown = shop.world.run(&["restore", "--point", "latest", "--data", "files", "--to-database"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("which is no database"), "{}", unknown.stderr);
}

#[test]
fn everything_is_replaced_in_place_and_the_former_kept() {
    let shop = Shop::damaged("in-place");
    let before = shop.live();
    let plan = shop.world.json(&["restore", "--point", "latest", "--in-place", "--dry-run"]);
    assert_eq!((plan["safetyPoint"].as_bool(), plan["data"].as_array().unwrap().len()), (Some(true), 3));
    let asked = shop.world.run(&["restore", "--point", "latest", "--in-place"]);
    assert!(asked.code == 2 && asked.stderr.contains("--yes"), "without a terminal it refuses: {}", asked.stderr);
    assert_eq!(shop.live(), before, "neither has changed anything");

    let report = shop.world.json(&["restore", "--point", &shop.point, "--in-place", "--yes"]);
    shop.all_is_back();
    let formers: Vec<&Value> =
        report["data"].as_array().unwrap().iter().flat_map(|set| set["formers"].as_array().unwrap()).collect();
    assert_eq!(formers.len(), 2, "a database and a folder: {formers:?}");
    let former = formers.iter().find(|former| former["kind"] == "database").unwrap()["name"].as_str().unwrap();
    shop.postgres.psql("postgres", &format!("alter database \"{former}\" allow_connections true"));
    assert_eq!(shop.postgres.pg_dump(former, &[]), before.0, "what was live is kept");

    let points = shop.world.json(&["points"]);
    assert_eq!(points["points"][0]["id"], report["safetyPoint"]);
    assert!(points["points"][0]["reason"].as_str().unwrap().starts_with("safety before restore-shop-"), "{points}");
    shop.world.restic().run(&["check", "--read-data"]);

    let run = report["run"].as_str().unwrap();
    let kept = shop.world.json(&["restore", "--list"]);
    assert_eq!((&kept["kept"][0]["run"], &kept["kept"][0]["unfinished"]), (&json!(run), &json!(false)));
    let undone = shop.world.json(&["restore", "--undo", run, "--yes"]);
    assert_eq!(std::fs::read_to_string(shop.world.path("files/a")).unwrap(), "damaged");
    assert_eq!(shop.postgres.pg_dump("shop", &[]), before.0);
    let cache = undone["data"].as_array().unwrap().iter().find(|one| one["data"] == "cache").unwrap();
    let safety = report["safetyPoint"].as_str().unwrap();
    assert!(cache["live"] == "restored" && cache["note"].as_str().unwrap().contains(safety), "{undone}");
    shop.world.json(&["restore", "--discard", run, "--yes"]);
    assert_eq!(shop.world.json(&["restore", "--list"])["kept"], json!([]));
    assert!(!shop.world.path("files/.drydock").exists());
    let databases = shop.postgres.psql("postgres", "select datname from pg_database where datname like 'shop%'");
    assert_eq!(databases, "shop", "the kept database is gone, too");
}

/// The largest of `packs` is that of the content; trees and manifests are small.
fn damage(packs: &[PathBuf], every: usize) {
    let largest = packs.iter().max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(largest).unwrap();
    (bytes.len() / 2..bytes.len() - bytes.len() / 4).step_by(every).for_each(|at| bytes[at] ^= 1);
    std::fs::write(largest, bytes).unwrap();
}

#[test]
fn a_damaged_rdb_is_found_before_any_other_data_set_is_replaced() {
    let shop = Shop::damaged("rdb");
    let before = shop.live();
    damage(&shop.packs_of_point, 1_000_000);
    let refused = shop.world.run(&["restore", "--point", "latest", "--in-place", "--yes"]);
    assert_eq!(refused.code, 20, "{}", refused.stderr);
    let said = "cannot restore the data set `cache`; nothing live was changed";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    assert_eq!(shop.live(), before);
    assert!(!shop.world.path("files/.drydock").exists());
    let databases = shop.postgres.psql("postgres", "select datname from pg_database where datname like 'shop%'");
    assert_eq!(databases, "shop", "nothing is left beside");
}

#[test]
fn what_is_damaged_in_the_repository_replaces_nothing() {
    let shop = Shop::damaged("damaged");
    let before = shop.live();
    // Only the folder's content: the database is filled and verified, and waits, when the folder turns out damaged.
    damage(&shop.packs_of_files, 100);
    let target = shop.world.path("must-fail");
    let refused = shop.world.run(&["restore", "--point", "latest", "--to", target.to_str().unwrap(), "-o", "json"]);
    assert_eq!((refused.code, refused.report()["category"].as_str()), (20, Some("integrity")), "{}", refused.stderr);
    let refused = shop.world.run(&["restore", "--point", "latest", "--in-place", "--yes"]);
    assert_eq!(refused.code, 20, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("cannot restore the data set `files`; nothing live was changed"),
        "{}",
        refused.stderr
    );
    assert_eq!(shop.live(), before);
    assert!(!shop.world.path("files/.drydock").exists());
    let databases = shop.postgres.psql("postgres", "select datname from pg_database where datname like 'shop%'");
    assert_eq!(databases, "shop", "nothing is left beside");
}

/// Rails' tables and a folder of its disk service: one blob as it should be, one whose file is missing; a recovery point.
struct Rails {
    world: World,
    postgres: Postgres,
    taken: Value,
}

impl Rails {
    fn new(name: &str) -> Self {
        let postgres = Postgres::start("15");
        postgres.create_database("rails");
        postgres.create_database("other");
        postgres.psql(
            "rails",
            "create table active_storage_blobs (id bigserial primary key, key varchar not null unique, filename varchar not null, \
             content_type varchar, metadata text, service_name varchar not null default 'local', byte_size bigint not null, \
             checksum varchar, created_at timestamp not null default now()); \
             create table active_storage_attachments (id bigserial primary key, name varchar not null, record_type varchar not null, \
             record_id bigint not null, blob_id bigint not null, created_at timestamp not null default now()); \
             create table active_storage_variant_records (id bigserial primary key, blob_id bigint not null, variation_digest varchar not null); \
             insert into active_storage_blobs (key, filename, byte_size, checksum) values \
             ('abcd1', 'a.txt', 5, 'XUFAKrxLKna5cZ2REBfFkg=='), ('efgh2', 'b.txt', 7, 'AAAAAAAAAAAAAAAAAAAAAA=='); \
             insert into active_storage_attachments (name, record_type, record_id, blob_id) values ('f', 'M', 1, 1), ('f', 'M', 2, 2)",
        );
        let spec = format!(
            "  data:\n  - {{name: files, volume: {{path: files}}}}\n  - {{name: db, postgres: {{host: 127.0.0.1, port: {}, \
             databases: [other, rails], user: postgres}}}}\n  references:\n  - activeStorage: {{database: db, databaseName: rails, \
             volume: files}}\n",
            postgres.port
        );
        let world = World::new(name, &spec);
        world.write("files/ab/cd/abcd1", "hello");
        let taken = world.run(&["snapshot", "-o", "json"]);
        assert_eq!(taken.code, 3, "complete, with a gap to know of: {}{}", taken.stdout, taken.stderr);
        let taken = serde_json::from_str(&taken.stdout).unwrap();
        Self { world, postgres, taken }
    }

    fn point(&self) -> &str {
        self.taken["point"]["id"].as_str().unwrap()
    }

    /// The exit code, the report, and what was said of a failure.
    fn restore(&self, args: &[&str]) -> (i32, Value, String) {
        let ran = self.world.run(&[&["restore", "--in-place", "--yes", "-o", "json"], args].concat());
        let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", ran.stdout, ran.stderr));
        (ran.code, report, ran.stderr)
    }
}

#[test]
fn rows_without_their_file_are_named_recorded_and_no_failure_of_a_restore() {
    let rails = Rails::new("references");
    let (world, taken) = (&rails.world, &rails.taken);
    assert_eq!(taken["state"], "complete");
    let gaps = &taken["point"]["references"][0]["gaps"];
    assert_eq!((gaps.as_array().unwrap().len(), &gaps[0]["what"]), (1, &json!("missing")), "{gaps}");
    assert!(gaps[0]["row"].as_str().unwrap().contains('2') && gaps[0]["file"] == "ef/gh/efgh2", "{gaps}");
    assert!(world.run(&["points", "show", "latest"]).stdout.contains("ef/gh/efgh2: missing"));

    let (code, known, said) = rails.restore(&["--point", rails.point()]);
    assert_eq!(code, 0, "{said}");
    let compared = &known["references"][0]["comparison"];
    assert_eq!(compared["differenceCount"], 0, "a gap that was recorded is none now");
    assert_eq!(taken["point"]["references"][0]["summary"]["checksumsComputed"], 1);
    assert_eq!(compared["compared"]["checksumsComputed"], 0, "what the point verified is not read again");
    assert_eq!(compared["compared"]["referencedFiles"], 1);
}

#[test]
fn a_gap_that_the_point_did_not_record_keeps_it_from_going_live() {
    let rails = Rails::new("new-gap");
    let psql = |sql: &str| rails.postgres.psql("rails", sql);
    // Nothing that is live needs the file; the rows of the point do.
    std::fs::remove_file(rails.world.path("files/ab/cd/abcd1")).unwrap();
    psql("delete from active_storage_attachments; update active_storage_blobs set filename = 'live'");
    let only_rows = ["--point", rails.point(), "--data", "db"];
    let (code, report, said) = rails.restore(&only_rows);
    assert_eq!(code, 20, "the rows would come back, their file would not: {report}{said}");
    let differences = &report["references"][0]["comparison"]["differences"];
    assert_eq!(differences.as_array().unwrap().len(), 1, "the other was missing then, too: {differences}");
    assert!(differences[0]["what"].as_str().unwrap().ends_with("ab/cd/abcd1"), "{differences}");
    assert!(said.contains("as it was before") && said.contains("--allow-gaps"), "{said}");
    assert_eq!(psql("select string_agg(distinct filename, ' ') from active_storage_blobs"), "live");
    let databases =
        "select string_agg(datname, ' ' order by datname) from pg_database where datname ~ '^(rails|other)'";
    assert_eq!(psql(databases), "other rails", "nothing is left beside");
    assert_eq!(rails.world.json(&["restore", "--list"])["kept"], json!([]));

    let (code, _, said) = rails.restore(&[&only_rows[..], &["--allow-gaps"]].concat());
    assert_eq!(code, 20, "{said}");
    assert!(said.contains("it is live") && said.contains("--undo"), "{said}");
    assert_eq!(psql("select string_agg(filename, ' ' order by id) from active_storage_blobs"), "a.txt b.txt");

    // Rows and files together are as they were.
    let (code, _, said) = rails.restore(&["--point", rails.point()]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(std::fs::read_to_string(rails.world.path("files/ab/cd/abcd1")).unwrap(), "hello");

    // A point of the rows alone compared nothing, so it knows neither gaps nor checksums.
    let rows = rails.world.json(&["snapshot", "--data", "db"])["point"]["id"].as_str().unwrap().to_owned();
    let (code, report, said) = rails.restore(&["--point", &rows]);
    assert_eq!(code, 20, "{said}");
    let compared = &report["references"][0]["comparison"];
    assert!(compared["differences"][0]["what"].as_str().unwrap().ends_with("ef/gh/efgh2"), "{compared}");
    assert_eq!(compared["compared"]["checksumsComputed"], 1);
}

/// The cache holds what was recorded, and a crash of its server would bring back what it held before: a person must know.
#[test]
fn a_cache_that_is_back_but_not_on_its_disk_is_a_warning() {
    let redis = Redis::start_with("7.0", &["--save", "3600 1"]);
    redis.cli(&["set", "greeting", "hello"]);
    let spec = format!("  data:\n  - {{name: cache, redis: {{host: 127.0.0.1, port: {}}}}}\n", redis.port);
    let world = World::new("not-on-disk", &spec);
    let digest = redis.digest();
    world.json(&["snapshot"]);
    redis.cli(&["set", "greeting", "gone"]);
    // Where the server would rename its file to there is a folder.
    std::fs::create_dir_all(redis.dir().join("dump.rdb/in-the-way")).unwrap();
    let restored = world.run(&["restore", "--point", "latest", "--in-place", "--yes", "-o", "json"]);
    assert_eq!(restored.code, 3, "{}{}", restored.stdout, restored.stderr);
    assert_eq!(redis.digest(), digest, "all is as recorded");
    let report: Value = serde_json::from_str(&restored.stdout).unwrap();
    let set = &report["data"][0];
    assert_eq!((&set["promoted"], &set["comparison"]["differenceCount"]), (&json!(true), &json!(0)));
    let warnings = set["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].as_str().unwrap().starts_with("the server did not save its RDB ("), "{warnings:?}");
    assert!(warnings[0].as_str().unwrap().ends_with("`BGSAVE`"), "{warnings:?}");
    assert_eq!(world.json(&["restore", "--list"])["kept"], json!([]), "it is finished");

    let again = world.run(&["restore", "--point", "latest", "--in-place", "--yes"]);
    assert!(again.code == 3 && again.stdout.contains("  WARNING: the server did not save its RDB"), "{}", again.stdout);
    std::fs::remove_dir_all(redis.dir().join("dump.rdb")).unwrap();
    assert_eq!(world.run(&["restore", "--point", "latest", "--in-place", "--yes"]).code, 0);
}

/// What the stack's people want to do while all is verified and nothing is live, such as stopping what writes.
#[test]
fn the_stacks_own_command_comes_before_anything_is_live_and_can_keep_it_from_that() {
    let world = World::new("before-live", "  data:\n  - {name: files, volume: {path: files}}\n");
    let path = |name: &str| world.path(name).display().to_string();
    // It writes down what is live, what waits beside it, and for which point it was called.
    let script = format!(
        "cat {0}/a {0}/.drydock/*/new/a > {1}; echo $DRYDOCK_HOOK $DRYDOCK_DATA $DRYDOCK_POINT >> {1}; test ! -e {2}",
        path("files"),
        path("told"),
        path("refuse")
    );
    world.write("hook.sh", script);
    world.write_document(&format!(
        "  data:\n  - name: files\n    volume: {{path: files}}\n    hooks: {{beforeLive: [{{run: [sh, {}]}}]}}\n",
        path("hook.sh")
    ));
    world.write("files/a", "point,");
    let point = world.json(&["snapshot"])["point"]["id"].as_str().unwrap().to_owned();
    world.write("files/a", "former,");
    world.write("refuse", "");
    let dry = world.run(&["restore", "--point", &point, "--in-place", "--dry-run"]);
    assert!(dry.code == 0 && dry.stdout.contains("hook beforeLive of files: sh "), "{}{}", dry.stdout, dry.stderr);
    assert!(!world.path("told").exists(), "a dry run runs none");

    let refused = world.run(&["restore", "--point", &point, "--in-place", "--yes"]);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    assert!(refused.stderr.contains("beforeLive") && refused.stderr.contains("files"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(world.path("files/a")).unwrap(), "former,");
    assert!(!world.path("files/.drydock").exists(), "nothing is left beside");

    std::fs::remove_file(world.path("refuse")).unwrap();
    world.json(&["restore", "--point", &point, "--in-place", "--yes"]);
    assert_eq!(std::fs::read_to_string(world.path("files/a")).unwrap(), "point,");
    let told = std::fs::read_to_string(world.path("told")).unwrap();
    assert_eq!(told, format!("former,point,beforeLive files {point}\n"));
}

/// A restore asks a person, which takes minutes, between its first look at the repository and its lock.
#[test]
fn what_was_read_before_the_lock_is_read_again_under_it() {
    let world = World::new("stale", "  data:\n  - {name: files, volume: {path: files}}\n");
    let noise = |seed: u64| {
        let mut bytes = vec![0; 3 << 20];
        SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
        bytes
    };
    world.write("files/goes", noise(1));
    world.write("files/stays", noise(2));
    world.json(&["snapshot"]);
    std::fs::remove_file(world.path("files/goes")).unwrap();
    world.json(&["snapshot"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let target = world.path("look");
    runtime.block_on(async {
        let home = Home::open(Stack::load(&world.path("stack.yaml")).unwrap()).await.unwrap();
        load(&home.repository, &home.stack.name).await.unwrap();
        world.json(&["forget", "--keep-last", "1"]);
        world.json(&["prune", "--max-unused", "0"]);
        let cx = Context::default();
        let points = load(&home.repository, &home.stack.name).await.unwrap();
        let point = points.latest(cx.clock.now()).unwrap().id;
        let (target, options) = (Target::Folder(target.clone()), Options::default());
        let request = Request::Restore(Box::new(RestoreRequest { point, data: Vec::new(), target, options }));
        let run = run_id(request.word(), &home.stack.name, cx.clock.now());
        let order = Order { run, by: "a test".into(), request, wait: Duration::ZERO, found: Found::Undo };
        let led = lead(&home, order, &Stop::of(&cx.cancel), &cx, &|_| ()).await.unwrap();
        assert!(learned(led, &home, &cx).await.unwrap().holds());
    });
    assert_eq!(std::fs::read(target.join("files/stays")).unwrap(), noise(2));
}

#[test]
fn ctrl_c_ends_the_question_whether_to_go_on() {
    let world = World::new("question", "  data:\n  - {name: files, volume: {path: files}}\n");
    world.write("files/a", "point");
    world.json(&["snapshot"]);
    world.write("files/a", "live");
    let command = format!(
        "{} restore -f {} --point latest --in-place",
        env!("CARGO_BIN_EXE_drydock"),
        world.path("stack.yaml").display()
    );
    // A terminal of its own: drydock asks nowhere else.
    let mut script = Command::new("script");
    let script = script.args(["-qefc", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let mut seen = Vec::new();
    let mut said = child.stdout.take().unwrap();
    while !String::from_utf8_lossy(&seen).contains("to go on") {
        let mut some = [0; 256];
        let n = said.read(&mut some).unwrap();
        assert_ne!(n, 0, "it did not ask: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&some[..n]);
    }
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(b"\x03").unwrap();
    wait_until("the end", Duration::from_secs(10), || child.try_wait().unwrap().is_some());
    drop(keys);
    said.read_to_end(&mut seen).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", String::from_utf8_lossy(&seen));
    assert_eq!(std::fs::read_to_string(world.path("files/a")).unwrap(), "live");
}

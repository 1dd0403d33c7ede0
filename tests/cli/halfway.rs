//! An in-place restore of several data sets that fails, or is killed, when some are swapped and others are not: all of
//! it, or none, and until then nobody takes it for whole.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{run, wait_until};
use crate::world::{Ran, World};

/// A folder and two databases, damaged since their point. `two` cannot be swapped as long as a superuser is on it, whose
/// session drydock's user may not end.
struct Halfway {
    world: World,
    postgres: Postgres,
    point: String,
    superuser: Option<Child>,
}

impl Halfway {
    fn new(name: &str) -> Self {
        let postgres = Postgres::start("15");
        postgres.psql(
            "postgres",
            "create role keeper login createdb createrole in role pg_signal_backend; create role app login in role keeper",
        );
        let mut spec = "  data:\n  - {name: files, volume: {path: files}}\n".to_owned();
        for database in ["one", "two"] {
            postgres.create_database(database);
            postgres.psql("postgres", &format!("alter database {database} owner to keeper"));
            postgres.psql(
                database,
                "set role keeper; create table items (id int primary key, name text); \
                 insert into items select n, 'item ' || n from generate_series(1, 100) n",
            );
            spec += &format!(
                "  - {{name: db-{database}, postgres: {{host: 127.0.0.1, port: {}, database: {database}, user: keeper, \
                 rolePasswords: false, application: {{user: app}}}}}}\n",
                postgres.port
            );
        }
        let world = World::new(name, &spec);
        world.write("files/a", "point");
        let taken = world.run(&["snapshot", "-o", "json"]);
        assert!(matches!(taken.code, 0 | 3), "{}", taken.stderr);
        let taken: Value = serde_json::from_str(&taken.stdout).unwrap();
        let point = taken["point"]["id"].as_str().unwrap().to_owned();
        world.write("files/a", "former");
        for database in ["one", "two"] {
            postgres.psql(database, "update items set name = 'former'");
        }
        Self { world, postgres, point, superuser: None }
    }

    fn live(&self) -> Vec<String> {
        let of = |database| self.postgres.psql(database, "select distinct split_part(name, ' ', 1) from items");
        vec![std::fs::read_to_string(self.world.path("files/a")).unwrap(), of("one"), of("two")]
    }

    fn databases(&self) -> String {
        self.postgres.psql(
            "postgres",
            "select string_agg(datname, ' ' order by datname) from pg_database where datname ~ '^(one|two)'",
        )
    }

    fn hold_two(&mut self) {
        let mut session = Command::new("psql");
        session.args(["-h", "127.0.0.1", "-p", &self.postgres.port.to_string(), "-U", "postgres", "-d", "two"]);
        let session = session.args(["-c", "select pg_sleep(600)"]).stdout(Stdio::null()).stderr(Stdio::null());
        self.superuser = Some(session.spawn().unwrap());
        wait_until("the superuser's session", Duration::from_secs(10), || {
            self.postgres.psql("postgres", "select count(*) from pg_stat_activity where datname = 'two'") == "1"
        });
    }

    fn let_go(&mut self) {
        if let Some(mut session) = self.superuser.take() {
            session.kill().unwrap();
            session.wait().unwrap();
            let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = 'two'";
            self.postgres.psql("postgres", end);
        }
    }

    /// Begins the restore and waits until the folder and `one` are the restored ones, and `two` is closed.
    fn until_halfway(&mut self) -> Child {
        self.hold_two();
        let mut command = self.world.command(&["restore", "--point", &self.point, "--in-place", "--yes", "-o", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("half of the restore", Duration::from_secs(60), || {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was half done");
            let closed = "select count(*) from pg_database where datname = 'two' and not datallowconn";
            self.postgres.psql("postgres", closed) == "1"
        });
        assert_eq!(self.postgres.psql("one", "select name from items where id = 7"), "item 7");
        assert_eq!(std::fs::read_to_string(self.world.path("files/a")).unwrap(), "point");
        child
    }

    /// What applications write while all of it, or half, is the restored content.
    fn write_meanwhile(&self, databases: &[&str]) {
        for database in databases {
            self.postgres.psql(database, "insert into items values (1000, 'meanwhile')");
        }
        self.world.write("files/b", "meanwhile");
    }

    /// What was written is where `told` says, by the data set's name: in JSON as `setAside` has it.
    fn meanwhile_is_in(&self, told: &BTreeMap<String, String>) {
        for (data, name) in told {
            if data == "files" {
                assert_eq!(std::fs::read_to_string(format!("{name}/b")).unwrap(), "meanwhile");
                assert_eq!(std::fs::read_to_string(format!("{name}/a")).unwrap(), "point");
            } else {
                self.postgres.psql("postgres", &format!("alter database {name} allow_connections true"));
                let written = self.postgres.psql(name, "select name from items where id = 1000");
                assert_eq!(written, "meanwhile", "{data} was written to meanwhile");
                assert_eq!(self.postgres.psql(name, "select name from items where id = 7"), "item 7");
            }
        }
    }

    /// Everything that `--list` lists, by data set, and its run; nothing is unfinished.
    fn listed(&self) -> (BTreeMap<String, String>, String) {
        let list = self.world.json(&["restore", "--list"]);
        let kept = list["kept"].as_array().unwrap();
        assert!(kept.iter().all(|one| one["unfinished"] == false), "{list}");
        let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
        (kept.iter().map(|one| (text(one, "data"), text(one, "name"))).collect(), text(&kept[0], "run"))
    }

    fn is_all_former(&self) {
        assert_eq!(self.live(), ["former", "former", "former"]);
        assert_eq!(self.databases(), "one two", "nothing is left beside");
        assert!(!self.world.path("files/.drydock").exists());
        assert_eq!(self.world.json(&["restore", "--list"])["kept"], json!([]));
    }
}

impl Drop for Halfway {
    fn drop(&mut self) {
        if let Some(session) = &mut self.superuser {
            session.kill().ok();
            session.wait().ok();
        }
    }
}

#[test]
fn when_one_database_cannot_be_swapped_all_others_are_brought_back() {
    let mut halfway = Halfway::new("back");
    let child = halfway.until_halfway();
    halfway.write_meanwhile(&["one"]);
    // Too late for Ctrl-C: what was begun is ended, forward or back.
    run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let ended = Ran::of(child.wait_with_output().unwrap());
    assert_ne!(ended.code, 0, "{}", ended.stdout);
    let told = format!("{}", ended.report());
    assert!(told.contains("db-two") && told.contains("was brought back, all is as it was"), "{told}");
    assert!(told.contains("1 sessions on database `two` did not end"), "the cause is told: {told}");
    halfway.let_go();
    assert_eq!(halfway.live(), ["former", "former", "former"]);
    assert!(!halfway.world.path("files/b").exists());

    let (kept, restore) = halfway.listed();
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["db-one", "files"], "`two` was never live");
    assert!(told.contains(&kept["db-one"]) && told.contains(&kept["files"]), "it says where: {kept:?} {told}");
    assert!(told.contains(&format!("--discard {restore}")), "and how it goes: {told}");
    halfway.meanwhile_is_in(&kept.into_iter().map(|(data, name)| (data.clone(), new_of(&data, name))).collect());
    halfway.world.json(&["restore", "--discard", &restore, "--yes"]);
    halfway.is_all_former();
    halfway.world.json(&["restore", "--point", &halfway.point, "--in-place", "--yes"]);
    assert_eq!(halfway.live(), ["point", "item", "item"], "the next run does it");
}

/// The list names the run's folder; what was live is in one below it.
fn new_of(data: &str, name: String) -> String {
    if data == "files" { format!("{name}/new") } else { name }
}

/// All is live and applications write to it, when the login that would prove it finds no connection free.
#[test]
fn what_was_live_for_seconds_is_set_aside_with_what_was_written_to_it() {
    let mut halfway = Halfway::new("seconds");
    let child = halfway.until_halfway();
    // The logins before the swap are done. This one is of no use as an answer: it is neither yes nor no.
    halfway.postgres.psql("postgres", "alter role app connection limit 0");
    halfway.let_go();
    wait_until("the swap of both", Duration::from_secs(30), || {
        let sql = "select count(*) from pg_database where datname = 'two' and datallowconn and oid > \
                   (select oid from pg_database where datname like 'two\\_before\\_%')";
        halfway.postgres.psql("postgres", sql) == "1"
    });
    halfway.write_meanwhile(&["one", "two"]);
    let ended = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 75, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(halfway.live(), ["former", "former", "former"]);

    let (kept, restore) = halfway.listed();
    let told = format!("{}", ended.report());
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["db-one", "db-two", "files"]);
    assert!(kept.values().all(|name| told.contains(name)), "it says where: {kept:?} {told}");
    assert!(told.contains(&format!("--discard {restore}")) && !told.contains("RENAME TO"), "how it goes: {told}");
    halfway.meanwhile_is_in(&kept.into_iter().map(|(data, name)| (data.clone(), new_of(&data, name))).collect());

    // The next restore leaves it where it is.
    halfway.postgres.psql("postgres", "alter role app connection limit -1");
    let next = halfway.world.json(&["restore", "--point", &halfway.point, "--in-place", "--yes"]);
    assert_eq!(halfway.live(), ["point", "item", "item"]);
    halfway.world.json(&["restore", "--undo", next["run"].as_str().unwrap(), "--yes"]);
    halfway.world.json(&["restore", "--discard", next["run"].as_str().unwrap(), "--yes"]);
    assert_eq!(halfway.listed().1, restore);
    halfway.world.json(&["restore", "--discard", &restore, "--yes"]);
    halfway.is_all_former();
}

#[test]
fn a_restore_killed_halfway_is_told_of_by_all_and_undone() {
    let mut halfway = Halfway::new("killed");
    let mut child = halfway.until_halfway();
    child.kill().unwrap();
    child.wait().unwrap();
    halfway.let_go();

    let list = halfway.world.run(&["restore", "--list", "-o", "json"]);
    assert_eq!(list.code, 30, "{}", list.stderr);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let kept = list["kept"].as_array().unwrap();
    assert!(kept.iter().all(|one| one["unfinished"] == true), "{list}");
    for data in ["files", "db-one", "db-two"] {
        assert!(kept.iter().any(|one| one["data"] == data), "{data} is missing: {list}");
    }
    let run = kept[0]["run"].as_str().unwrap().to_owned();
    let doctor = halfway.world.run(&["doctor"]);
    assert!(doctor.code == 75 && doctor.stdout.contains("what is live may be a mixture"), "{}", doctor.stdout);
    let beside = halfway.world.run(&["restore", "--point", "latest", "--data", "db-one", "--to-database", "other"]);
    assert_eq!(beside.code, 30, "{}", beside.stderr);

    halfway.world.json(&["restore", "--undo", &run, "--yes"]);
    assert_eq!(halfway.live(), ["former", "former", "former"]);
    let kept = halfway.world.json(&["restore", "--list"])["kept"].clone();
    assert_eq!(kept.as_array().unwrap().len(), 2, "what was live for a while may have been written to: {kept}");
    halfway.world.json(&["restore", "--discard", &run, "--yes"]);
    halfway.is_all_former();
    let taken = halfway.world.run(&["snapshot"]);
    assert!(matches!(taken.code, 0 | 3), "{}", taken.stderr);
}

#[test]
fn the_next_restore_ends_one_that_was_killed_halfway_before_it_takes_its_safety_point() {
    let mut halfway = Halfway::new("again");
    let mut child = halfway.until_halfway();
    child.kill().unwrap();
    child.wait().unwrap();
    halfway.let_go();
    let report = halfway.world.json(&["restore", "--point", &halfway.point, "--in-place", "--yes"]);
    assert_eq!(report["mended"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(halfway.live(), ["point", "item", "item"]);

    let run = report["run"].as_str().unwrap();
    halfway.world.json(&["restore", "--undo", run, "--yes"]);
    assert_eq!(halfway.live(), ["former", "former", "former"], "also after it was finished");
    let kept = halfway.world.json(&["restore", "--list"])["kept"].clone();
    let runs: BTreeSet<&str> = kept.as_array().unwrap().iter().map(|one| one["run"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), 2, "the killed run has kept something, too: {kept}");
    for run in runs {
        halfway.world.json(&["restore", "--discard", run, "--yes"]);
    }
    halfway.is_all_former();
    let safety = report["safetyPoint"].as_str().unwrap();
    halfway.world.json(&["restore", "--point", safety, "--in-place", "--yes"]);
    assert_eq!(halfway.live(), ["former", "former", "former"], "the safety point is no mixture");
}

#[test]
fn a_restore_killed_while_the_cache_loads_goes_on_to_its_end() {
    let slow = ["--key-load-delay", "1500", "--loading-process-events-interval-bytes", "1024"];
    let (postgres, redis) = (Postgres::start("15"), Redis::start_with("7.0", &slow));
    postgres.create_database("shop");
    postgres.psql("shop", "create table items (name text); insert into items values ('point')");
    redis.cli(&["debug", "populate", "3000", "key", "500"]);
    let spec = format!(
        "  data:\n  - {{name: cache, redis: {{host: 127.0.0.1, port: {}}}}}\n  \
         - {{name: db, postgres: {{host: 127.0.0.1, port: {}, database: shop, user: postgres}}}}\n",
        redis.port, postgres.port
    );
    let world = World::new("cache", &spec);
    let (point, digest) = (world.json(&["snapshot"])["point"]["id"].as_str().unwrap().to_owned(), redis.digest());
    postgres.psql("shop", "update items set name = 'former'");
    redis.cli(&["set", "former", "key"]);
    let before = redis.digest();
    let killed = || {
        let mut command = world.command(&["restore", "--point", &point, "--in-place", "--yes"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the load", Duration::from_secs(60), || {
            assert!(child.try_wait().unwrap().is_none(), "it ended before the cache was loaded");
            redis.cli(&["info", "persistence"]).contains("loading:1")
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let list: Value = serde_json::from_str(&world.run(&["restore", "--list", "-o", "json"]).stdout).unwrap();
        list["kept"][0]["run"].as_str().unwrap().to_owned()
    };
    let run = killed();
    redis.cli(&["config", "set", "key-load-delay", "0"]);
    let resumed = world.json(&["restore", "--resume", &run]);
    assert!(resumed["data"].as_array().unwrap().iter().all(|one| one["live"] == "restored"), "{resumed}");
    assert_eq!((postgres.psql("shop", "select name from items"), redis.digest()), ("point".into(), digest));
    world.json(&["restore", "--discard", &run, "--yes"]);

    postgres.psql("shop", "update items set name = 'former'");
    redis.cli(&["set", "former", "key"]);
    redis.cli(&["config", "set", "key-load-delay", "1500"]);
    let run = killed();
    redis.cli(&["config", "set", "key-load-delay", "0"]);
    // Who comes next brings all in order first, as far as it goes; a mixture is no recovery point.
    redis.cli(&["config", "set", "requirepass", "changed"]);
    let refused = world.run(&["snapshot", "-o", "json"]);
    assert_eq!(refused.code, 30, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.report()["hint"].as_str().unwrap().contains(&format!("--undo {run}")), "{}", refused.stderr);
    assert_eq!(postgres.psql("shop", "select name from items"), "former", "the others are back");
    assert_eq!(world.run(&["restore", "--list"]).code, 30);
    redis.cli(&["-a", "changed", "config", "set", "requirepass", ""]);
    world.json(&["restore", "--undo", &run, "--yes"]);
    assert_eq!((postgres.psql("shop", "select name from items"), redis.digest()), ("former".into(), before));
    world.json(&["restore", "--discard", &run, "--yes"]);
    assert_eq!(world.json(&["restore", "--list"])["kept"], json!([]));
}

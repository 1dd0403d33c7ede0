//! An in-place restore of a database, a folder and a cache, killed (SIGKILL) around every entry of its journal that says
//! that something is about to happen or has happened: generated from the plan. Whoever comes next takes all of it back, or
//! goes on to the end; judged by pg_dump, diff and DEBUG DIGEST.

use std::process::Command;
use std::time::Duration;

use drydock::context::Context;
use drydock::operation::{journals, run_id};
use drydock::point::{Home, load};
use drydock::restore::{Options, Target, Work, phases, plan};
use drydock::run::{Engine, Entry, Event, Lease, Plan, RunId, Scope, State, Stop};
use drydock::stack::Stack;
use serde_json::{Value, json};

use crate::support::mortal::{self, Mortal};
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::run;
use crate::world::World;

/// Not a test of its own: what the tests below begin as a process, to die.
#[test]
#[ignore = "a process of the tests beside it"]
fn a_life() {
    mortal::live(live);
}

fn live(life: &Value) {
    let text = |key: &str| life[key].as_str().unwrap().to_owned();
    let dies = (life["number"].as_u64().unwrap(), life["stored"].as_bool().unwrap());
    let run: &RunId = &text("run").parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let home = Home::open(Stack::load(text("document").as_ref()).unwrap()).await.unwrap();
        let cx = Context::default();
        let lease = Lease::acquire(&home.store, Scope::Act, run.as_str(), Duration::ZERO, &cx, |_| ()).await.unwrap();
        let journals = journals(&home);
        let is_fresh = life["fresh"] == true;
        let (journal, state) = if is_fresh {
            let points = load(&home.repository, &home.stack.name).await.unwrap();
            let point = points.find(&text("point"), cx.clock.now()).unwrap();
            let asked = plan(&home.stack, point, &[], Target::InPlace, Options::default(), run.to_string()).unwrap();
            let plan = Plan::new("restore", &home.stack.name, phases(&home, &asked, &cx).await.unwrap());
            let event =
                Event::Accepted { digest: plan.digest(), plan, by: "a test".into(), tool: drydock::TOOL.into() };
            let first = Entry::new(0, cx.clock.now(), event);
            let journal = journals.begin(run, &first).await.unwrap().unwrap();
            (journal, State::begin(&first).unwrap())
        } else {
            let (entries, journal) = journals.open(run).await.unwrap().unwrap();
            (journal, State::of(&entries).unwrap())
        };
        let work = Work::new(&home, run, &state.plan, Duration::ZERO, is_fresh).unwrap();
        let stop = Stop::of(&cx.cancel);
        let engine = Engine::new(Box::new(Mortal { journal, dies }), state, &work, &stop, &cx);
        engine.adopt(lease.holder(), lease.token()).await.unwrap();
        let ended = if is_fresh { engine.finish().await } else { engine.settle("a test").await };
        panic!("it was to die at {dies:?}, and ended with {ended:?}");
    });
}

/// A database, a folder and a cache, damaged since their point.
struct Shop {
    world: World,
    postgres: Postgres,
    redis: Redis,
    point: String,
    /// What the point holds, and what was live before the restore.
    truth: Live,
    former: Live,
    damages: u32,
}

#[derive(Debug, PartialEq, Eq, Clone)]
struct Live {
    dump: String,
    files: String,
    digest: String,
}

impl Shop {
    fn new(name: &str) -> Self {
        let (postgres, redis) = (Postgres::start("15"), Redis::start_with("7.0", &["--repl-diskless-sync-delay", "0"]));
        postgres.create_database("shop");
        postgres.psql(
            "shop",
            "create table items (id int primary key, name text); \
             insert into items select n, 'item ' || n from generate_series(1, 500) n",
        );
        redis.cli(&["debug", "populate", "300", "key", "50"]);
        let spec = format!(
            "  data:\n  - {{name: cache, redis: {{host: 127.0.0.1, port: {}}}}}\n  - {{name: files, volume: {{path: files}}}}\n  \
             - {{name: db, postgres: {{host: 127.0.0.1, port: {}, database: shop, user: postgres}}}}\n",
            redis.port, postgres.port
        );
        let world = World::new(name, &spec);
        world.write("files/a", "point");
        world.write("files/deep/b", vec![7; 100_000]);
        let point = world.json(&["snapshot"])["point"]["id"].as_str().unwrap().to_owned();
        let nothing = Live { dump: String::new(), files: String::new(), digest: String::new() };
        let mut shop = Self { world, postgres, redis, point, truth: nothing.clone(), former: nothing, damages: 0 };
        shop.truth = shop.live();
        shop
    }

    /// By tools that are not drydock's.
    fn live(&self) -> Live {
        let mut tar = Command::new("tar");
        tar.args(["-c", "--sort=name", "--exclude=./.drydock", "-C"]).arg(self.world.path("files")).arg(".");
        let sum = format!("{tar:?} | sha256sum").replace('"', "'");
        Live {
            dump: self.postgres.pg_dump("shop", &[]),
            files: run(Command::new("sh").args(["-c", &sum])),
            digest: self.redis.digest(),
        }
    }

    /// Something is live that is neither the point nor what was live the last time.
    fn damage(&mut self) {
        self.damages += 1;
        let n = self.damages.to_string();
        self.postgres
            .psql("shop", &format!("delete from items where id % 3 = 0; update items set name = 'former {n}'"));
        self.redis.cli(&["set", "former", &n]);
        self.world.write("files/a", format!("former {n}"));
        std::fs::remove_file(self.world.path("files/deep/b")).ok();
        self.former = self.live();
    }

    /// A process that dies around the entry.
    fn life(&self, run: &RunId, fresh: bool, (number, stored): (u64, bool)) {
        let life = json!({"document": self.world.path("stack.yaml"), "run": run, "point": self.point, "fresh": fresh,
                          "number": number, "stored": stored});
        mortal::begin("deaths::a_life", &life, &[]);
    }

    fn restore(&self) -> RunId {
        run_id("restore", &"shop".parse().unwrap(), std::time::SystemTime::now().try_into().unwrap())
    }

    /// The entries of the run's journal, as they lie on the disk.
    fn entries(&self, run: &str) -> Vec<Entry> {
        let text = std::fs::read_to_string(self.world.path(&format!("store/runs/{run}.jsonl"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Around every entry of an undisturbed run that says that a step begins or has happened: before and after each.
    fn deaths(&mut self) -> Vec<(u64, bool, String)> {
        self.damage();
        let report = self.world.json(&["restore", "--point", &self.point, "--in-place", "--yes"]);
        assert_eq!(self.live(), self.truth);
        let run = report["run"].as_str().unwrap().to_owned();
        let entries = self.entries(&run);
        self.world.json(&["restore", "--discard", &run, "--yes"]);
        let word = |entry: &Entry| match &entry.event {
            Event::Intended { step, .. } | Event::Applied { step, .. } => Some(step.clone()),
            _ => None,
        };
        let all = entries.iter().filter_map(|entry| Some((entry.number, word(entry)?)));
        all.flat_map(|(number, step)| [(number, false, step.clone()), (number, true, step)]).collect()
    }

    fn nothing_is_left(&self, run: &RunId) {
        self.world.json(&["restore", "--discard", run.as_str(), "--yes"]);
        let databases = "select string_agg(datname, ' ') from pg_database where datname like 'shop%'";
        assert_eq!(self.postgres.psql("postgres", databases), "shop");
        assert!(!self.world.path("files/.drydock").exists());
        assert_eq!(self.world.json(&["restore", "--list"])["kept"], json!([]));
        let info = self.redis.cli(&["info", "replication"]);
        assert!(info.contains("role:master"), "{info}");
    }
}

#[test]
fn killed_around_any_entry_a_restore_is_taken_back_whole() {
    let mut shop = Shop::new("deaths-undo");
    let deaths = shop.deaths();
    assert_eq!(deaths.len(), 4 * 9, "{deaths:?}");
    for (number, stored, step) in deaths {
        let instant = format!("{step}, entry {number}, stored: {stored}");
        shop.damage();
        let run = shop.restore();
        shop.life(&run, true, (number, stored));
        // Nothing is asked of its disk before all of it is live: from there on a cache is not taken back by itself.
        let is_all_live =
            step.starts_with("settle:") && number_is_intended(&shop.entries(run.as_str()), &step).is_some();
        shop.world.json(&["restore", "--undo", run.as_str(), "--yes"]);
        let digest = if is_all_live { &shop.truth.digest } else { &shop.former.digest };
        let expected = Live { digest: digest.clone(), ..shop.former.clone() };
        assert_eq!(shop.live(), expected, "{instant}");
        shop.nothing_is_left(&run);
    }
}

/// The number of the entry that says that the step begins.
fn number_is_intended(entries: &[Entry], step: &str) -> Option<u64> {
    let is_it = |entry: &&Entry| matches!(&entry.event, Event::Intended { step: of, .. } if of == step);
    entries.iter().find(is_it).map(|entry| entry.number)
}

#[test]
fn killed_around_any_entry_a_restore_goes_on_to_its_end() {
    let mut shop = Shop::new("deaths-resume");
    for (number, stored, step) in shop.deaths() {
        let instant = format!("{step}, entry {number}, stored: {stored}");
        shop.damage();
        let run = shop.restore();
        shop.life(&run, true, (number, stored));
        shop.world.json(&["restore", "--resume", run.as_str()]);
        assert_eq!(shop.live(), shop.truth, "{instant}");
        shop.nothing_is_left(&run);
    }
}

/// All of it is live but for its last word, and whoever takes it back is killed, too.
#[test]
fn killed_around_any_entry_an_undoing_is_gone_on_with() {
    let mut shop = Shop::new("deaths-undoing");
    let (last, ..) = shop.deaths().into_iter().rfind(|(_, _, step)| step.starts_with("hand-over:")).unwrap();
    let deaths: Vec<(u64, bool)> = {
        shop.damage();
        let run = shop.restore();
        shop.life(&run, true, (last, false));
        shop.world.json(&["restore", "--undo", run.as_str(), "--yes"]);
        let entries = shop.entries(run.as_str());
        shop.nothing_is_left(&run);
        let counts = |entry: &&Entry| matches!(entry.event, Event::UndoIntended { .. } | Event::Undone { .. });
        entries.iter().filter(counts).flat_map(|entry| [(entry.number, false), (entry.number, true)]).collect()
    };
    assert_eq!(deaths.len(), 4 * 8, "{deaths:?}");
    // Before an intent is after the record of the one before it.
    for (number, stored) in deaths.into_iter().filter(|(number, stored)| *stored || number % 2 == 0) {
        shop.damage();
        let run = shop.restore();
        shop.life(&run, true, (last, false));
        shop.life(&run, false, (number, stored));
        shop.world.json(&["restore", "--undo", run.as_str(), "--yes"]);
        assert_eq!(shop.live(), shop.former, "entry {number}, stored: {stored}");
        shop.nothing_is_left(&run);
    }
}

/// One record a run, whoever leaves it: that it was restored, or that it was not.
#[test]
fn killed_around_its_evidence_a_restore_leaves_one_record() {
    let mut shop = Shop::new("deaths-evidence");
    shop.world.sign("");
    let deaths = shop.deaths().into_iter().filter(|(_, _, step)| step == "evidence" || step == "record");
    let deaths: Vec<_> = deaths.collect();
    assert_eq!(deaths.len(), 4 * 2, "{deaths:?}");
    for (number, stored, step) in deaths {
        for how in ["--resume", "--undo"] {
            let instant = format!("{how}: {step}, entry {number}, stored: {stored}");
            shop.damage();
            let run = shop.restore();
            shop.life(&run, true, (number, stored));
            // A cache's wait for its disk comes before the record: from there on it is only gone on with.
            let is_all_live = step == "record";
            shop.world.json(&["restore", how, run.as_str(), "--yes"]);
            let is_new = how == "--resume" || is_all_live;
            let digest = if is_new { &shop.truth.digest } else { &shop.former.digest };
            let content = if how == "--resume" { &shop.truth } else { &shop.former };
            assert_eq!(shop.live(), Live { digest: digest.clone(), ..content.clone() }, "{instant}");
            let listed = shop.world.json(&["evidence", "list"]);
            let of_run = listed["records"].as_array().unwrap().iter().filter(|one| one["run"] == run.as_str());
            let outcomes: Vec<&str> = of_run.map(|one| one["outcome"].as_str().unwrap()).collect();
            let was_opened = number_is_applied(&shop.entries(run.as_str()), "evidence");
            let expected: &[&str] = match (is_new, was_opened) {
                (true, _) => &["passed"],
                (false, true) => &["failed"],
                (false, false) => &[],
            };
            assert_eq!(outcomes, expected, "{instant}");
            shop.nothing_is_left(&run);
        }
    }
    assert_eq!(shop.world.json(&["evidence", "verify", "--all"])["verified"], true);
}

fn number_is_applied(entries: &[Entry], step: &str) -> bool {
    entries.iter().any(|entry| matches!(&entry.event, Event::Applied { step: of, .. } if of == step))
}

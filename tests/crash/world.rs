//! A small stack of real servers, a ledger of every state it was in, and drydock's command line under the knife.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use drydock::repository::{KeyCost, Repository};
use drydock::storage::LocalStore;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};

use crate::operation::{Operation, Outcome};
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::restic::Restic;
use crate::support::{Folder, run};

const PASSWORD: &str = "correct horse battery staple crash";

pub struct World {
    pub folder: Folder,
    pub postgres: Postgres,
    pub redis: Redis,
    state: u64,
    /// Points that were judged already and the state each brought back; what is sound stays sound unless the
    /// repository is touched, and the last judgement reads every byte.
    pub judged: BTreeMap<String, crate::judge::States>,
}

impl World {
    pub fn new(random: &mut SmallRng) -> Self {
        let folder = Folder::new("crash");
        // Whatever drydock leaves behind names this variable in its environment.
        let postgres = Postgres::start_with("15", &["max_connections=100"]);
        // Without the delay, in which a primary waits for more replicas, a snapshot takes seconds less.
        let redis = Redis::start_with("7.0", &["--repl-diskless-sync-delay", "0"]);
        let mut world = Self { folder, postgres, redis, state: 0, judged: BTreeMap::new() };
        world.fill(random);
        world.initialise();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn restic(&self) -> Restic {
        Restic::new(self.path("store/repository").to_str().unwrap(), &self.path("password"))
    }

    fn fill(&mut self, random: &mut SmallRng) {
        for name in ["volume/many", "tmp", "ledger"] {
            std::fs::create_dir_all(self.path(name)).unwrap();
        }
        std::fs::write(self.path("password"), PASSWORD).unwrap();
        self.postgres.create_database("app");
        self.postgres.psql(
            "app",
            "create table state (n bigint); insert into state values (0);
            create table items (id bigserial primary key, body text not null, at timestamptz default '2026-01-01');
            create index on items (body);
            insert into items (body) select md5(n::text) || repeat('x', n % 100) from generate_series(1, 30000) n;
            select lo_from_bytea(4711, 'a large object')",
        );
        let path = self.path("volume");
        for n in 0..200 {
            std::fs::write(path.join(format!("many/{n}.txt")), format!("file {n}\n").repeat(n)).unwrap();
        }
        for n in 0..3 {
            let mut bytes = vec![0; 3 << 20];
            random.fill_bytes(&mut bytes);
            std::fs::write(path.join(format!("large-{n}.bin")), bytes).unwrap();
        }
        std::os::unix::fs::symlink("many/1.txt", path.join("link")).unwrap();
        self.redis.cli(&["debug", "populate", "3000", "key", "50"]);
        self.change(random);
    }

    fn initialise(&self) {
        let document = format!(
            "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {{name: crash}}\nspec:\n  repository:\n    location: {}\n    \
             password: {{fromFile: {}}}\n  data:\n  - name: db\n    postgres: {{host: 127.0.0.1, port: {}, database: app, user: postgres}}\n  \
             - name: cache\n    redis: {{host: 127.0.0.1, port: {}}}\n  - name: files\n    volume: {{path: {}}}\n  \
             retention: {{keepLast: 3}}\n",
            self.path("store").display(),
            self.path("password").display(),
            self.postgres.port,
            self.redis.port,
            self.path("volume").display()
        );
        std::fs::write(self.path("stack.yaml"), document).unwrap();
        // A cheap key: the cost of scrypt is not what is tested here, and every run pays it.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = Arc::new(LocalStore::create(self.path("store")).await.unwrap());
            Repository::create(store, &PASSWORD.into(), KeyCost::negligible()).await.unwrap();
        });
        run(&mut self.drydock(&["init"]));
    }

    pub fn drydock(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command.arg(args[0]).arg("-f").arg(self.path("stack.yaml")).args(&args[1..]);
        command.env("DRYDOCK_CRASH_TEST", self.folder.path()).env("TMPDIR", self.path("tmp"));
        command
    }

    /// Brings all data sets into a new state, and writes down by tools that are not drydock's what it is.
    pub fn change(&mut self, random: &mut SmallRng) {
        self.state += 1;
        let n = self.state;
        let from = random.random_range(0..29_000);
        self.postgres.psql(
            "app",
            &format!(
                "update state set n = {n};
            update items set body = md5(body) where id between {from} and {from} + 500;
            delete from items where id = {from} + 501; insert into items (body) values ('state {n}')"
            ),
        );
        let volume = self.path("volume");
        std::fs::write(volume.join("state"), n.to_string()).unwrap();
        for _ in 0..5 {
            let file = volume.join(format!("many/{}.txt", random.random_range(0..220)));
            std::fs::write(file, format!("state {n}\n").repeat(random.random_range(1..500))).unwrap();
        }
        let mut large = std::fs::OpenOptions::new().append(true).open(volume.join("large-0.bin")).unwrap();
        large.write_all(format!("state {n}\n").repeat(1000).as_bytes()).unwrap();
        self.redis.cli(&["set", "state", &n.to_string()]);
        self.redis.cli(&["lpush", "queue", &format!("job {n}")]);
        self.write_down(&self.path(&format!("ledger/{n}")));
    }

    /// The truth about the live data, by pg_dump, `cp -a` and DEBUG DIGEST.
    fn write_down(&self, into: &Path) {
        std::fs::create_dir_all(into).unwrap();
        std::fs::write(into.join("db.sql"), self.postgres.pg_dump("app", &[])).unwrap();
        std::fs::write(into.join("cache.digest"), self.redis.digest()).unwrap();
        run(Command::new("cp").arg("-a").arg(self.path("volume")).arg(into.join("volume")));
        std::fs::remove_dir_all(into.join("volume/.drydock")).ok();
    }

    pub fn next_operation(&mut self, random: &mut SmallRng) -> Operation {
        let points = crate::judge::listed_points(self);
        let any = |random: &mut SmallRng| points[random.random_range(0..points.len())].id.clone();
        match random.random_range(0..100) {
            0..25 if !points.is_empty() => Operation::RestoreInPlace { point: any(random) },
            25..35 if !points.is_empty() => Operation::RestoreToFolder { point: any(random) },
            35..50 if !points.is_empty() => Operation::ForgetAndPrune,
            _ => {
                self.change(random);
                Operation::Snapshot
            }
        }
    }

    /// The command lines of an operation, in order.
    fn commands(&self, operation: &Operation) -> Vec<Command> {
        let restored = self.path("restored");
        match operation {
            Operation::Snapshot => vec![self.drydock(&["snapshot"])],
            Operation::ForgetAndPrune => vec![self.drydock(&["forget"]), self.drydock(&["prune"])],
            Operation::RestoreInPlace { point } => {
                vec![self.drydock(&["restore", "--point", point, "--in-place", "--yes"])]
            }
            Operation::RestoreToFolder { point } => {
                std::fs::remove_dir_all(&restored).ok();
                vec![self.drydock(&["restore", "--point", point, "--to", restored.to_str().unwrap()])]
            }
        }
    }

    /// Runs the operation and kills it after `delay`, wherever it is.
    pub fn run_and_kill(&self, operation: &Operation, delay: Duration) -> Outcome {
        let start = Instant::now();
        for mut command in self.commands(operation) {
            let log = std::fs::File::create(self.path("killed.log")).unwrap();
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut child = command.spawn().unwrap();
            loop {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                if start.elapsed() >= delay {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    return Outcome::Killed;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Outcome::Finished(start.elapsed())
    }

    /// The next run finishes the job, without being told how.
    pub fn finish(&mut self, operation: &Operation) -> Duration {
        let start = Instant::now();
        for mut command in self.commands(operation) {
            let output = command.stdin(Stdio::null()).output().unwrap();
            assert!(
                output.status.success(),
                "{operation:?}, run again after a kill, ended with {}\nstdout: {}\nstderr: {}\nthe killed run said: {}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
                std::fs::read_to_string(self.path("killed.log")).unwrap_or_default()
            );
        }
        let took = start.elapsed();
        if let Operation::RestoreInPlace { point } = operation {
            crate::judge::live_data_is(self, point);
            self.discard_formers();
        }
        took
    }

    /// What in-place restores keep would fill the disk over hundreds of them. drydock's own commands must clear it away.
    fn discard_formers(&self) {
        let listed = run(&mut self.drydock(&["restore", "--list", "-o", "json"]));
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let kept = listed["kept"].as_array().unwrap().iter();
        let runs: std::collections::BTreeSet<&str> = kept.filter_map(|one| one["run"].as_str()).collect();
        assert!(!runs.is_empty(), "a restore in place has kept nothing: {listed}");
        for one in runs {
            run(&mut self.drydock(&["restore", "--discard", one, "--yes"]));
        }
        let left = self.postgres.psql("postgres", "select datname from pg_database where datname like 'app\\_%'");
        assert_eq!(left, "", "formers are left after --discard: {listed}");
    }
}

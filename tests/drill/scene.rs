//! A stack with a database, uploads that its rows point at, and a cache; a recovery point of it; drydock's binary on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock};

use drydock::drill::{self, DrillPlan, Options};
use drydock::point::{Home, Points, load};
use drydock::repository::{KeyCost, Repository};
use drydock::stack::Stack;
use drydock::storage::LocalStore;
use serde_json::Value;

use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{Folder, cache, run};

const PASSWORD: &str = "gusto-plover-anvil-mica-9";

pub static SERVER: LazyLock<Postgres> = LazyLock::new(|| Postgres::start("15"));

/// As Rails 6.1 migrates them, without what no test needs.
const APPLICATION: &str = "
create table active_storage_blobs (id bigserial primary key, key varchar not null, service_name varchar not null,
    byte_size bigint not null, checksum varchar);
create table active_storage_attachments (id bigserial primary key, blob_id bigint not null references active_storage_blobs);
create table messages (id serial primary key, content text not null, created_at timestamptz not null default now());
create index index_messages_on_created_at on messages (created_at);
insert into messages (content) select 'message number ' || n from generate_series(1, 100) n;
select lo_from_bytea(424242, 'a large object');
";

/// Two uploads of the same size and one of another.
pub const UPLOADS: [(&str, &str); 3] =
    [("aabbfirst", "the first upload"), ("ccddother", "the other upload"), ("eeffmore", "more")];

pub struct Scene {
    pub folder: Folder,
    pub redis: Redis,
}

/// What a run of the binary left.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.stdout, self.stderr))
    }

    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Scene {
    /// `more` is added to the document's `spec`; the recovery point is taken.
    pub fn new(name: &str, more: &str) -> Self {
        let scene = Self::bare(name, more);
        scene.drydock(&["snapshot"]).expect(0);
        scene
    }

    /// Without a recovery point.
    pub fn bare(name: &str, more: &str) -> Self {
        let database = format!("drill_{name}");
        SERVER.create_torture_database(&database);
        SERVER.psql(&database, APPLICATION);
        let redis = Redis::start("7.0");
        redis.torture();
        redis.cli(&["set", "session:1", "somebody"]);
        let scene = Self { folder: Folder::new("drill"), redis };
        std::fs::create_dir_all(scene.path("s")).unwrap();
        for (key, content) in UPLOADS {
            let path = scene.path(&upload(key));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
            SERVER.psql(
                &database,
                &format!(
                    "with b as (insert into active_storage_blobs (key, service_name, byte_size, checksum)
                     values ('{key}', 'local', {}, encode(decode(md5('{content}'), 'hex'), 'base64')) returning id)
                     insert into active_storage_attachments (blob_id) select id from b",
                    content.len()
                ),
            );
        }
        std::fs::write(scene.path("password"), PASSWORD).unwrap();
        scene.write_document(&database, more);
        let store = scene.path("store");
        // On a thread of its own: the test that comes first may be a future.
        let made = std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(make_repository(store)));
        made.join().unwrap();
        scene.drydock(&["init"]).expect(0);
        scene
    }

    fn write_document(&self, database: &str, more: &str) {
        let bin = cache().join("pg-15/bin");
        let text = format!(
            "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {{name: shop}}\nspec:\n  repository:\n    \
             location: ./store\n    password: {{fromFile: password}}\n  data:\n  - name: db\n    postgres: {{host: 127.0.0.1, \
             port: {}, database: {database}, user: postgres, clientBinaries: {bin}, serverBinaries: {bin}}}\n  - name: cache\n    \
             redis: {{host: 127.0.0.1, port: {}, scratchServer: {}}}\n  - name: uploads\n    volume: {{path: ./uploads}}\n  \
             references:\n  - activeStorage: {{database: db, volume: uploads}}\n{more}",
            SERVER.port,
            self.redis.port,
            cache().join("redis-server-7.0").display(),
            bin = bin.display(),
        );
        std::fs::write(self.path("stack.yaml"), text).unwrap();
    }

    /// Changes the document's text.
    pub fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("stack.yaml")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(self.path("stack.yaml"), text.replace(from, to)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where sandboxes are made.
    pub fn root(&self) -> PathBuf {
        self.path("s")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command.args(args).arg("-f").arg(self.path("stack.yaml")).stdin(Stdio::null()).env_remove("DRYDOCK_FILE");
        command.env("TMPDIR", self.root()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn drydock(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    pub async fn home(&self) -> Home {
        Home::open(Stack::load(&self.path("stack.yaml")).unwrap()).await.unwrap()
    }

    pub async fn plan(&self, home: &Home, run: &str) -> (DrillPlan, Points) {
        let points = load(&home.repository, &home.stack.name).await.unwrap();
        let point = points.newest_complete().unwrap();
        let plan = drill::plan(&home.stack, point, Options::default(), run.to_owned(), self.root()).unwrap();
        (plan, points)
    }

    /// Folders and processes of drills that are there now.
    pub fn left(&self) -> Vec<String> {
        let folders = std::fs::read_dir(self.root()).unwrap().map(|entry| entry.unwrap().path().display().to_string());
        folders.chain(processes(&self.root())).collect()
    }
}

pub fn upload(key: &str) -> String {
    format!("uploads/{}/{}/{key}", &key[..2], &key[2..4])
}

/// With a key that costs nothing: what scrypt costs is not what is tested here.
async fn make_repository(path: PathBuf) {
    let store = Arc::new(LocalStore::create(path).await.unwrap());
    Repository::create(store, &PASSWORD.to_owned().into(), KeyCost::negligible()).await.unwrap();
}

/// Processes that work below `folder`, by the judge that is not ours.
pub fn processes(folder: &Path) -> Vec<String> {
    let script = format!("ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -F ' {}/' || true", folder.display());
    run(Command::new("sh").args(["-c", &script])).lines().map(str::to_owned).collect()
}

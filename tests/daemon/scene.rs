//! A stack with a database, a cache and files, and daemons on it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use drydock::repository::{KeyCost, Repository};
use drydock::storage::{Limits, LocalStore, S3Credentials, S3Spec, S3Store, SharedStore};
use serde_json::Value;

use crate::http;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::seaweed::Seaweed;
use crate::support::{Folder, cache, run};

const PASSWORD: &str = "gusto-plover-anvil-mica-9";

/// The data of a stack of files alone.
pub const FILES: &str = "  data:\n  - name: files\n    volume: {path: ./files}\n";

static SERVER: LazyLock<Postgres> = LazyLock::new(|| Postgres::start("15"));

pub struct Scene {
    pub folder: Folder,
    store: SharedStore,
    /// The document's `repository`.
    repository: String,
    _redis: Option<Redis>,
}

/// A daemon under way; killed on drop.
pub struct Daemon {
    child: Child,
    pub port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    /// PostgreSQL, Redis and files, with assertions and objectives.
    pub fn whole(name: &str) -> Self {
        let redis = Redis::start("7.0");
        let database = format!("daemon_{name}");
        SERVER.create_database(&database);
        let rows = "create table messages (id serial primary key, content text, created_at timestamptz default now());
                    insert into messages (content) select 'message ' || n from generate_series(1, 500) n";
        SERVER.psql(&database, rows);
        let spec = format!(
            "  objectives: {{rpo: 24h, rto: 30m, proven: 8d}}\n  retention: {{keepLast: 50}}\n  drill:\n    folder: ./sandboxes\n    \
             assertions:\n    - sql: {{data: db, query: 'select count(*) = 500 from messages'}}\n  data:\n  - name: db\n    \
             postgres: {{host: 127.0.0.1, port: {}, database: {database}, user: postgres, tls: disable, serverBinaries: {}}}\n  \
             - name: cache\n    redis: {{host: 127.0.0.1, port: {}}}\n  - name: files\n    volume: {{path: ./files}}\n",
            SERVER.port,
            cache().join("pg-15/bin").display(),
            redis.port,
        );
        let scene = Self { _redis: Some(redis), ..Self::in_a_folder(name, &spec) };
        std::fs::create_dir(scene.path("sandboxes")).unwrap();
        if crate::support::is_root() {
            // the sandbox's server runs as an unprivileged user, who must reach its folder
            run(Command::new("chmod").arg("755").arg(scene.folder.path()).arg(scene.path("sandboxes")));
        }
        scene
    }

    /// Files alone.
    pub fn files(name: &str, more: &str) -> Self {
        Self::in_a_folder(name, &format!("{more}{FILES}"))
    }

    /// Files alone, kept in a new bucket.
    pub fn in_a_bucket(server: &Seaweed, name: &str) -> Self {
        server.create_bucket(name);
        let folder = Folder::new(&format!("daemon-{name}"));
        for (file, text) in [("access", Seaweed::ACCESS_KEY), ("secret", Seaweed::SECRET_KEY)] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let endpoint = server.endpoint();
        let repository = format!(
            "    location: s3://{name}/papg\n    s3: {{endpoint: '{endpoint}', accessKeyId: {{fromFile: access}}, \
             secretAccessKey: {{fromFile: secret}}}}\n"
        );
        let credentials = S3Credentials {
            access_key_id: Seaweed::ACCESS_KEY.into(),
            secret_access_key: Seaweed::SECRET_KEY.into(),
            session_token: None,
        };
        let spec = S3Spec { endpoint: Some(endpoint), credentials: Some(credentials), ..S3Spec::default() };
        let store = async { S3Store::connect(name, "papg", &spec, Limits::default()).await.unwrap() };
        let store = Arc::new(tokio::runtime::Runtime::new().unwrap().block_on(store));
        Self::on(folder, store, repository, FILES)
    }

    fn in_a_folder(name: &str, spec: &str) -> Self {
        let folder = Folder::new(&format!("daemon-{name}"));
        let store = async { LocalStore::create(folder.path().join("store")).await.unwrap() };
        let store = Arc::new(tokio::runtime::Runtime::new().unwrap().block_on(store));
        Self::on(folder, store, "    location: ./store\n".into(), spec)
    }

    fn on(folder: Folder, store: SharedStore, repository: String, spec: &str) -> Self {
        let scene = Self { folder, store, repository, _redis: None };
        std::fs::create_dir(scene.path("files")).unwrap();
        std::fs::create_dir(scene.path("schedules")).unwrap();
        scene.write("files/a.txt", "the first file");
        scene.write("password", &format!("{PASSWORD}\n"));
        scene.write_stack(spec);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            Repository::create(scene.store.clone(), &PASSWORD.into(), KeyCost::negligible()).await.unwrap();
        });
        scene.drydock(&["init"]);
        scene
    }

    /// `spec` begins with what more there is to say of the repository.
    pub fn write_stack(&self, spec: &str) {
        let head = "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  repository:\n";
        let password = "    password: {fromFile: password}\n";
        self.write("stack.yaml", &format!("{head}{}{password}{spec}", self.repository));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A schedule; as if it had been seen first `seen_ago` hours ago, so that an instant of its is due at once.
    pub fn schedule(&self, name: &str, operation: &str, cron: &str, seen_ago: i64) {
        let since = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(seen_ago);
        let known = serde_json::json!({"formatVersion": 1, "schedule": name, "cron": cron, "timeZone": "UTC",
            "since": since.to_string()});
        let put = async { self.store.put(&format!("schedules/{name}.json"), vec![known.to_string().into()]).await };
        tokio::runtime::Runtime::new().unwrap().block_on(put).unwrap();
        let text = format!(
            "apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {{name: {name}}}\nspec:\n  operation: \
             {operation}\n  cron: '{cron}'\n"
        );
        self.write(&format!("schedules/{name}.yaml"), &text);
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command.args(args).arg("-f").arg(self.path("stack.yaml")).stdin(Stdio::null()).env_remove("DRYDOCK_FILE");
        command
    }

    pub fn drydock(&self, args: &[&str]) -> String {
        run(&mut self.command(args))
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.drydock(&[args, &["-o", "json"]].concat())).unwrap()
    }

    /// Ids and standings of all runs, the newest first.
    pub fn runs(&self) -> Vec<(String, String)> {
        let listed = self.json(&["runs"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        listed["runs"].as_array().unwrap().iter().map(|run| (text(&run["run"]), text(&run["standing"]))).collect()
    }

    pub fn daemon(&self, args: &[&str]) -> Daemon {
        self.daemon_with(args, |_| ())
    }

    pub fn daemon_with(&self, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Daemon {
        let schedules = self.path("schedules");
        let mut all = vec!["daemon", "--listen", "127.0.0.1:0", "--schedules", schedules.to_str().unwrap()];
        all.extend(args);
        let mut command = self.command(&all);
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        prepare(&mut command);
        Daemon::watch(command.spawn().unwrap())
    }
}

impl Daemon {
    fn watch(mut child: Child) -> Self {
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (lines, into) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                into.lock().unwrap().push(line);
            }
        });
        let mut daemon = Self { child, port: 0, log };
        let said = daemon.says("listening on http://127.0.0.1:");
        let port = said.rsplit_once("http://127.0.0.1:").unwrap().1;
        daemon.port = port.split('/').next().unwrap().parse().unwrap();
        daemon
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// The first line of its log that has `words`, waited for.
    pub fn says(&self, words: &str) -> String {
        let began = Instant::now();
        loop {
            if let Some(line) = self.log.lock().unwrap().iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it never said `{words}`:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn get(&self, path: &str) -> http::Answer {
        http::ask(self.port, "GET", path)
    }

    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Asks until `ready` says so.
    pub fn until(&self, what: &str, path: &str, mut ready: impl FnMut(&http::Answer) -> bool) -> http::Answer {
        let began = Instant::now();
        loop {
            let answer = self.get(path);
            if ready(&answer) {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(90), "{what}: {}\n{}", answer.body, self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks for the status until `ready` says so.
    pub fn until_status(&self, what: &str, mut ready: impl FnMut(&Value) -> bool) -> Value {
        let parsed = |answer: &http::Answer| serde_json::from_str::<Value>(&answer.body).unwrap();
        let is_ready = |answer: &http::Answer| answer.status == 200 && ready(&parsed(answer));
        parsed(&self.until(what, "/api/v1/status", is_ready))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        run(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()));
    }

    /// Its exit code, waited for.
    pub fn code(&mut self) -> Option<i32> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not end:\n{}", self.log());
    }

    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

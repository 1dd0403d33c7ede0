use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Folder, Server, cache, free_port, give_away, is_root, run, wait_until};

/// Every version that the tests drive.
pub const VERSIONS: [&str; 5] = ["9.5", "9.6", "15", "16", "18"];

/// A PostgreSQL server of its own, superuser `postgres` without a password on loopback and on its socket.
pub struct Postgres {
    pub version: &'static str,
    pub port: u16,
    server: Server,
    folder: Folder,
}

impl Postgres {
    pub fn start(version: &'static str) -> Self {
        Self::start_with(version, &[])
    }

    /// `settings` as `name=value`.
    pub fn start_with(version: &'static str, settings: &[&str]) -> Self {
        let folder = Folder::new(&format!("pg-{version}"));
        give_away(folder.path());
        let data = folder.path().join("data");
        let bin = cache().join(format!("pg-{version}/bin"));
        let mut initdb = as_servers_user(&bin.join("initdb"));
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"]).arg(&data);
        run(&mut initdb);
        let port = free_port();
        let mut this = Self { version, port, server: Self::launch(version, &folder, port, settings), folder };
        this.wait();
        this
    }

    fn launch(version: &str, folder: &Folder, port: u16, settings: &[&str]) -> Server {
        let data = folder.path().join("data");
        let port = port.to_string();
        let socket = folder.path().display().to_string();
        let mut args = vec!["-D", data.to_str().unwrap(), "-p", &port, "-k", &socket, "-h", "127.0.0.1"];
        for setting in ["fsync=off", "max_connections=60", "max_prepared_transactions=5"].iter().chain(settings) {
            args.extend(["-c", setting]);
        }
        Server::start(&cache().join(format!("pg-{version}/bin/postgres")), &args, &folder.path().join("log"))
    }

    /// Stops the server at once and starts it again on the same data.
    pub fn restart_with(&mut self, settings: &[&str]) {
        self.server.stop("INT");
        self.server = Self::launch(self.version, &self.folder, self.port, settings);
        self.wait();
    }

    fn wait(&mut self) {
        let port = self.port.to_string();
        let server = &mut self.server;
        let log = self.folder.path().join("log");
        wait_until("PostgreSQL", Duration::from_secs(60), || {
            assert!(server.is_running(), "the server ended:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
            let psql = Command::new("psql")
                .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-c", "select 1"])
                .output();
            psql.unwrap().status.success()
        });
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }

    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn client(&self, program: &Path, database: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"]);
        command.args(["-d", database]).env("PGOPTIONS", "--client-min-messages=warning");
        command
    }

    /// Runs `sql`, stops at the first error, and returns unaligned tuples.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let mut command = self.client(Path::new("psql"), database);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]).env("PGCLIENTENCODING", "UTF8");
        run(&mut command).trim_end().to_owned()
    }

    /// Runs a file of SQL.
    pub fn psql_file(&self, database: &str, file: &Path) {
        run(self.client(Path::new("psql"), database).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file));
    }

    pub fn create_database(&self, name: &str) {
        self.psql("postgres", &format!("create database \"{name}\" template template0"));
    }

    /// The oldest pg_dump here that reads this server (15 reads up to 15).
    pub fn newest_client(&self, program: &str) -> PathBuf {
        let version = if matches!(self.version, "16" | "18") { self.version } else { "15" };
        cache().join(format!("pg-{version}/bin/{program}"))
    }

    /// `pg_dump` as plain SQL, without the `\restrict` lines, which hold a random token.
    pub fn pg_dump(&self, database: &str, args: &[&str]) -> String {
        let dump = run(self.client(&self.newest_client("pg_dump"), database).args(args));
        dump.lines()
            .filter(|l| !l.starts_with("\\restrict") && !l.starts_with("\\unrestrict"))
            .map(|l| format!("{l}\n"))
            .collect()
    }
}

impl Postgres {
    /// Makes the database `name` and fills it with every object and value that this version knows (`tests/fixtures`).
    pub fn create_torture_database(&self, name: &str) {
        // Roles are the server's: two that make the missing ones at once would stand in each other's way.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        self.create_database(name);
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        self.psql_file(name, &fixtures.join("torture.sql"));
        let major = self.version.split('.').next().unwrap().parse::<u32>().unwrap();
        for since in [10, 11, 12, 14, 15, 18].iter().filter(|since| major >= **since) {
            self.psql_file(name, &fixtures.join(format!("torture-{since}.sql")));
        }
    }
}

fn as_servers_user(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

impl Postgres {
    /// A hot standby that follows this server; needs clients of its version (15).
    pub fn start_standby(&self, settings: &[&str]) -> Self {
        let folder = Folder::new(&format!("pg-{}-standby", self.version));
        give_away(folder.path());
        let data = folder.path().join("data");
        let mut backup = as_servers_user(&cache().join(format!("pg-{}/bin/pg_basebackup", self.version)));
        backup.args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "-p",
            &self.port.to_string(),
            "-D",
        ]);
        run(backup.arg(&data));
        let port = free_port();
        let server = Self::launch(self.version, &folder, port, settings);
        let mut this = Self { version: self.version, port, server, folder };
        this.wait();
        this
    }
}

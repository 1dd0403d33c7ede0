use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Folder, Server, cache, free_port, give_away, run, wait_until};

pub const VERSIONS: [&str; 2] = ["6.2", "7.0"];

/// A Redis server of its own on loopback.
pub struct Redis {
    pub version: &'static str,
    pub port: u16,
    server: Server,
    folder: Folder,
    args: Vec<String>,
}

impl Redis {
    pub fn start(version: &'static str) -> Self {
        Self::start_with(version, &[])
    }

    /// `args` as on redis-server's command line (`["--appendonly", "yes"]`).
    pub fn start_with(version: &'static str, args: &[&str]) -> Self {
        let folder = Folder::new(&format!("redis-{version}"));
        give_away(folder.path());
        let port = free_port();
        let args = args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
        let server = Self::launch(version, &folder, port, &args);
        let mut this = Self { version, port, server, folder, args };
        this.wait();
        this
    }

    /// A server that starts on a copy of this RDB file.
    pub fn start_on(version: &'static str, rdb: &Path) -> Self {
        let folder = Folder::new(&format!("redis-{version}"));
        std::fs::copy(rdb, folder.path().join("dump.rdb")).unwrap();
        give_away(folder.path());
        let port = free_port();
        let server = Self::launch(version, &folder, port, &[]);
        let mut this = Self { version, port, server, folder, args: Vec::new() };
        this.wait();
        this
    }

    fn launch(version: &str, folder: &Folder, port: u16, more: &[String]) -> Server {
        let port = port.to_string();
        let dir = folder.path().to_str().unwrap();
        let mut args = vec!["--port", &port, "--bind", "127.0.0.1", "--dir", dir, "--save", ""];
        if version != "6.2" {
            args.extend(["--enable-debug-command", "local"]);
        }
        args.extend(more.iter().map(String::as_str));
        Server::start(&cache().join(format!("redis-server-{version}")), &args, &folder.path().join("log"))
    }

    fn wait(&mut self) {
        let port = self.port.to_string();
        let (server, log) = (&mut self.server, self.folder.path().join("log"));
        wait_until("Redis", Duration::from_secs(20), || {
            assert!(server.is_running(), "the server ended:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
            let ping = Command::new("redis-cli").args(["-p", &port, "ping"]).output().unwrap();
            let said = String::from_utf8_lossy(&ping.stdout).into_owned() + &String::from_utf8_lossy(&ping.stderr);
            said.contains("PONG") || said.contains("NOAUTH")
        });
    }

    pub fn restart(&mut self) {
        self.server.kill();
        self.server = Self::launch(self.version, &self.folder, self.port, &self.args);
        self.wait();
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }

    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// One command by redis-cli.
    pub fn cli(&self, args: &[&str]) -> String {
        run(Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(args)).trim_end().to_owned()
    }

    /// `DEBUG DIGEST`: the judge that is not ours.
    pub fn digest(&self) -> String {
        self.cli(&["debug", "digest"])
    }
}

impl Redis {
    /// Fills it with every type of key in every encoding, in several databases.
    pub fn torture(&self) {
        let said = self.cli(&["eval", include_str!("../fixtures/redis/torture.lua"), "0"]);
        assert_eq!(said, "OK");
        if self.version != "6.2" {
            let library = "#!lua name=drydock_test\nredis.register_function('answer', function() return 42 end)";
            self.cli(&["function", "load", library]);
        }
    }

    /// The folder's own file, written by the server.
    pub fn save(&self) -> std::path::PathBuf {
        self.cli(&["save"]);
        self.dir().join("dump.rdb")
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

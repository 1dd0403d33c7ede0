//! The real things that tests drive: PostgreSQL 9.5 to 18, Redis 6.2 and 7.0, SeaweedFS, restic.
//! `tests/setup` brings the binaries. Every server listens on loopback only, runs as an unprivileged user in a
//! temporary folder, and dies with the test process, also when that is killed.
#![allow(dead_code)] // each test binary uses its part

pub mod browser;
pub mod mortal;
pub mod postgres;
pub mod redis;
pub mod restic;
pub mod seaweed;
mod sound;
pub mod tree;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// Where `tests/setup` has put the servers.
pub fn cache() -> PathBuf {
    let cache = std::env::var_os("DRYDOCK_TEST_CACHE").map_or_else(|| "/var/cache/drydock-tests".into(), PathBuf::from);
    assert!(cache.join("pg-18").exists(), "run tests/setup first: {} holds no servers", cache.display());
    cache
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `ready` says so.
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < limit, "{what} was not ready after {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `command` and returns its standard output; panics with everything it said when it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// A temporary folder named after this process, readable by the servers' user; removed on drop, and by a later test
/// process when this one was killed. Before, restic reads whatever repository is in it: a test that leaves one which
/// restic finds fault with fails, unless it has said that it does damage.
pub struct Folder {
    path: PathBuf,
    damaged: AtomicBool,
}

impl Folder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: std::sync::Once = std::sync::Once::new();
        SWEEP.call_once(sweep);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("drydock-test-{}-{n}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self { path, damaged: AtomicBool::new(false) }
    }

    /// The test damages the repository in here, or leaves one that is not whole.
    pub fn holds_damage(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// For benches: restic would read gigabytes, and their repositories were read by tests.
    pub fn unjudged(name: &str) -> Self {
        let folder = Self::new(name);
        folder.holds_damage();
        folder
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let judged = !std::thread::panicking() && !self.damaged.load(Ordering::Relaxed);
        let complaints = if judged { sound::complaints(&self.path) } else { Vec::new() };
        std::fs::remove_dir_all(&self.path).ok();
        assert!(complaints.is_empty(), "restic finds fault with what the test has left: {complaints:#?}");
    }
}

/// Removes what test processes that are gone have left.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|n| n.strip_prefix("drydock-test-")) else { continue };
        let Some(pid) = rest.split('-').next().and_then(|p| p.parse::<u32>().ok()) else { continue };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// A server process; killed on drop.
pub struct Server(Child);

impl Server {
    /// Starts `program` so that it dies with this process. As root it runs as the user `postgres`.
    pub fn start(program: &Path, args: &[&str], log: &Path) -> Self {
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        }
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(args);
        let log = std::fs::File::create(log).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).stdin(std::process::Stdio::null());
        Self(spawn_from_the_nursery(command))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }

    /// Asks it to end with `signal` (`INT` is a fast shutdown of PostgreSQL) and waits.
    pub fn stop(&mut self, signal: &str) {
        Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status().unwrap();
        self.0.wait().ok();
    }

    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Hands a folder to the servers' user.
pub fn give_away(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg("postgres:postgres").arg(path));
    }
}

/// The parent-death signal fires when the *thread* that started the child ends; tests' threads come and go, so all
/// children are started by one thread that stays.
fn spawn_from_the_nursery(command: Command) -> Child {
    type Request = (Command, mpsc::Sender<std::io::Result<Child>>);
    static NURSERY: LazyLock<Mutex<mpsc::Sender<Request>>> = LazyLock::new(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                reply.send(command.spawn()).ok();
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    NURSERY.lock().unwrap().send((command, reply)).unwrap();
    answer.recv().unwrap().unwrap()
}

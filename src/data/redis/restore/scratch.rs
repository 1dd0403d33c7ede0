//! A redis-server of our own, into which the RDB is loaded before the target sees it: what kills or empties a server
//! kills this one. It listens on a unix socket only, keeps nothing on disk, runs as nobody where we are root, and dies
//! with us.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::super::connection::Endpoint;
use super::super::error::RedisError;
use super::super::info::ServerVersion;

/// Prefix of its folder; the process's id follows.
const FOLDER: &str = "drydock-scratch-";
const START: Duration = Duration::from_secs(20);
/// The user and group `nobody`/`nogroup` on every Linux.
const NOBODY: u32 = 65_534;

pub(super) struct Scratch {
    pub(super) endpoint: Endpoint,
    pub(super) version: ServerVersion,
    child: Arc<Mutex<Child>>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    folder: tempfile::TempDir,
}

/// The `redis-server` to use and its version.
pub(in super::super) fn find(configured: Option<&Path>) -> Result<(PathBuf, ServerVersion), RedisError> {
    let found = match configured {
        Some(path) => Some(path.to_owned()),
        None => on_path("redis-server").or_else(|| on_path("valkey-server")),
    };
    let Some(program) = found else {
        return Err(failed("be started: there is no redis-server on the PATH", "install one, or set `scratchServer`"));
    };
    let said = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
    let said = said.map_err(|error| {
        failed(format!("be started: {} cannot be run: {error}", program.display()), "check `scratchServer`")
    })?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    let Some(version) = version else {
        let what = format!("be started: {} does not say which version of Redis it is", program.display());
        return Err(failed(what, "check `scratchServer`"));
    };
    let product = if text.to_ascii_lowercase().starts_with("valkey") { "valkey" } else { "redis" };
    Ok((program, ServerVersion::parse(product, version)))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn failed(what: impl Into<String>, next: impl Into<String>) -> RedisError {
    RedisError::Scratch { what: what.into(), next: next.into() }
}

impl Scratch {
    /// Starts one with `databases` databases and waits until it answers.
    pub(super) async fn start(configured: Option<&Path>, databases: u64) -> Result<Self, RedisError> {
        sweep();
        let (program, version) = find(configured)?;
        let folder = folder().map_err(|error| failed(format!("have a folder: {error}"), "check TMPDIR"))?;
        let socket = folder.path().join("socket");
        let mut command = as_nobody(&program);
        let (dir, log) = (folder.path().display().to_string(), folder.path().join("log").display().to_string());
        let databases = databases.to_string();
        command.args(["--port", "0", "--unixsocket"]).arg(&socket).args(["--unixsocketperm", "700", "--dir", &dir]);
        command.args(["--logfile", &log, "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(["--databases", &databases, "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]);
        if version.at_least(6, 0) {
            command.args(["--repl-diskless-load", "on-empty-db"]); // nothing of the data reaches this disk
        }
        if version.at_least(6, 2) {
            command.args(["--sanitize-dump-payload", "yes"]); // every packed value is looked into
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (child, stop, thread) =
            keep(command).map_err(|error| failed(format!("be started: {error}"), "check `scratchServer`"))?;
        let endpoint = Endpoint::socket(&socket);
        let mut scratch = Self { endpoint, version, child, stop: Some(stop), thread: Some(thread), folder };
        scratch.wait().await?;
        Ok(scratch)
    }

    async fn wait(&mut self) -> Result<(), RedisError> {
        let begun = Instant::now();
        loop {
            if let Ok(mut connection) = self.endpoint.connect().await
                && connection.command(&["PING"]).await.is_ok()
            {
                return Ok(());
            }
            if self.has_ended() || begun.elapsed() > START {
                return Err(failed(format!("be started: {}", self.last_words()), "check `scratchServer`"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(child.try_wait(), Ok(None))
    }

    /// The last warning in its log.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let warning = log.lines().rev().find(|line| line.contains(" # ") && !line.contains("bye bye"));
        let words = warning.and_then(|line| line.split_once(" # ")).map_or("it says nothing", |(_, words)| words);
        words.chars().take(300).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.stop.take();
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// A folder that only its server can use, named after this process.
fn folder() -> Result<tempfile::TempDir, std::io::Error> {
    let folder = tempfile::Builder::new().prefix(&format!("{FOLDER}{}-", std::process::id())).tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
    if is_root() {
        chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
    }
    Ok(folder)
}

/// Ends the server that works in `folder`. It dies with its parent; one whose parent was killed before it could ask for
/// that lives on, with a customer's data in memory.
fn end_orphan(folder: &Path) {
    if let Ok(mut server) = std::os::unix::net::UnixStream::connect(folder.join("socket")) {
        // What does not listen any more is at its end already.
        std::io::Write::write_all(&mut server, b"SHUTDOWN NOSAVE\r\n").ok();
    }
}

/// Removes the folders of processes that are gone.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(FOLDER)?.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            end_orphan(&entry.path());
            // Another run may be at it, or it belongs to another user.
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// As nobody where we are root, and killed with us also when we are killed: by `setpriv` (util-linux), because a child
/// cannot be told so without unsafe code.
fn as_nobody(program: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    if let Some(setpriv) = on_path("setpriv") {
        let mut command = Command::new(setpriv);
        if is_root() {
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()]);
        }
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        return command;
    }
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

type Kept = (Arc<Mutex<Child>>, mpsc::Sender<()>, std::thread::JoinHandle<()>);

/// Starts it from a thread that stays: the signal at the parent's death is bound to the thread that started the child.
fn keep(mut command: Command) -> Result<Kept, std::io::Error> {
    let (started, child) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("scratch-redis".into()).spawn(move || {
        let child = match command.spawn() {
            Ok(child) => Arc::new(Mutex::new(child)),
            Err(error) => return drop(started.send(Err(error))),
        };
        if started.send(Ok(child.clone())).is_ok() {
            stopped.recv().ok(); // until the sender is dropped
        }
        let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill().ok();
        child.wait().ok();
    })?;
    let child = child.recv().map_err(|_| std::io::Error::other("the thread that starts it has ended"))??;
    Ok((child, stop, thread))
}

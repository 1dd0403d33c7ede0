//! A redis-server of our own, into which the RDB is loaded before the target sees it: what kills or empties a server
//! kills this one. It listens on a unix socket only, keeps nothing on disk, runs as nobody where we are root, and dies
//! with us unless a person wants to keep it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::data::process::{Death, Priority, Process, User, command};
use crate::process::{may_live, on_path};

use super::super::connection::Endpoint;
use super::super::error::RedisError;
use super::super::info::ServerVersion;

/// Prefix of its folder; the process's id follows.
const FOLDER: &str = "drydock-scratch-";
const START: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) endpoint: Endpoint,
    pub(super) version: ServerVersion,
    /// Ended before its folder goes.
    process: Process,
    folder: PathBuf,
    /// Removed with it, where the folder is its own.
    _own: Option<tempfile::TempDir>,
}

/// How long it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// As long as we do, at most.
    WithUs,
    /// Until somebody ends it.
    OfItsOwn,
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

fn failed(what: impl Into<String>, next: impl Into<String>) -> RedisError {
    RedisError::Scratch { what: what.into(), next: next.into() }
}

impl Scratch {
    /// Starts one with `databases` databases in a folder of its own and waits until it answers.
    pub(super) async fn start(configured: Option<&Path>, databases: u64) -> Result<Self, RedisError> {
        sweep();
        let folder = folder().map_err(|error| failed(format!("have a folder: {error}"), "check TMPDIR"))?;
        let path = folder.path().to_owned();
        let mut scratch = Self::start_in(&path, configured, databases, Life::WithUs, Priority::Normal).await?;
        scratch._own = Some(folder);
        Ok(scratch)
    }

    /// Starts one in `folder`, which is there and empty; it becomes its own.
    pub(super) async fn start_in(
        folder: &Path,
        configured: Option<&Path>,
        databases: u64,
        life: Life,
        priority: Priority,
    ) -> Result<Self, RedisError> {
        let (program, version) = find(configured)?;
        let user = User::unprivileged(&[]);
        give(folder, user).map_err(|error| failed(format!("have a folder: {error}"), "check TMPDIR"))?;
        let socket = folder.join("socket");
        let mut command = command(&program, user, (life == Life::WithUs).then_some(Death::Kill));
        let (dir, log) = (folder.display().to_string(), folder.join("log").display().to_string());
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
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(command, Death::Kill, priority);
        let process = process.map_err(|error| failed(format!("be started: {error}"), "check `scratchServer`"))?;
        let endpoint = Endpoint::socket(&socket);
        let mut scratch = Self { endpoint, version, process, folder: folder.to_owned(), _own: None };
        scratch.wait().await?;
        Ok(scratch)
    }

    /// Lets it go on without us; it was started with a life of its own.
    pub(super) fn leave(self) {
        self.process.leave();
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
        self.process.has_ended()
    }

    /// The last warning in its log.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let warning = log.lines().rev().find(|line| line.contains(" # ") && !line.contains("bye bye"));
        let words = warning.and_then(|line| line.split_once(" # ")).map_or("it says nothing", |(_, words)| words);
        words.chars().take(300).collect()
    }
}

/// A folder that only its server can use, named after this process.
fn folder() -> Result<tempfile::TempDir, std::io::Error> {
    let folder = tempfile::Builder::new().prefix(&format!("{FOLDER}{}-", std::process::id())).tempdir()?;
    Ok(folder)
}

fn give(folder: &Path, user: Option<User>) -> Result<(), std::io::Error> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    user.map_or(Ok(()), |User { uid, gid }| chown(folder, Some(uid), Some(gid)))
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
        if pid.is_some_and(|pid| !may_live(pid, None)) {
            end_orphan(&entry.path());
            // Another run may be at it, or it belongs to another user.
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

//! PostgreSQL's own programs: which one serves a server, and how it is run without a password in its arguments.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::connect::Server;
use super::error::PostgresError;
use super::version::Version;

/// Where Debian and its kin keep every version side by side.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Of what a program says on stderr the end tells why; more is not kept in memory.
const STDERR_KEPT: usize = 4 << 10;
/// A program that was asked to end and tells the server so needs one round trip.
const END_WITHIN: Duration = Duration::from_secs(5);

/// A folder with `pg_dump`, `pg_restore` and `pg_dumpall` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    pub folder: PathBuf,
    pub version: Version,
}

impl Tools {
    /// The oldest programs that serve `server_version`: an older pg_dump refuses a newer server, and a newer one writes
    /// archives and SQL that older servers do not understand. Looks into `chosen` alone where it is set, else the PATH,
    /// then Debian's folders.
    ///
    /// # Errors
    /// `ToolMissing` with what was found.
    pub async fn find(chosen: Option<&Path>, server_version: Version, address: &str) -> Result<Self, PostgresError> {
        let mut found = BTreeMap::new();
        for folder in chosen.map_or_else(folders, |c| vec![c.to_owned()]) {
            if let Some(version) = version_of(&folder.join("pg_dump")).await {
                found.entry(version.major()).or_insert(Self { folder, version });
            }
        }
        let fits = found.range(server_version.major()..).next().map(|(_, tools)| tools.clone());
        fits.ok_or_else(|| PostgresError::ToolMissing {
            program: "pg_dump",
            needed: server_version.major_text(),
            address: address.to_owned(),
            found: if found.is_empty() {
                "none".into()
            } else {
                found
                    .values()
                    .map(|t| format!("{} in {}", t.version, t.folder.display()))
                    .collect::<Vec<_>>()
                    .join(", ")
            },
        })
    }

    /// `program` of this version, to be run against `database`: nothing secret in its arguments, nothing of our own
    /// environment's `PG…` variables, killed when its handle is dropped.
    #[must_use]
    pub fn command(&self, program: &str, server: &Server, database: &str) -> Command {
        let mut command = self.offline(program);
        command.envs(server.environment(database));
        command.arg("--no-password");
        command
    }

    /// `program` of this version for work without a server, such as `pg_restore -f -`.
    #[must_use]
    pub fn offline(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").kill_on_drop(true).stdin(Stdio::null());
        command
    }
}

pub(super) fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
    if let Ok(entries) = std::fs::read_dir(DEBIAN) {
        folders.extend(entries.flatten().map(|e| e.path().join("bin")));
    }
    folders
}

/// `None` where there is no such program, or it does not say its version.
pub(super) async fn version_of(program: &Path) -> Option<Version> {
    // Debian's wrapper on the PATH chooses a version by itself; the real ones are in its folders.
    if std::fs::canonicalize(program).ok()?.file_name() == Some(OsStr::new("pg_wrapper")) {
        return None;
    }
    let output = Command::new(program).arg("--version").env("LC_ALL", "C").stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().find_map(|word| word.parse().ok())
}

/// A program whose standard output is read as it comes.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    stderr: tokio::task::JoinHandle<String>,
}

impl Running {
    /// Starts `command` with its output as a pipe.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Result<Self, PostgresError> {
        let name = program_name(&command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|source| PostgresError::Io { what: format!("start {name}"), source })?;
        let stderr = child.stderr.take().expect("stderr was made a pipe above");
        Ok(Self { name, child, stderr: tokio::spawn(last_words(stderr)) })
    }

    /// Output in pieces of up to 256 KiB; call [`Self::finish`] afterwards, the end of output is no success.
    ///
    /// # Errors
    /// When the pipe cannot be read.
    pub async fn read(&mut self, buffer: &mut Vec<u8>) -> Result<usize, PostgresError> {
        let name = &self.name;
        let stdout = self.child.stdout.as_mut().expect("stdout was made a pipe at the start");
        buffer.clear();
        buffer.reserve(256 << 10);
        stdout.read_buf(buffer).await.map_err(|source| PostgresError::Io { what: format!("read from {name}"), source })
    }

    /// The program's standard input, once, where the command has made it a pipe.
    pub fn stdin(&mut self) -> Option<tokio::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Asks the program to end: PostgreSQL's own then tell the server to cancel what they wait for there, which a kill
    /// would leave behind. One that does not end is killed with this handle.
    pub async fn end(mut self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = tokio::time::timeout(END_WITHIN, self.child.wait()).await;
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// `Tool` with the end of what it said on stderr, unless its exit status is 0.
    pub async fn finish(mut self) -> Result<(), PostgresError> {
        let status = self
            .child
            .wait()
            .await
            .map_err(|source| PostgresError::Io { what: format!("wait for {}", self.name), source })?;
        let stderr = self.stderr.await.unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        Err(PostgresError::Tool { program: self.name, status: status.to_string(), stderr })
    }
}

/// Runs `command` to its end and returns its standard output; for outputs that are small.
///
/// # Errors
/// As [`Running::finish`].
pub async fn output(command: Command) -> Result<Vec<u8>, PostgresError> {
    let mut running = Running::start(command)?;
    let (mut all, mut piece) = (Vec::new(), Vec::new());
    while running.read(&mut piece).await? > 0 {
        all.extend_from_slice(&piece);
    }
    running.finish().await?;
    Ok(all)
}

fn program_name(command: &Command) -> String {
    let program = Path::new(command.as_std().get_program());
    program.file_name().unwrap_or(OsStr::new("program")).to_string_lossy().into_owned()
}

async fn last_words(mut stderr: tokio::process::ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut piece = Vec::with_capacity(4 << 10);
    while matches!(stderr.read_buf(&mut piece).await, Ok(n) if n > 0) {
        kept.append(&mut piece);
        if kept.len() > 2 * STDERR_KEPT {
            kept.drain(..kept.len() - STDERR_KEPT);
        }
    }
    let text = String::from_utf8_lossy(&kept).trim().to_owned();
    if text.is_empty() { "it said nothing".into() } else { text }
}

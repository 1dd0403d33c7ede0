//! A server of our own for throw-away data: made by `initdb` in a folder of its own, reachable by a unix socket in that
//! folder alone, run as an unprivileged user at low priority, gone with us. Owns which programs serve a source, and the
//! settings that trade a crash's safety for speed; refuses to hold anything that somebody needs.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::connect::Server;
use super::error::PostgresError;
use super::manifest::{self, Manifest};
use super::tools::{folders, version_of};
use super::version::Version;
use crate::data::process::{Death, Priority, Process, User, command};
use crate::repository::{NodeKind, Repository, TreeId};
use crate::stack::{PostgresSpec, Tls};

/// The superuser that `initdb` makes.
const SUPERUSER: &str = "postgres";
/// Names the socket's file; nobody listens on it over TCP.
const PORT: u16 = 5432;
/// A cluster of 18 on a slow disk starts within seconds; recovery is never needed.
const START: Duration = Duration::from_secs(60);
/// `sockaddr_un` takes 107 bytes and a zero. Source: unix(7).
const LONGEST_SOCKET: usize = 107;

/// A folder with `initdb` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPrograms {
    pub folder: PathBuf,
    pub version: Version,
}

impl ServerPrograms {
    /// The programs of the source's own major version, or the nearest newer that is installed: what an older server
    /// wrote every newer one takes, never the other way round. Looks into `chosen` alone where it is set, else the PATH,
    /// then Debian's folders.
    ///
    /// # Errors
    /// `ServerMissing` with what was found.
    pub async fn find(chosen: Option<&Path>, source: Version) -> Result<Self, PostgresError> {
        let mut found = BTreeMap::new();
        for folder in chosen.map_or_else(folders, |folder| vec![folder.to_owned()]) {
            if folder.join("initdb").is_file()
                && let Some(version) = version_of(&folder.join("postgres")).await
            {
                found.entry(version.major()).or_insert(Self { folder, version });
            }
        }
        let fits = found.range(source.major()..=Version::NEWEST_MAJOR).next().map(|(_, programs)| programs.clone());
        fits.ok_or_else(|| {
            let named = |programs: &Self| format!("{} in {}", programs.version, programs.folder.display());
            let found: Vec<String> = found.values().map(named).collect();
            PostgresError::ServerMissing {
                needed: source.major_text(),
                found: if found.is_empty() { "none".into() } else { found.join(", ") },
            }
        })
    }
}

/// The manifest of the snapshot `tree`: whose data it is, how much, of which version.
///
/// # Errors
/// When it cannot be read.
pub async fn source_of(repository: &Repository, tree: &TreeId) -> Result<Manifest, PostgresError> {
    let node = repository.find(tree, &[manifest::FILE]).await?;
    let Some(NodeKind::File { content, .. }) = node.map(|node| node.kind) else {
        return Err(PostgresError::Manifest(format!("the snapshot holds no {}", manifest::FILE)));
    };
    let mut json = Vec::new();
    let mut pieces = Box::pin(repository.stream(content));
    while let Some(piece) = futures_util::StreamExt::next(&mut pieces).await {
        json.extend_from_slice(&piece?);
    }
    Manifest::read(&json)
}

/// How a scratch server is run.
#[derive(Debug, Clone, Copy)]
pub struct SandboxOptions {
    /// Flush to disk as production does. Without it a figure for the time that a recovery takes leaves that out.
    pub fsync: bool,
    /// Let it outlive us.
    pub keep: bool,
    /// Sessions that load at once.
    pub connections: usize,
}

/// A scratch server that answers.
#[derive(Debug)]
pub struct Sandbox {
    folder: PathBuf,
    programs: PathBuf,
    version: Version,
    process: Process,
}

impl Sandbox {
    /// Makes and starts one in `folder`, which is there and empty and becomes its own, mode 0700.
    ///
    /// # Errors
    /// `Scratch` with the last words of whichever program failed.
    ///
    /// # Cancel safety
    /// Dropped half-way its process ends; the folder stays.
    pub async fn start(
        programs: &ServerPrograms,
        folder: &Path,
        options: SandboxOptions,
    ) -> Result<Self, PostgresError> {
        refuse_long(folder)?;
        let user = User::unprivileged(&[SUPERUSER]);
        let give = |path: &Path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
            user.map_or(Ok(()), |User { uid, gid }| chown(path, Some(uid), Some(gid)))
        };
        give(folder).map_err(|source| io(format!("give {} to the server's user", folder.display()), source))?;
        initialize(programs, folder, user).await?;
        let process = serve(programs, folder, user, options)?;
        let (folder, programs, version) = (folder.to_owned(), programs.folder.clone(), programs.version);
        let this = Self { folder, programs, version, process };
        this.wait().await?;
        Ok(this)
    }

    /// The document's `source`, with this server in the place of its own; without one the usual settings.
    #[must_use]
    pub fn spec(&self, source: Option<&PostgresSpec>) -> PostgresSpec {
        let source = source.cloned().unwrap_or_else(nobody);
        PostgresSpec {
            host: self.folder.display().to_string(),
            port: PORT,
            user: SUPERUSER.to_owned(),
            password: None,
            tls: Tls::Disable,
            ca_file: None,
            application: None,
            max_duration: None,
            lock_timeout: None,
            ..source
        }
    }

    /// The folder of `pg_dump` of this server's version, where it lies beside the server's programs.
    #[must_use]
    pub fn clients(&self) -> Option<PathBuf> {
        self.programs.join("pg_dump").is_file().then(|| self.programs.clone())
    }

    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// For people: `psql -h FOLDER -U postgres`.
    #[must_use]
    pub fn host(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        PORT
    }

    #[must_use]
    pub fn user(&self) -> &'static str {
        SUPERUSER
    }

    /// Lets it go on without us; it was started to be kept.
    pub fn leave(self) {
        self.process.leave();
    }

    async fn wait(&self) -> Result<(), PostgresError> {
        let server = Server::new(&self.spec(None))?;
        let begun = Instant::now();
        loop {
            match server.connect(SUPERUSER).await {
                Ok(session) => {
                    session.close().await;
                    return Ok(());
                }
                Err(_) if !self.process.has_ended() && begun.elapsed() < START => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => {
                    let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    let said = last_words(&log).unwrap_or_else(|| error.to_string());
                    return Err(scratch(format!("start: {said}")));
                }
            }
        }
    }
}

/// A document's entry without anything in it that a scratch server would take over.
fn nobody() -> PostgresSpec {
    PostgresSpec {
        host: String::new(),
        port: PORT,
        database: Some(SUPERUSER.to_owned()),
        databases: Vec::new(),
        user: String::new(),
        password: None,
        tls: Tls::Disable,
        ca_file: None,
        connections: 2,
        max_duration: None,
        lock_timeout: None,
        role_passwords: false,
        client_binaries: None,
        server_binaries: None,
        application: None,
    }
}

fn refuse_long(folder: &Path) -> Result<(), PostgresError> {
    let socket = folder.join(format!(".s.PGSQL.{PORT}"));
    if socket.as_os_str().len() <= LONGEST_SOCKET {
        return Ok(());
    }
    let what = format!("listen on {}: a socket's path has {LONGEST_SOCKET} bytes at most", socket.display());
    Err(PostgresError::Scratch { what, next: "set `spec.drill.folder` to a shorter one, or TMPDIR".into() })
}

async fn initialize(programs: &ServerPrograms, folder: &Path, user: Option<User>) -> Result<(), PostgresError> {
    let program = programs.folder.join("initdb");
    let mut command = tokio::process::Command::from(command(&program, user, Some(Death::Kill)));
    without_pg(&mut command);
    command.args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"]).arg(folder.join("data"));
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|source| io(format!("start {}", program.display()), source))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = last_words(&said).unwrap_or_else(|| output.status.to_string());
    Err(scratch(format!("be made by {}: {said}", program.display())))
}

fn serve(
    programs: &ServerPrograms,
    folder: &Path,
    user: Option<User>,
    options: SandboxOptions,
) -> Result<Process, PostgresError> {
    let program = programs.folder.join("postgres");
    let log = folder.join("log");
    let failed = |source| io(format!("start {}", program.display()), source);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
    // What the server says may quote rows.
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let mut command = command(&program, user, (!options.keep).then_some(Death::Quit));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    command.arg("-D").arg(folder.join("data")).args(["-p", &PORT.to_string(), "-k"]).arg(folder);
    for (name, value) in settings(options, available_memory()) {
        command.args(["-c", &format!("{name}={value}")]);
    }
    let error = file.try_clone().map_err(failed)?;
    command.env("LC_ALL", "C").current_dir(folder).stdin(Stdio::null()).stdout(file).stderr(error);
    Process::start(command, Death::Quit, Priority::Low).map_err(failed)
}

/// An eighth of what is free for the cache, a sixteenth a session that builds an index, within what helps: beyond it
/// the kernel's own cache serves as well.
fn settings(options: SandboxOptions, available: u64) -> Vec<(&'static str, String)> {
    let share = |part: u64| (available / part).clamp(16 << 20, 256 << 20) >> 10;
    let mut settings = vec![
        ("listen_addresses", String::new()),
        ("unix_socket_permissions", "0700".into()),
        ("max_connections", (3 * options.connections + 20).to_string()),
        ("max_locks_per_transaction", "256".into()),
        ("shared_buffers", format!("{}kB", share(8))),
        ("maintenance_work_mem", format!("{}kB", share(16))),
        // In its own folder, so that nothing of it is left in /dev/shm.
        ("dynamic_shared_memory_type", "mmap".into()),
        ("wal_level", "minimal".into()),
        ("max_wal_senders", "0".into()),
        ("archive_mode", "off".into()),
        ("max_wal_size", "256MB".into()),
        ("autovacuum", "off".into()),
        ("log_destination", "stderr".into()),
        ("logging_collector", "off".into()),
        ("log_min_messages", "warning".into()),
    ];
    if !options.fsync {
        // What a crash loses here is thrown away anyway.
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            settings.push((name, "off".into()));
        }
    }
    settings
}

/// 1 GiB where the kernel does not say.
fn available_memory() -> u64 {
    crate::data::available_memory().unwrap_or(1 << 30)
}

fn without_pg(command: &mut tokio::process::Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C");
}

/// The last line that says what is wrong.
fn last_words(text: &str) -> Option<String> {
    let wrong =
        |line: &&str| ["FATAL", "PANIC", "ERROR", "error:", "could not", "cannot"].iter().any(|w| line.contains(w));
    let line = text.lines().rev().find(wrong).or_else(|| text.lines().rev().find(|line| !line.trim().is_empty()))?;
    Some(line.trim().chars().take(300).collect())
}

fn scratch(what: String) -> PostgresError {
    let next = "look at its programs (`serverBinaries`), the disk and the memory of this machine".into();
    PostgresError::Scratch { what, next }
}

fn io(what: String, source: std::io::Error) -> PostgresError {
    PostgresError::Io { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    /// A folder whose programs say that they are of `version`.
    fn programs(folder: &Path, version: &str) -> PathBuf {
        let folder = folder.join(version);
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["postgres", "initdb"] {
            let path = folder.join(name);
            std::fs::write(&path, format!("#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn an_older_server_never_serves_a_newer_source_and_the_package_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let fifteen = programs(folder.path(), "15.14");
        let found = ServerPrograms::find(Some(&fifteen), Version(90_605)).await.unwrap();
        assert_eq!((found.version, found.folder), (Version(150_014), fifteen.clone()));
        let error = ServerPrograms::find(Some(&fifteen), Version(160_000)).await.unwrap_err();
        assert!(error.to_string().contains("version 16") && error.to_string().contains("15.14 in"), "{error}");
        assert!(error.hint().unwrap().contains("apt-get install postgresql-16"), "{:?}", error.hint());
    }

    #[test]
    fn what_makes_it_fast_is_left_out_on_request() {
        let options = SandboxOptions { fsync: true, keep: false, connections: 2 };
        let names = |options| settings(options, 1 << 30).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert!(!names(options).contains(&"fsync"));
        assert!(names(SandboxOptions { fsync: false, ..options }).contains(&"fsync"));
        assert!(settings(options, 64 << 20).contains(&("shared_buffers", "16384kB".into())));
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused_before_anything_is_made() {
        let error = refuse_long(Path::new(&format!("/tmp/{}", "x".repeat(100)))).unwrap_err();
        assert!(error.hint().unwrap().contains("spec.drill.folder"));
        refuse_long(Path::new("/tmp/drydock-drill-0123456789ab/0")).unwrap();
    }
}

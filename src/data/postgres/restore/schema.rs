//! The SQL of the schema: taken from the archive with `pg_restore`, run statement by statement, stopped at the first
//! error. `pg_restore` itself is never let near the target: servers 9.5 and 9.6 have no client of their own, and newer
//! ones send settings that older servers do not know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::super::connect::Session;
use super::super::error::PostgresError;
use super::super::manifest::Database;
use super::super::tools::{Running, Tools};
use super::super::version::Version;
use super::adapt::adapted;
use super::entries::{self, Entry, Script, Section};
use super::error::RestoreError;
use super::files::Files;

/// A database's schema: what comes before its rows and what comes after.
#[derive(Debug)]
pub struct Schema {
    pub before: Script,
    pub after: Script,
}

/// Reads both sections of `database`'s archive.
pub async fn read(files: &Files, database: &Database, tools: &Tools) -> Result<Schema, RestoreError> {
    let before = section(files, database, tools, Section::PreData).await?;
    let after = section(files, database, tools, Section::PostData).await?;
    Ok(Schema { before, after })
}

async fn section(files: &Files, database: &Database, tools: &Tools, section: Section) -> Result<Script, RestoreError> {
    let sql = print(files, &database.schema_dump.file, tools, section).await?;
    let sql = String::from_utf8(sql).map_err(|_| PostgresError::Unexpected {
        what: format!("reading {}", database.schema_dump.file),
        how: "not UTF-8".into(),
    })?;
    let mut script =
        entries::read(&sql).map_err(|source| RestoreError::Script { database: database.name.clone(), source })?;
    script.entries.retain(|entry| !entry.is_of_the_database() && !is_made_elsewhere(entry));
    Ok(script)
}

/// `pg_restore --verbose -f -`: with each entry's number and dependencies in comments.
async fn print(files: &Files, path: &str, tools: &Tools, section: Section) -> Result<Vec<u8>, RestoreError> {
    let mut archive = Box::pin(files.stream(path).await?);
    let mut command = tools.offline("pg_restore");
    command.arg("--verbose").arg(section.argument()).stdin(std::process::Stdio::piped());
    // Before 12 standard output is the default, and `-` would be a file of that name.
    if tools.version >= Version::V12 {
        command.args(["-f", "-"]);
    }
    let mut running = Running::start(command)?;
    let mut stdin = running.stdin().expect("stdin was made a pipe above");
    let feed = async move {
        while let Some(piece) = archive.next().await {
            // It may have read enough and left; its own exit status tells whether that was right.
            if stdin.write_all(&piece?).await.is_err() {
                break;
            }
        }
        drop(stdin);
        Ok::<(), RestoreError>(())
    };
    let drain = async {
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        while running.read(&mut piece).await? > 0 {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    };
    let ((), sql) = tokio::try_join!(feed, drain)?;
    running.finish().await?;
    Ok(sql)
}

/// Large objects are made from drydock's own list; a subscription would pull changes from production into a copy;
/// statistics are gathered anew.
fn is_made_elsewhere(entry: &Entry) -> bool {
    match entry.kind.as_str() {
        "BLOB" | "BLOBS" | "BLOB METADATA" | "SUBSCRIPTION" | "SUBSCRIPTION TABLE" | "STATISTICS DATA" => true,
        "ACL" | "COMMENT" | "SECURITY LABEL" => {
            ["LARGE OBJECT", "SUBSCRIPTION "].iter().any(|kind| entry.name.starts_with(kind))
        }
        _ => false,
    }
}

/// What all sessions that create a database's objects share.
#[derive(Debug)]
pub struct Workshop {
    /// The database's name in messages.
    pub database: String,
    /// What the target's `pg_settings` knows.
    pub settings: BTreeSet<String>,
    pub tablespaces: BTreeSet<String>,
    pub superuser: bool,
    notes: Mutex<BTreeSet<String>>,
    /// Titles of entries that were not made, because only a superuser may.
    skipped: Mutex<Vec<Entry>>,
}

impl Workshop {
    pub fn new(database: &str, settings: BTreeSet<String>, tablespaces: BTreeSet<String>, superuser: bool) -> Self {
        Self {
            database: database.to_owned(),
            settings,
            tablespaces,
            superuser,
            notes: Mutex::default(),
            skipped: Mutex::default(),
        }
    }

    pub fn note(&self, note: impl Into<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(note.into());
    }

    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub fn skipped(&self) -> Vec<Entry> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One session that creates objects.
#[derive(Debug)]
pub struct Builder {
    pub session: Session,
    workshop: Arc<Workshop>,
    /// What was last set of the settings that change from entry to entry.
    current: BTreeMap<String, String>,
}

impl Builder {
    /// Sets `session` up as the script's own head does, without what the target does not know and what is ours.
    pub async fn new(session: Session, script: &Script, workshop: &Arc<Workshop>) -> Result<Self, RestoreError> {
        let ours = ["client_encoding", "statement_timeout", "lock_timeout", "client_min_messages"];
        let sets: String = script
            .session
            .iter()
            .filter(|(name, _)| !ours.contains(&name.as_str()) && workshop.settings.contains(*name))
            .map(|(name, value)| format!("SET {name} = {value};\n"))
            .collect();
        session.batch("setting the session up as the schema wants it", &sets).await?;
        Ok(Self { session, workshop: Arc::clone(workshop), current: BTreeMap::new() })
    }

    /// Creates what `entry` says.
    ///
    /// # Errors
    /// The first statement that fails, by its beginning and its entry's name.
    pub async fn create(&mut self, entry: &Entry) -> Result<(), RestoreError> {
        self.apply(entry).await?;
        for statement in &entry.statements {
            let statement = adapted(entry, statement, self.session.version);
            let what = format!("creating {}", entry.title());
            match self.session.batch(&what, &statement).await {
                Ok(()) => {}
                Err(source) if self.may_be_left_out(entry, &statement, &source) => {}
                Err(source) => return Err(self.failed(entry, &statement, source)),
            }
        }
        Ok(())
    }

    async fn apply(&mut self, entry: &Entry) -> Result<(), RestoreError> {
        let mut sets = String::new();
        for (name, value) in entry.settings.iter() {
            if !self.workshop.settings.contains(name) || self.current.get(name) == Some(value) {
                continue;
            }
            let tablespace = value.trim_matches(|c| c == '\'' || c == '"').replace("\"\"", "\"");
            if name == "default_tablespace"
                && !tablespace.is_empty()
                && !self.workshop.tablespaces.contains(&tablespace)
            {
                self.workshop.note(format!("tablespace {tablespace} is not there: its objects are in the default one"));
                sets.push_str("SET default_tablespace = '';\n");
            } else {
                sets.push_str(&format!("SET {name} = {value};\n"));
            }
            self.current.insert(name.clone(), value.clone());
        }
        if !sets.is_empty() {
            self.session.batch(&format!("creating {}", entry.title()), &sets).await?;
        }
        Ok(())
    }

    /// What only a superuser may do is left out, and said, when a managed server's administrator restores: owners that he
    /// is no member of, event triggers, comments and privileges on what the provider owns.
    fn may_be_left_out(&self, entry: &Entry, statement: &str, error: &PostgresError) -> bool {
        let denied = matches!(error, PostgresError::Privilege { .. });
        if self.workshop.superuser || !denied {
            return false;
        }
        let user = &self.session.server.user;
        if statement.starts_with("ALTER ") && statement.contains(" OWNER TO ") {
            let owner = statement.rsplit(" OWNER TO ").next().unwrap_or_default();
            self.workshop.note(format!("`{user}` owns {} instead of {owner}: {error}", entry.title()));
            return true;
        }
        let kinds = ["EVENT TRIGGER", "COMMENT", "SECURITY LABEL", "ACL", "DEFAULT ACL", "PUBLICATION"];
        if kinds.contains(&entry.kind.as_str()) {
            self.workshop.note(format!("{} was left out: {error}", entry.title()));
            self.workshop.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(entry.clone());
            return true;
        }
        false
    }

    fn failed(&self, entry: &Entry, statement: &str, source: PostgresError) -> RestoreError {
        /// Enough to find it in the schema; a function's body may be long.
        const SHOWN: usize = 160;
        // Of foreign servers and user mappings the options hold passwords.
        let told = statement.split(" OPTIONS ").next().unwrap_or_default();
        let mut shown: String = told.chars().take(SHOWN).collect();
        if shown.len() < statement.len() {
            shown.push('…');
        }
        RestoreError::Statement {
            database: self.workshop.database.clone(),
            entry: entry.title(),
            statement: shown,
            source: Box::new(source),
        }
    }
}

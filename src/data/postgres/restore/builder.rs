//! Creates a schema's objects statement by statement and stops at the first error, by its entry's name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::connect::Session;
use super::super::error::PostgresError;
use super::adapt::adapted;
use super::entries::{Entry, EntryId, Script};
use super::error::RestoreError;

/// What all sessions that create a database's objects share.
#[derive(Debug)]
pub struct Workshop {
    /// The database's name in messages.
    pub database: String,
    /// What the target's `pg_settings` knows.
    pub settings: BTreeSet<String>,
    pub tablespaces: BTreeSet<String>,
    pub superuser: bool,
    /// What a person should know, and of which objects.
    notes: Mutex<BTreeMap<String, Vec<String>>>,
    /// Entries that were not made, because only a superuser may.
    skipped: Mutex<Vec<Entry>>,
    /// `ALTER … OWNER TO` that were refused, and whose they are.
    owners: Mutex<Vec<(String, String)>>,
}

/// A note names this many objects.
const NAMED: usize = 5;

impl Workshop {
    pub fn new(database: &str, settings: BTreeSet<String>, tablespaces: BTreeSet<String>, superuser: bool) -> Self {
        Self {
            database: database.to_owned(),
            settings,
            tablespaces,
            superuser,
            notes: Mutex::default(),
            skipped: Mutex::default(),
            owners: Mutex::default(),
        }
    }

    /// Adds `object` to those of which `what` holds.
    pub fn note(&self, what: impl Into<String>, object: impl Into<String>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.entry(what.into()).or_default().push(object.into());
    }

    /// One sentence for each thing to know, with the first few objects.
    pub fn notes(&self) -> Vec<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = |(what, objects): (&String, &Vec<String>)| {
            let named = objects.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let more = objects.len().saturating_sub(NAMED);
            if more == 0 { format!("{what}: {named}") } else { format!("{what}: {named} and {more} more") }
        };
        notes.iter().map(sentence).collect()
    }

    fn skip(&self, entry: &Entry) {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(entry.clone());
    }

    fn has_skipped(&self, ids: &[EntryId]) -> bool {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|entry| ids.contains(&entry.id))
    }

    pub fn skipped(&self) -> Vec<Entry> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is left out when somebody may not do it.
enum Without {
    Statement,
    Entry,
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

    pub fn workshop(&self) -> &Workshop {
        &self.workshop
    }

    /// Creates what `entry` says.
    ///
    /// # Errors
    /// The first statement that fails, by its beginning and its entry's name.
    pub async fn create(&mut self, entry: &Entry) -> Result<(), RestoreError> {
        // What hangs on something that was left out: its comment.
        if self.workshop.has_skipped(&entry.depends_on) {
            return Ok(());
        }
        self.apply(entry).await?;
        for statement in &entry.statements {
            let statement = adapted(entry, statement, self.session.version);
            let what = format!("creating {}", entry.title());
            let Err(error) = self.session.batch(&what, &statement).await else { continue };
            match self.without(entry, &statement, &error) {
                Some(Without::Statement) => {}
                Some(Without::Entry) => return Ok(()),
                None => return Err(self.failed(entry, &statement, error)),
            }
        }
        Ok(())
    }

    /// Tries the owners again that were refused: a new owner needs CREATE on the schema, which the privileges have
    /// given him meanwhile.
    pub async fn give_to_owners(&mut self) -> Result<(), RestoreError> {
        let owners = std::mem::take(&mut *self.workshop.owners.lock().unwrap_or_else(PoisonError::into_inner));
        for (title, statement) in owners {
            match self.session.batch(&format!("giving {title} to its owner"), &statement).await {
                Ok(()) => {}
                Err(PostgresError::Privilege { user, message, .. }) => {
                    let owner = statement.rsplit(" OWNER TO ").next().unwrap_or_default();
                    let what = format!("owned by `{user}` instead of {owner} ({})", message.message);
                    self.workshop.note(what, title);
                }
                Err(error) => return Err(error.into()),
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
                self.workshop
                    .note(format!("tablespace {tablespace} is not there, so in the default one"), entry.title());
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
    fn without(&self, entry: &Entry, statement: &str, error: &PostgresError) -> Option<Without> {
        let PostgresError::Privilege { message, .. } = error else { return None };
        if self.workshop.superuser {
            return None;
        }
        if statement.starts_with("ALTER ") && statement.contains(" OWNER TO ") {
            let mut owners = self.workshop.owners.lock().unwrap_or_else(PoisonError::into_inner);
            owners.push((entry.title(), statement.to_owned()));
            return Some(Without::Statement);
        }
        let kinds = ["EVENT TRIGGER", "COMMENT", "SECURITY LABEL", "ACL", "DEFAULT ACL", "PUBLICATION"];
        kinds.contains(&entry.kind.as_str()).then(|| {
            self.workshop.note(format!("left out ({})", message.message), entry.title());
            self.workshop.skip(entry);
            Without::Entry
        })
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

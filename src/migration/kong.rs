//! Kong: `bootstrap`, `up` and `finish`, and how far a database is. Exit codes of these commands say nothing (0 when another
//! node holds the lock, 0 for "already bootstrapped" after a crash); what counts is what `schema_meta` holds and what the
//! target image makes of it.
//!
//! Source: Kong's `kong/cmd/migrations.lua`, `kong/cmd/utils/migrations.lua`, `kong/db/init.lua`,
//! `kong/db/migrations/state.lua`, `kong/db/strategies/postgres/connector.lua`.

mod said;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Category, Failure};

pub use said::{NotSaid, Status, Subsystem};

/// What the database holds; read by [`super::facts::kong`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    /// The rows of `schema_meta` by subsystem (`core`, a plugin's name); none where there is no such table.
    pub schema_meta: Option<BTreeMap<String, Recorded>>,
    /// Whether there is a table `locks`.
    pub has_locks: bool,
    /// Who migrates at this time.
    pub lock: Option<Lock>,
    /// Whether there are tables of a Kong before 1.0.
    pub is_before_one: bool,
}

/// What one subsystem has behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recorded {
    pub executed: BTreeSet<String>,
    /// `up` has run, `finish` has not.
    pub pending: BTreeSet<String>,
}

/// The row `migrations` of `locks`, not yet expired by the database's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lock {
    pub owner: String,
    /// Kong never renews it.
    pub until: Timestamp,
}

/// All that a decision rests on.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub database: &'a Database,
    /// What the target image's `kong migrations status` printed, with the environment of the proxies: with other plugins it
    /// says something else.
    pub status: &'a Status,
    /// The exit code of the target image's `kong migrations list`; none where it was not asked.
    pub list: Option<i32>,
    /// The caller has proven that whoever took the lock is gone: the row was not there before an attempt of this run began,
    /// and that attempt's pods are.
    pub lock_is_abandoned: bool,
}

/// How far the caller wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// Old and new nodes can both run: `up` is through, `finish` has not begun.
    Expanded,
    /// Nothing is left to do; nodes of the former version cannot start any more.
    Finished,
}

/// One of `kong migrations`' commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    Bootstrap,
    Up,
    Finish,
}

/// What is to be done; after it the facts are read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Run(Command),
    /// Have [`super::facts::mend`] do what no command of Kong's does.
    Mend(Mend),
    /// Another node migrates.
    Wait(Lock),
    Done,
}

/// What is done to the database itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Mend {
    /// A `bootstrap` was cut off between its two tables; this makes the second.
    CreateLocks,
    /// Deletes this row, whose owner is gone.
    Unlock(Lock),
}

/// Why nothing may be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the database was migrated by a newer Kong than this image: it does not know {0}")]
    Newer(String),
    #[error("migrations that come before executed ones were never run: {0}")]
    Gap(String),
    #[error("the database belongs to a Kong before 1.0")]
    BeforeOne,
    #[error("the database holds nothing of Kong, but a former release migrated it to {0}")]
    Vanished(String),
    #[error("{pending} still wait for `kong migrations finish`, and `up` refuses to run before it")]
    Unfinished { pending: String },
    #[error("the gate and the Job look at different databases: {0}")]
    OtherDatabase(String),
}

impl Failure for Refused {
    fn category(&self) -> Category {
        match self {
            Self::Newer(_) | Self::BeforeOne => Category::Usage,
            Self::OtherDatabase(_) => Category::Usage,
            Self::Gap(_) | Self::Vanished(_) | Self::Unfinished { .. } => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Newer(_) => "deploy the version that migrated it, or a later one; or restore a recovery point from before".into(),
            Self::Gap(_) => "compare `kong migrations status` with the table schema_meta: the image is another build, or rows were edited".into(),
            Self::BeforeOne => "migrate it with Kong 0.14, then 1.5, then 2.8".into(),
            Self::Vanished(_) => "look whether this is the right database; if its data is lost, restore a recovery point".into(),
            Self::Unfinished { .. } => "once no node of the version before the last `up` runs: kong migrations finish".into(),
            Self::OtherDatabase(_) => "compare the Job's KONG_PG_HOST, KONG_PG_DATABASE and KONG_PG_SCHEMA with the data set".into(),
        })
    }
}

/// What comes next on the way to `goal`. `migrated_to` is the version that a former release is recorded to have reached.
///
/// An interrupted `bootstrap` needs no memory of it: Kong takes the bare table `schema_meta` for bootstrapped, so what is left
/// is `up` and `finish`.
///
/// # Errors
/// What no command of Kong's would notice.
pub fn decide(facts: &Facts<'_>, goal: Goal, migrated_to: Option<&str>) -> Result<Next, Refused> {
    let Facts { database, status, .. } = facts;
    contradictions(facts)?;
    let Some(recorded) = &database.schema_meta else {
        return match migrated_to {
            _ if database.is_before_one => Err(Refused::BeforeOne),
            Some(version) => Err(Refused::Vanished(version.to_owned())),
            None => Ok(Next::Run(Command::Bootstrap)),
        };
    };
    judge_history(recorded, status)?;
    let next = match (goal, status.new_migrations.is_empty(), status.pending_migrations.is_empty()) {
        (_, true, true) | (Goal::Expanded, true, false) => return Ok(Next::Done),
        (_, false, true) => Command::Up,
        // `up` refuses while anything is pending: an earlier upgrade's `finish` is missing, or an `up` was cut off.
        (Goal::Expanded, false, false) => {
            return Err(Refused::Unfinished { pending: listed(&status.pending_migrations) });
        }
        (Goal::Finished, _, false) => Command::Finish,
    };
    Ok(match &database.lock {
        _ if !database.has_locks => Next::Mend(Mend::CreateLocks),
        Some(lock) if facts.lock_is_abandoned => Next::Mend(Mend::Unlock(lock.clone())),
        Some(lock) => Next::Wait(lock.clone()),
        None => Next::Run(next),
    })
}

/// Two sources of the same truth that do not agree: then one of them is about another database, or another image.
fn contradictions(facts: &Facts<'_>) -> Result<(), Refused> {
    let Facts { database, status, list, .. } = facts;
    let there = database.schema_meta.is_some();
    if status.needs_bootstrap == there {
        let (gate, job) = if there { ("has a", "none") } else { ("has no", "one") };
        return Err(Refused::OtherDatabase(format!("the gate's {gate} table schema_meta, the Job sees {job}")));
    }
    let expected =
        match (status.needs_bootstrap, status.pending_migrations.is_empty(), status.new_migrations.is_empty()) {
            (true, ..) => 3,
            (_, false, _) => 4,
            (_, _, false) => 5,
            _ => 0,
        };
    match list {
        Some(code) if *code != expected => {
            Err(Refused::OtherDatabase(format!("`list` ends with {code} where `status` stands for {expected}")))
        }
        _ => Ok(()),
    }
}

/// Refuses what Kong walks past: it looks only for migrations that its image knows.
fn judge_history(recorded: &BTreeMap<String, Recorded>, status: &Status) -> Result<(), Refused> {
    let known = status.known();
    let newer: Vec<String> = recorded
        .iter()
        // A plugin that is not loaded says nothing: its rows stay when it is switched off.
        .filter_map(|(subsystem, rows)| Some((subsystem, rows, known.get(subsystem.as_str())?)))
        .flat_map(|(subsystem, rows, known)| {
            let names = rows.executed.iter().chain(&rows.pending).filter(|name| !known.contains(name.as_str()));
            names.map(move |name| format!("{subsystem} {name}"))
        })
        .collect();
    if !newer.is_empty() {
        return Err(Refused::Newer(newer.join(", ")));
    }
    if status.missing_migrations.is_empty() { Ok(()) } else { Err(Refused::Gap(listed(&status.missing_migrations))) }
}

fn listed(parts: &[Subsystem]) -> String {
    let part = |part: &Subsystem| format!("{} {}", part.subsystem, part.migrations.join(", "));
    parts.iter().map(part).collect::<Vec<_>>().join("; ")
}

impl Command {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Up => "up",
            Self::Finish => "finish",
        }
    }

    /// Whether what this is for has come about, by facts read after it; its exit code does not tell.
    #[must_use]
    pub fn holds(self, database: &Database, status: &Status) -> bool {
        let bootstrapped = database.schema_meta.is_some() && !status.needs_bootstrap;
        bootstrapped
            && match self {
                Self::Bootstrap => status.new_migrations.is_empty() && status.pending_migrations.is_empty(),
                Self::Up => status.new_migrations.is_empty(),
                Self::Finish => status.pending_migrations.is_empty(),
            }
    }

    /// The words that a Job with this deadline runs. Both limits are above Kong's defaults (5 to 60 s):
    ///
    /// - `--db-timeout` ends a single statement, and the default cuts an index on a large table off; the Job's own deadline
    ///   ends what hangs.
    /// - `--lock-timeout` is also the lock's time to live, which Kong never renews: were it shorter than the migration, a
    ///   second node could enter while the first is at work. So it outlives the Job, its grace period included.
    #[must_use]
    pub fn arguments(self, deadline: Duration) -> Vec<String> {
        let (statement, lock) = (deadline.as_secs().max(60), lock_timeout(deadline).as_secs());
        ["kong", "migrations", self.word(), "--db-timeout", &statement.to_string(), "--lock-timeout", &lock.to_string()]
            .map(str::to_owned)
            .to_vec()
    }
}

/// How long the lock lives that a Job with this deadline takes.
#[must_use]
pub fn lock_timeout(deadline: Duration) -> Duration {
    /// Longer than the 30 s that Kubernetes gives a pod to end.
    const GRACE: Duration = Duration::from_secs(120);
    (deadline + GRACE).max(Duration::from_secs(180))
}

//! Strapi: it migrates while it starts, and there is no command that does so without starting. So one pod alone is started,
//! and the database tells when that is through. An older image on a newer schema starts healthy and drops columns, so it is
//! refused by what a former release is recorded to have reached.
//!
//! Source: Strapi's `packages/core/database/src/schema/index.ts` (`sync`), `schema/storage.ts`, `migrations/`.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::version::Version;
use crate::failure::{Category, Failure};

/// What the database holds; read by [`super::facts::strapi`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    /// Tables that no extension made, Strapi's bookkeeping left out.
    pub tables: u64,
    /// The hashes in `strapi_database_schema`; none where there is no such table. Strapi deletes and inserts its one row
    /// outside a transaction, around all its DDL.
    pub schema_hashes: Option<Vec<String>>,
    /// The names in `strapi_migrations` and `strapi_migrations_internal`, with how often each stands there.
    pub migrations: BTreeMap<String, u64>,
}

/// A pod of the component that is not gone. One on a node that does not answer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    /// Of the target image, started by this step.
    pub is_ours: bool,
    pub is_ready: bool,
}

/// All that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub database: &'a Database,
    pub pods: &'a [Pod],
    pub version: &'a Version,
    /// The version that a former release is recorded to have begun with, whether or not it came through.
    pub migrated_to: Option<&'a Version>,
    /// What the database held before this step.
    pub before: &'a Database,
    /// The hash that a rehearsal of the same image ended with.
    pub expected: Option<&'a str>,
}

/// What is to be done; after it the facts are read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Scale to zero, and wait until these are gone.
    Stop(Vec<String>),
    /// Start one pod of the target version, as [`alone`] has it.
    StartOne(Why),
    /// It is at work.
    Wait { pod: String },
    /// One pod is ready and the database is whole; now the others may start.
    Done(Done),
}

/// What the one pod will find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Empty,
    Upgrade,
    /// An earlier start ran migrations and died before it wrote the schema; it starts again from there.
    HalfDone,
}

/// How it is known to be through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub schema: Schema,
    /// Migrations on record more than once: two pods started at the same time, and ran them both.
    pub ran_twice: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// The hash is the rehearsal's.
    AsExpected,
    /// The hash is another than before.
    Changed,
    /// The same hash, and a pod of the new version is ready, which Strapi is only after its schema is in step.
    Unchanged,
}

/// Why nothing may be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "Strapi {version} is older than {migrated_to}, which the database was migrated to: it would start and drop what it does not know"
    )]
    Older { version: Version, migrated_to: Version },
    #[error("whether Strapi {version} is older than {migrated_to} cannot be told")]
    Inexact { version: Version, migrated_to: Version },
    #[error("there is nothing of Strapi in the database, but a former release migrated it to {0}")]
    Vanished(Version),
    #[error("the database has {tables} tables, and nothing of Strapi among them")]
    Foreign { tables: u64 },
    #[error("strapi_database_schema has {0} rows where Strapi keeps one: two pods changed the schema at the same time")]
    SeveralSchemas(usize),
    #[error(
        "the schema has the hash {found} where the rehearsal had {expected}: this is not the image or the content that was rehearsed"
    )]
    NotAsRehearsed { found: String, expected: String },
}

impl Failure for Refused {
    fn category(&self) -> Category {
        match self {
            Self::Older { .. } | Self::Inexact { .. } | Self::Foreign { .. } => Category::Usage,
            Self::Vanished(_) | Self::SeveralSchemas(_) | Self::NotAsRehearsed { .. } => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Older { migrated_to, .. } => format!(
                "deploy {migrated_to} or later, or restore a recovery point of database and uploads from before {migrated_to}"
            ),
            Self::Inexact { .. } => "give the image a tag with all its numbers, such as `5.54.0`".into(),
            Self::Vanished(_) => {
                "look whether this is the right database; if its data is lost, restore a recovery point".into()
            }
            Self::Foreign { .. } => "give Strapi a database of its own: it drops tables that it does not know".into(),
            Self::SeveralSchemas(_) => {
                "scale Strapi to zero and restore the recovery point from before this upgrade".into()
            }
            Self::NotAsRehearsed { .. } => {
                "compare the image's digest with the rehearsal's; if it is meant to differ, rehearse again".into()
            }
        })
    }
}

/// What comes next.
///
/// # Errors
/// What Strapi would start with, and lose data.
pub fn decide(facts: &Facts<'_>) -> Result<Next, Refused> {
    let Facts { database, pods, before, .. } = *facts;
    refuse_older(facts)?;
    let why = found(database, facts.migrated_to)?;
    if let Some(hashes) = database.schema_hashes.as_deref().filter(|hashes| hashes.len() > 1) {
        return Err(Refused::SeveralSchemas(hashes.len()));
    }
    let (ours, foreign): (Vec<&Pod>, Vec<&Pod>) = pods.iter().partition(|pod| pod.is_ours);
    let names = |pods: &[&Pod]| pods.iter().map(|pod| pod.name.clone()).collect();
    match ours.as_slice() {
        _ if !foreign.is_empty() => Ok(Next::Stop(names(&foreign))),
        [] => Ok(Next::StartOne(why)),
        [pod] if !pod.is_ready => Ok(Next::Wait { pod: pod.name.clone() }),
        [pod] => match database.schema_hashes.as_deref() {
            Some([hash]) => {
                Ok(Next::Done(Done { schema: judge(hash, before, facts.expected)?, ran_twice: twice(database) }))
            }
            _ => Ok(Next::Wait { pod: pod.name.clone() }), // ready without a schema on record: what Strapi never is for long
        },
        several => Ok(Next::Stop(names(several))),
    }
}

fn refuse_older(facts: &Facts<'_>) -> Result<(), Refused> {
    let Some(migrated_to) = facts.migrated_to else { return Ok(()) };
    let (version, migrated_to) = (facts.version.clone(), migrated_to.clone());
    match version.compared_with(&migrated_to) {
        Some(Ordering::Less) => Err(Refused::Older { version, migrated_to }),
        Some(_) => Ok(()),
        None => Err(Refused::Inexact { version, migrated_to }),
    }
}

fn found(database: &Database, migrated_to: Option<&Version>) -> Result<Why, Refused> {
    match (&database.schema_hashes, database.tables, migrated_to) {
        (Some(hashes), 1.., _) if hashes.is_empty() => Ok(Why::HalfDone),
        (Some(hashes), ..) if !hashes.is_empty() => Ok(Why::Upgrade),
        (_, _, Some(version)) => Err(Refused::Vanished(version.clone())),
        (Some(_), ..) | (None, 0, _) => Ok(Why::Empty),
        (None, tables, None) => Err(Refused::Foreign { tables }),
    }
}

fn judge(hash: &str, before: &Database, expected: Option<&str>) -> Result<Schema, Refused> {
    let was = before.schema_hashes.as_deref().is_some_and(|hashes| hashes == [hash]);
    match expected {
        Some(expected) if expected == hash => Ok(Schema::AsExpected),
        Some(expected) => Err(Refused::NotAsRehearsed { found: hash.to_owned(), expected: expected.to_owned() }),
        None if was => Ok(Schema::Unchanged),
        None => Ok(Schema::Changed),
    }
}

fn twice(database: &Database) -> Vec<String> {
    database.migrations.iter().filter(|(_, count)| **count > 1).map(|(name, _)| name.clone()).collect()
}

/// `workload` as it must be while it migrates: one pod, the former gone before the next is made. A Deployment's rolling
/// update would start the new beside the old, and two that start at once both migrate.
#[must_use]
pub fn alone(workload: &Value) -> Value {
    let mut workload = workload.clone();
    if let Some(spec) = workload.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".into(), 1.into());
    }
    if workload["kind"] == "Deployment" {
        workload["spec"]["strategy"] = json!({"type": "Recreate"});
    }
    workload
}

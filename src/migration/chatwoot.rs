//! Chatwoot: `rails db:chatwoot_prepare`, which takes a database without the table `ar_internal_metadata` for a new one,
//! loads its schema over whatever is there, seeds, and exits 0. So the database is looked at before, and what is there
//! afterwards decides, not the exit code.
//!
//! Source: Chatwoot's `lib/tasks/db_enhancements.rake`, Rails' `ActiveRecord::Migrator` (versions, advisory lock).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::paths::Need;
use crate::failure::{Category, Failure};

/// What is to be run in the image.
pub const PREPARE: [&str; 4] = ["bundle", "exec", "rails", "db:chatwoot_prepare"];

/// Lists the environment and the migrations that the image has; [`environment`] and [`Versions::of_listing`] read it. It
/// needs no database. The environment is asked of the image, whose own RAILS_ENV holds where the pod's does not say another.
pub const LIST: [&str; 3] = ["sh", "-c", "echo \"RAILS_ENV=$RAILS_ENV\"; ls db/migrate"];

/// The environment that the listing tells; Rails' own default where it is not set.
#[must_use]
pub fn environment(listing: &str) -> &str {
    let said = listing.lines().find_map(|line| line.trim().strip_prefix("RAILS_ENV="));
    said.filter(|said| !said.is_empty()).unwrap_or("development")
}

/// What the database holds; read by [`super::facts::chatwoot`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    /// False where the server has no database of this name.
    pub exists: bool,
    /// Tables that no extension made.
    pub tables: u64,
    /// The rows of `schema_migrations`; none where there is no such table.
    pub schema_migrations: Option<BTreeSet<String>>,
    /// Whether there is a table `ar_internal_metadata`.
    pub has_internal_metadata: bool,
    /// What it says: `production`.
    pub environment: Option<String>,
    /// Extensions that are installed in it or could be.
    pub extensions: BTreeSet<String>,
    /// Another session holds Rails' migration lock.
    pub is_locked: bool,
}

/// The versions of the migrations that an image has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions(BTreeSet<String>);

impl Versions {
    /// Reads names such as `20230101000000_base.rb`, one a line; other lines are left out, as Rails does.
    #[must_use]
    pub fn of_listing(listing: &str) -> Self {
        let version = |line: &str| {
            let name = line.trim().rsplit('/').next()?.strip_suffix(".rb")?;
            let (version, _) = name.split_once('_')?;
            let is_number = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| version.to_owned())
        };
        Self(listing.lines().filter_map(version).collect())
    }
}

/// All that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub database: &'a Database,
    /// Of the target image.
    pub image: &'a Versions,
    /// What the target version wants of the database ([`super::paths::needs`]).
    pub needs: &'a [&'a Need],
    /// The RAILS_ENV that the Job will have.
    pub environment: &'a str,
    /// The version that a former release is recorded to have reached.
    pub migrated_to: Option<&'a str>,
}

/// What is to be done; after it the facts are read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run [`PREPARE`].
    Prepare(Effect),
    /// Another session migrates; Rails would fail with `ConcurrentMigrationError`.
    Wait,
    /// Every migration of the image has run.
    Done,
}

/// What `db:chatwoot_prepare` will do to this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Create it, load the schema, seed.
    Create,
    /// Load the schema into an empty one, seed.
    Load,
    /// Run these migrations.
    Migrate(Vec<String>),
}

/// Why it must not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "db:chatwoot_prepare would wipe the database: it has {tables} tables but no `ar_internal_metadata`, \
         by which Rails tells a new database from one in use"
    )]
    Wipe { tables: u64, migrations: usize, environment: String },
    #[error("the database has {tables} tables but none `schema_migrations`: every migration would run again")]
    NoHistory { tables: u64 },
    #[error("the database was migrated by a newer Chatwoot than this image: it does not have {0}")]
    Newer(String),
    #[error("there is nothing in the database, but a former release migrated it to {0}")]
    Vanished(String),
    #[error("the database belongs to the environment `{found}`, the Job runs in `{expected}`")]
    Environment { found: String, expected: String },
    #[error("the server does not offer the extension `{extension}`: {why}")]
    Extension { extension: String, why: String },
    #[error("the image tells none of its migrations")]
    NoVersions,
}

impl Failure for Refused {
    fn category(&self) -> Category {
        match self {
            Self::Newer(_) | Self::Environment { .. } | Self::Extension { .. } | Self::NoVersions => Category::Usage,
            Self::Wipe { .. } | Self::NoHistory { .. } | Self::Vanished(_) => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Wipe { migrations: 0, .. } => {
                "if it holds Chatwoot's data, restore a recovery point; if it holds nothing of worth, drop and create it".into()
            }
            Self::Wipe { migrations, environment, .. } => format!(
                "its {migrations} migrations are recorded, so it is likely a restore that lost this one table: restore a \
                 recovery point, or, if all else is whole, make the table with the version that runs now: \
                 RAILS_ENV={environment} bundle exec rails db:environment:set"
            ),
            Self::NoHistory { .. } => "restore a recovery point: which migrations have run is told nowhere else".into(),
            Self::Newer(_) => "deploy the version that migrated it, or a later one; or restore a recovery point from before".into(),
            Self::Vanished(_) => "look whether this is the right database; if its data is lost, restore a recovery point".into(),
            Self::Environment { found, .. } => format!("set RAILS_ENV to {found}, or name the right database"),
            Self::Extension { extension, .. } => format!("install it on the server, then: create extension \"{extension}\""),
            Self::NoVersions => "the folder db/migrate of the image is listed: look at the Job's log".into(),
        })
    }
}

/// What comes next.
///
/// # Errors
/// What Rails would not notice and could not take back.
pub fn decide(facts: &Facts<'_>) -> Result<Next, Refused> {
    let Facts { database, image, migrated_to, .. } = *facts;
    if image.0.is_empty() {
        return Err(Refused::NoVersions); // "nothing is missing" would be true of any database
    }
    if !database.exists || database.tables == 0 {
        if let Some(version) = migrated_to {
            return Err(Refused::Vanished(version.to_owned()));
        }
        offers_extensions(facts)?;
        return Ok(if database.is_locked {
            Next::Wait
        } else {
            Next::Prepare(if database.exists { Effect::Load } else { Effect::Create })
        });
    }
    let recorded = history(facts)?;
    let missing: Vec<String> = image.0.difference(recorded).cloned().collect();
    if missing.is_empty() {
        return Ok(Next::Done);
    }
    offers_extensions(facts)?;
    Ok(if database.is_locked { Next::Wait } else { Next::Prepare(Effect::Migrate(missing)) })
}

/// The versions on record of a database that may be migrated.
fn history<'a>(facts: &Facts<'a>) -> Result<&'a BTreeSet<String>, Refused> {
    let Facts { database, image, environment, .. } = *facts;
    let tables = database.tables;
    if !database.has_internal_metadata {
        let migrations = database.schema_migrations.as_ref().map_or(0, BTreeSet::len);
        return Err(Refused::Wipe { tables, migrations, environment: environment.to_owned() });
    }
    let recorded = database.schema_migrations.as_ref().filter(|rows| !rows.is_empty());
    let recorded = recorded.ok_or(Refused::NoHistory { tables })?;
    match &database.environment {
        Some(found) if found != environment => {
            return Err(Refused::Environment { found: found.clone(), expected: environment.to_owned() });
        }
        _ => {}
    }
    // What comes before the image's oldest migration was squashed into that one: no file, yet no sign of a newer version.
    let oldest = image.0.first();
    let newer: Vec<&str> =
        recorded.difference(&image.0).filter(|version| Some(*version) > oldest).map(String::as_str).collect();
    if newer.is_empty() { Ok(recorded) } else { Err(Refused::Newer(newer.join(", "))) }
}

fn offers_extensions(facts: &Facts<'_>) -> Result<(), Refused> {
    let extensions = &facts.database.extensions;
    // Of a database that is not there yet nothing is known.
    let lacking = facts.needs.iter().find(|need| facts.database.exists && !extensions.contains(&need.extension));
    lacking.map_or(Ok(()), |need| Err(Refused::Extension { extension: need.extension.clone(), why: need.why.clone() }))
}

/// The key of the advisory lock under which Rails migrates `database`: its salt times the name's CRC-32.
/// Source: `ActiveRecord::Migrator#generate_migrator_advisory_lock_id`.
#[must_use]
pub fn advisory_lock(database: &str) -> i64 {
    const MIGRATOR_SALT: i64 = 2_053_462_845;
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(database.as_bytes());
    MIGRATOR_SALT * i64::from(crc) // at most 8.8e18, which fits
}

//! Restores one data set into its place in the sandbox, without comparing yet.

use std::time::Instant;

use super::DrillError;
use super::plan::{DrillPlan, Part};
use super::provision;
use super::report::{Refuted, ms};
use super::sandbox::{Holds, Sandbox};
use crate::context::Context;
use crate::data::postgres::PostgresError;
use crate::data::postgres::restore::{self as postgres, RestoreOptions, Target};
use crate::data::redis::RedisError;
use crate::data::volume::{self, VolumeError};
use crate::data::{DataError, postgres as source};
use crate::failure::{Category, Failure};
use crate::point::Home;
use crate::restore::folder_of_member;

/// What filling one data set's place has shown.
#[derive(Debug, Clone)]
pub struct Filled {
    /// What a person should know.
    pub notes: Vec<String>,
    pub took_ms: u64,
}

/// Fills the place of `part`; one that was filled before is made anew first.
///
/// # Errors
/// What kept it from being tried. A recovery point that does not restore is the inner error: the drill's verdict.
pub async fn fill(
    home: &Home,
    plan: &DrillPlan,
    sandbox: &mut Sandbox,
    part: &Part,
    cx: &Context,
) -> Result<Result<Filled, Refuted>, DrillError> {
    if sandbox.places.get(part.name()).is_none_or(|place| place.used) {
        provision::anew(home, plan, part, sandbox, cx).await?;
    }
    let place = sandbox.places.get_mut(part.name()).expect("it was made above, or was there");
    place.used = true;
    let begun = Instant::now();
    match load(home, plan, part, &place.holds, cx).await {
        Ok(notes) => Ok(Ok(Filled { notes, took_ms: ms(begun.elapsed()) })),
        Err(error) => refuted_or_failed(part, "does not restore", error).map(Err),
    }
}

async fn load(
    home: &Home,
    plan: &DrillPlan,
    part: &Part,
    holds: &Holds,
    cx: &Context,
) -> Result<Vec<String>, DataError> {
    let (repository, tree) = (&home.repository, &part.member.tree);
    match holds {
        Holds::Postgres { server, spec } => {
            let options = RestoreOptions { verify: false, ..RestoreOptions::new(Target::SameName, plan.run.clone()) };
            let restored = postgres::restore(repository, tree, spec, &options, cx).await?;
            let manifest = source::source_of(repository, tree).await?;
            let mut notes = restored.notes;
            if manifest.server.version.major() != server.version().major() {
                notes.push(format!(
                    "restored into PostgreSQL {}, the source was {}: what these print or name differently is listed as \
                     not comparable",
                    server.version(),
                    manifest.server.version
                ));
            }
            Ok(notes)
        }
        Holds::Redis(server) => {
            server.fill(repository, tree, cx).await?;
            Ok(Vec::new())
        }
        Holds::Volume(folder) => {
            let root = folder_of_member(home, &part.member).await?;
            let options = volume::RestoreOptions { verify: false, root, ..volume::RestoreOptions::default() };
            volume::restore_to(repository, tree, folder, &options, cx).await?;
            Ok(Vec::new())
        }
    }
}

/// A failure that says something of the recovery point is the drill's verdict; one that says something of this machine,
/// the store or our own state is none.
pub(super) fn refuted_or_failed(part: &Part, what: &'static str, error: DataError) -> Result<Refuted, DrillError> {
    let verdict = match error.category() {
        Category::Integrity | Category::NeedsOperator => true,
        // The server is our own and runs: what it refuses, it refuses because of the data.
        Category::Unavailable => !of_the_store(&error),
        _ => matches!(error, DataError::Redis(RedisError::Scratch { .. })),
    };
    if verdict {
        return Ok(Refuted { data: part.name().clone(), what, why: chain(&error) });
    }
    Err(match error.category() {
        Category::Interrupted => DrillError::Cancelled,
        _ => DrillError::Data { data: part.name().clone(), source: Box::new(error) },
    })
}

fn of_the_store(error: &DataError) -> bool {
    fn of_restore(error: &postgres::RestoreError) -> bool {
        match error {
            postgres::RestoreError::Repository(_)
            | postgres::RestoreError::Postgres(PostgresError::Repository(_) | PostgresError::Io { .. }) => true,
            postgres::RestoreError::Left { source, .. } => of_restore(source),
            _ => false,
        }
    }
    match error {
        DataError::Postgres(PostgresError::Repository(_) | PostgresError::Io { .. })
        | DataError::Redis(RedisError::Repository(_) | RedisError::Spool { .. } | RedisError::Listen { .. })
        | DataError::Volume(VolumeError::Repository(_)) => true,
        DataError::PostgresRestore(error) => of_restore(error),
        // A volume's other failures are the file system's: no room, no inodes, a dead disk.
        DataError::Volume(_) => true,
        _ => false,
    }
}

/// An error and what is behind it, each once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        source = inner.source();
    }
    said
}

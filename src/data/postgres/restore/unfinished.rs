//! What a restore that was killed has left, found by its markers, and how it is undone. The next restore does so before
//! it begins; nothing else needs to remember.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::connect::Server;
use super::super::error::PostgresError;
use super::super::naming::identifier;
use super::error::RestoreError;
use super::keeper::Keeper;
use super::marker::{self, Marker, Stage};
use super::promote::{self, Swap};
use super::server::{self, Existing};
use crate::stack::PostgresSpec;

/// One database that a killed restore has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unfinished {
    /// Its name now.
    pub name: String,
    /// The database that applications use.
    pub database: String,
    /// The run that made it; `None` when it was killed before it could write that down.
    pub run: Option<String>,
    pub stage: Stage,
    #[serde(skip)]
    marker: Option<Marker>,
}

/// What killed restores have left on the server; those of restores that are under way are among them.
///
/// # Errors
/// When the server cannot be asked.
pub async fn unfinished(spec: &PostgresSpec) -> Result<Vec<Unfinished>, RestoreError> {
    let session = server::maintenance(&Server::new(spec)?, &[]).await?;
    Ok(among(&server::databases(&session).await?))
}

/// Undoes everything that killed restores have left, but not what a running one holds; says what was done.
///
/// # Errors
/// When the server refuses a step; running it again goes on.
pub async fn undo(spec: &PostgresSpec) -> Result<Vec<String>, RestoreError> {
    let server = Server::new(spec)?;
    let session = server::maintenance(&server, &[]).await?;
    let left = among(&server::databases(&session).await?);
    drop(session);
    let mut done = Vec::new();
    for one in left {
        // A session of its own for each: the lock goes with it, and it must not be on the database itself.
        let keeper = match Keeper::take(&server, std::slice::from_ref(&one.database)).await {
            Ok(keeper) => keeper,
            Err(RestoreError::Refused(_)) => continue,
            Err(error) => return Err(error),
        };
        // Looked at again under the lock: whoever held it may have finished meanwhile.
        if among(&server::databases(&keeper.session).await?).contains(&one) {
            done.extend(undo_one(&keeper, &server, &one).await?);
        }
    }
    Ok(done)
}

fn among(databases: &BTreeMap<String, Existing>) -> Vec<Unfinished> {
    let one = |(name, existing): (&String, &Existing)| one(name, existing.comment.as_deref());
    databases.iter().filter_map(one).filter(|left| !is_somebodys(left.stage)).collect()
}

/// A person's to drop, or its run's.
fn is_somebodys(stage: Stage) -> bool {
    matches!(stage, Stage::SetAside | Stage::Made)
}

fn one(name: &str, comment: Option<&str>) -> Option<Unfinished> {
    let name = name.to_owned();
    if let Some(marker) = comment.and_then(Marker::read) {
        let (database, run, stage) = (marker.database.clone(), Some(marker.run.clone()), marker.stage);
        return Some(Unfinished { name, database, run, stage, marker: Some(marker) });
    }
    // Killed between CREATE DATABASE and its comment: nothing but the name tells, and nothing is in it.
    let database = marker::stem_of_beside(&name).filter(|_| comment.is_none())?.to_owned();
    Some(Unfinished { name, database, run: None, stage: Stage::Filling, marker: None })
}

async fn undo_one(keeper: &Keeper, server: &Server, left: &Unfinished) -> Result<Vec<String>, RestoreError> {
    let mut done = Vec::new();
    let database = &left.database;
    match (left.stage, &left.marker) {
        (Stage::SetAside | Stage::Made, _) => return Ok(done),
        (Stage::Filling, _) | (_, None) => {}
        (Stage::Swapping, Some(marker)) => {
            if marker.closed {
                promote::open(keeper, database).await?;
                done.push(format!("database `{database}` accepts connections again"));
            }
        }
        (Stage::Replaced, Some(marker)) => return finish(keeper, server, &left.name, marker).await,
        (Stage::Reverting, Some(marker)) => return revert(keeper, &left.name, marker, "its login was refused").await,
    }
    super::database::drop(&keeper.session, &left.name).await?;
    done.push(format!("database `{}`, left by a restore that was killed, is gone", left.name));
    Ok(done)
}

/// The swap itself was done; what is missing is the proof. Hours may have passed, in which applications have written to
/// the restored database: only a refusal of the login takes it from them, and then it is kept.
async fn finish(keeper: &Keeper, server: &Server, former: &str, marker: &Marker) -> Result<Vec<String>, RestoreError> {
    let database = &marker.database;
    match server.connect(database).await {
        Ok(_) => {
            super::database::mark(&keeper.session, former, marker.comment.as_deref()).await?;
            Ok(vec![format!("database `{database}` is the restored one; the former is kept as `{former}`")])
        }
        // Somebody has dropped it since. The former one stays what it is, closed: whether it comes back is not ours to say.
        Err(PostgresError::UnknownDatabase { .. }) => {
            super::database::mark(&keeper.session, former, marker.comment.as_deref()).await?;
            Ok(vec![format!("database `{database}` is gone; the one before its restore is kept as `{former}`")])
        }
        Err(error) if promote::is_refused(&error) => revert(keeper, former, marker, &error.to_string()).await,
        Err(source) => {
            let (former, user) = (Some(former.to_owned()), server.user.clone());
            Err(RestoreError::Unproven { database: database.clone(), former, user, source: Box::new(source) })
        }
    }
}

async fn revert(keeper: &Keeper, former: &str, marker: &Marker, why: &str) -> Result<Vec<String>, RestoreError> {
    let (database, run) = (&marker.database, &marker.run);
    let swap = Swap::of(database, run, former, marker.comment.clone(), marker.closed);
    promote::swap_back(keeper, &[swap]).await?;
    let aside = marker::aside(database, run);
    Ok(vec![format!(
        "database `{database}` is the former one again, the restored one is set aside as `{aside}`: {why}"
    )])
}

/// What was live and is set aside, in words; nothing but a person removes it.
pub fn set_aside(databases: &BTreeMap<String, Existing>) -> Vec<String> {
    let marked =
        databases.iter().filter_map(|(name, existing)| Some((name, Marker::read(existing.comment.as_deref()?)?)));
    let aside = marked.filter(|(_, marker)| marker.stage == Stage::SetAside);
    let say = |(name, marker): (&String, Marker)| {
        let (of, run, drop) = (marker.database, marker.run, identifier(name));
        format!(
            "`{name}` was live as `{of}` until the restore {run} failed or was undone; once you need it no more: \
             `drydock restore -f FILE --discard {run}`, or DROP DATABASE {drop}"
        )
    };
    aside.map(say).collect()
}

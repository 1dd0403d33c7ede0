//! Databases that a run has made beside what is live, until that run is over: handed to the person, or dropped. The mark
//! in a database's comment says whose it is; none without this run's mark is ever touched.

use std::collections::BTreeMap;

use super::super::connect::Server;
use super::error::RestoreError;
use super::keeper::Keeper;
use super::marker::{self, Marker, Stage};
use super::server::{self, Existing};
use crate::stack::PostgresSpec;

/// The databases that `run` has made, by the names that they were wanted under; those that are beside still are not among
/// them.
///
/// # Errors
/// When the server cannot be asked.
pub async fn made(spec: &PostgresSpec, run: &str) -> Result<Vec<String>, RestoreError> {
    let session = server::maintenance(&Server::new(spec)?, &[]).await?;
    let there = server::databases(&session).await?;
    Ok(of(&there, run).filter(|(_, marker)| marker.stage == Stage::Made).map(|(name, _)| name.clone()).collect())
}

/// Gives what `run` has made its own comment: it is the person's from here on.
///
/// # Errors
/// When the server refuses; calling it again goes on.
pub async fn release(spec: &PostgresSpec, run: &str) -> Result<(), RestoreError> {
    let session = server::maintenance(&Server::new(spec)?, &[]).await?;
    let there = server::databases(&session).await?;
    for (name, marker) in of(&there, run).filter(|(_, marker)| marker.stage == Stage::Made) {
        super::database::mark(&session, name, marker.comment.as_deref()).await?;
    }
    Ok(())
}

/// Drops what `run` has made of `databases`, which did not exist before it, however far it came with them.
///
/// # Errors
/// `UnderWay` while another restore is at one of them; when the server refuses. Calling it again goes on.
pub async fn take_back(spec: &PostgresSpec, run: &str, databases: &[String]) -> Result<(), RestoreError> {
    let server = Server::new(spec)?;
    let keeper = Keeper::take(&server, databases).await?;
    let there = server::databases(&keeper.session).await?;
    let marked = of(&there, run).filter(|(_, marker)| databases.contains(&marker.database));
    let marked = marked.filter(|(_, marker)| matches!(marker.stage, Stage::Filling | Stage::Swapping | Stage::Made));
    // Killed between CREATE DATABASE and its comment: the name is this run's alone.
    let nameless = databases.iter().map(|database| marker::beside(database, run));
    let nameless = nameless.filter(|name| there.get(name).is_some_and(|found| found.comment.is_none()));
    for name in marked.map(|(name, _)| name.clone()).chain(nameless) {
        super::database::drop(&keeper.session, &name).await?;
    }
    Ok(())
}

fn of<'a>(there: &'a BTreeMap<String, Existing>, run: &'a str) -> impl Iterator<Item = (&'a String, Marker)> {
    let marked = there.iter().filter_map(|(name, found)| Some((name, Marker::read(found.comment.as_deref()?)?)));
    marked.filter(move |(_, marker)| marker.run == run)
}

//! What a swap has kept, for whoever remembers the names: brought back under the live names, or dropped.

use super::super::connect::Server;
use super::super::error::PostgresError;
use super::error::RestoreError;
use super::keeper::Keeper;
use super::marker::{self, Marker};
use super::promote::{self, Replaced, Swap};
use super::server;
use crate::stack::PostgresSpec;

/// A database that carries a live name since a swap, and where the one before it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    pub database: String,
    /// `None` where there was none.
    pub former: Option<String>,
}

/// Gives the former databases of `run` their names back, all in one transaction; those that it had restored are set aside,
/// closed, because applications may have written to them. What is back already stays so.
///
/// # Errors
/// When the server refuses, or a former database is not there any more.
pub async fn bring_back(spec: &PostgresSpec, run: &str, promoted: &[Promoted]) -> Result<(), RestoreError> {
    let server = Server::new(spec)?;
    let names: Vec<String> = promoted.iter().map(|one| one.database.clone()).collect();
    let keeper = Keeper::take(&server, &names).await?;
    let there = server::databases(&keeper.session).await?;
    let mut swaps = Vec::new();
    for Promoted { database, former } in promoted {
        if there.contains_key(&marker::aside(database, run)) {
            continue; // it was swapped back before
        }
        let replaces = match former {
            None if !there.contains_key(database) => continue,
            None => None,
            Some(former) if there.contains_key(former) => Some(Replaced { former: former.clone(), was_open: true }),
            Some(former) => {
                let (address, database) = (format!("{}:{}", spec.host, spec.port), former.clone());
                return Err(PostgresError::UnknownDatabase { address, database }.into());
            }
        };
        let comment = former.as_ref().and_then(|former| there[former].comment.clone());
        let comment = match comment.as_deref().and_then(Marker::read) {
            Some(marker) => marker.comment,
            None => comment,
        };
        let beside = marker::beside(database, run);
        swaps.push(Swap { database: database.clone(), beside, run: run.to_owned(), replaces, comment });
    }
    if !swaps.is_empty() {
        promote::swap_back(&keeper, &swaps).await?;
    }
    Ok(())
}

/// The former databases of `promoted` that are there still, and those of `run` that were set aside.
///
/// # Errors
/// When the server cannot be asked.
pub async fn kept(spec: &PostgresSpec, run: &str, promoted: &[Promoted]) -> Result<Vec<String>, RestoreError> {
    let session = server::maintenance(&Server::new(spec)?, &[]).await?;
    let there = server::databases(&session).await?;
    let aside = promoted.iter().map(|one| marker::aside(&one.database, run));
    let formers = promoted.iter().filter_map(|one| one.former.clone());
    Ok(formers.chain(aside).filter(|name| there.contains_key(name)).collect())
}

/// The databases of `promoted` that are there under their live names.
///
/// # Errors
/// When the server cannot be asked.
pub async fn live(spec: &PostgresSpec, promoted: &[Promoted]) -> Result<Vec<String>, RestoreError> {
    if promoted.is_empty() {
        return Ok(Vec::new());
    }
    let session = server::maintenance(&Server::new(spec)?, &[]).await?;
    let there = server::databases(&session).await?;
    Ok(promoted.iter().map(|one| one.database.clone()).filter(|name| there.contains_key(name)).collect())
}

/// Drops what [`kept`] lists. There is no way back from it.
///
/// # Errors
/// When the server refuses.
pub async fn drop_kept(spec: &PostgresSpec, run: &str, promoted: &[Promoted]) -> Result<(), RestoreError> {
    let server = Server::new(spec)?;
    let names: Vec<String> = promoted.iter().map(|one| one.database.clone()).collect();
    let kept = kept(spec, run, promoted).await?;
    let keeper = Keeper::take(&server, &names).await?;
    for name in kept {
        super::database::drop(&keeper.session, &name).await?;
    }
    Ok(())
}

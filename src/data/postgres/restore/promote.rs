//! Puts verified databases under the names that applications use: the one irreversible-looking step, and each part of it
//! can be undone by whoever comes next. The order:
//!
//! 1. a login on the new database, while it still has no part in anything;
//! 2. the live database lets nobody in, and the marker on the new one says so, in one transaction;
//! 3. its sessions are ended;
//! 4. both renames, in one transaction;
//! 5. a login on the live name; if it is refused, the renames back.
//!
//! A login that fails for another reason (no connection left, a server that restarts) says nothing of the restored
//! database, and applications may be writing to it already: it stays.

use std::time::{Duration, Instant};

use super::super::connect::Server;
use super::super::error::PostgresError;
use super::super::naming::identifier;
use super::database::{comment_statement, end_sessions, mark};
use super::error::RestoreError;
use super::keeper::Keeper;
use super::marker::{self, Marker, Stage};
use super::options::{Observer, Step};
use crate::context::Context;
use crate::data::Comparison;

/// An application that holds on to its sessions longer than this after they were ended does not let go by itself.
const SESSIONS_END_WITHIN: Duration = Duration::from_secs(30);
/// How often a login is tried after the swap, one second apart, before its answer counts: a server whose applications
/// all come back at once has no connection left for a while.
const LOGINS: u32 = 5;

/// One database that gets its name.
#[derive(Debug, Clone)]
pub struct Swap {
    /// The name that applications use.
    pub database: String,
    /// The name under which it was filled.
    pub beside: String,
    pub run: String,
    pub replaces: Option<Replaced>,
    /// The comment that it has afterwards.
    pub comment: Option<String>,
}

/// The live database that makes room.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The name under which it is kept.
    pub former: String,
    /// Whether it let sessions in before.
    pub was_open: bool,
}

impl Swap {
    /// A swap that was done, by its marker.
    pub fn of(database: &str, run: &str, former: &str, comment: Option<String>, closed: bool) -> Self {
        Self {
            database: database.to_owned(),
            beside: marker::beside(database, run),
            run: run.to_owned(),
            replaces: Some(Replaced { former: former.to_owned(), was_open: closed }),
            comment,
        }
    }

    fn marker(&self, stage: Stage) -> Marker {
        let closed = self.replaces.as_ref().is_some_and(|replaced| replaced.was_open);
        Marker { closed, ..Marker::new(&self.run, &self.database, stage) }
    }
}

/// Promotes all of `swaps` at once. Takes the comparison: nothing that differs from its record is promoted.
///
/// # Errors
/// Before the renames everything is as it was before, but for the databases beside. After them the former databases are
/// back when the error is `LoginRefused`, and the restored ones are live when it is `Unproven`.
pub async fn promote(
    keeper: &Keeper,
    swaps: &[Swap],
    _verified: &Comparison,
    application: &Server,
    observer: &Observer,
    cx: &Context,
) -> Result<(), RestoreError> {
    for swap in swaps {
        let refused = |source| {
            let (database, user) = (swap.database.clone(), application.user.clone());
            RestoreError::Application { database, user, source: Box::new(source) }
        };
        log_in(application, &swap.beside).await.map_err(refused)?;
    }
    close(keeper, swaps).await?;
    observer.reached(Step::Closed).await;
    if let Err(error) = empty_and_rename(keeper, swaps, observer, cx).await {
        reopen(keeper, swaps).await?;
        return Err(error);
    }
    observer.reached(Step::Renamed).await;
    prove(keeper, application, swaps).await?;
    observer.reached(Step::Proved).await;
    Ok(())
}

/// Marks the new databases and closes the live ones, in one transaction: whoever finds a live database closed also
/// finds the marker that says who did it.
async fn close(keeper: &Keeper, swaps: &[Swap]) -> Result<(), RestoreError> {
    let mut sql = "BEGIN;\n".to_owned();
    for swap in swaps {
        let text = swap.marker(Stage::Swapping).text();
        sql.push_str(&format!("{};\n", comment_statement(&swap.beside, Some(&text))));
        if swap.replaces.is_some() {
            sql.push_str(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false;\n", identifier(&swap.database)));
        }
    }
    sql.push_str("COMMIT");
    Ok(keeper.session.batch("closing the live databases", &sql).await?)
}

async fn empty_and_rename(
    keeper: &Keeper,
    swaps: &[Swap],
    observer: &Observer,
    cx: &Context,
) -> Result<(), RestoreError> {
    for swap in swaps.iter().filter(|swap| swap.replaces.is_some()) {
        until_empty(keeper, &swap.database, cx).await?;
    }
    observer.reached(Step::SessionsEnded).await;
    let mut sql = "BEGIN;\n".to_owned();
    for swap in swaps {
        sql.push_str(&renames(swap));
    }
    sql.push_str("COMMIT");
    Ok(keeper.session.batch("renaming the databases", &sql).await?)
}

fn renames(swap: &Swap) -> String {
    let mut sql = String::new();
    let (database, beside) = (identifier(&swap.database), identifier(&swap.beside));
    if let Some(Replaced { former, .. }) = &swap.replaces {
        let marker = Marker { comment: swap.comment.clone(), ..swap.marker(Stage::Replaced) };
        sql.push_str(&format!("ALTER DATABASE {database} RENAME TO {};\n", identifier(former)));
        sql.push_str(&format!("{};\n", comment_statement(former, Some(&marker.text()))));
    }
    sql.push_str(&format!("ALTER DATABASE {beside} RENAME TO {database};\n"));
    sql.push_str(&format!("{};\n", comment_statement(&swap.database, swap.comment.as_deref())));
    sql
}

async fn until_empty(keeper: &Keeper, database: &str, cx: &Context) -> Result<(), RestoreError> {
    let start = Instant::now();
    loop {
        let sessions = end_sessions(&keeper.session, database).await?;
        if sessions == 0 {
            return Ok(());
        }
        if start.elapsed() > SESSIONS_END_WITHIN {
            let seconds = SESSIONS_END_WITHIN.as_secs();
            return Err(RestoreError::SessionsStay { database: database.to_owned(), sessions, seconds });
        }
        tokio::select! {
            () = cx.cancel.cancelled() => return Err(RestoreError::Cancelled),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}

/// Undoes [`close`]. A keeper whose session is lost cannot; the markers tell the next run.
async fn reopen(keeper: &Keeper, swaps: &[Swap]) -> Result<(), RestoreError> {
    // A transaction that failed half-way is still open.
    keeper.session.batch("giving the renames up", "ROLLBACK").await?;
    for swap in swaps.iter().filter(|swap| swap.replaces.as_ref().is_some_and(|replaced| replaced.was_open)) {
        open(keeper, &swap.database).await?;
    }
    Ok(())
}

/// Lets sessions in again. Of a database that is gone there is nothing to open.
pub async fn open(keeper: &Keeper, database: &str) -> Result<(), RestoreError> {
    if !super::server::databases(&keeper.session).await?.contains_key(database) {
        return Ok(());
    }
    let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", identifier(database));
    Ok(keeper.session.batch(&format!("opening database `{database}` again"), &sql).await?)
}

/// Logs in to each by its live name; the former ones' markers go when all let the application in.
async fn prove(keeper: &Keeper, application: &Server, swaps: &[Swap]) -> Result<(), RestoreError> {
    for swap in swaps {
        let mut tries = 1;
        while let Err(source) = log_in(application, &swap.database).await {
            if tries == LOGINS {
                return Err(unproven(keeper, application, swaps, swap, source).await?);
            }
            tries += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    for swap in swaps {
        if let Some(Replaced { former, .. }) = &swap.replaces {
            mark(&keeper.session, former, swap.comment.as_deref()).await?;
        }
    }
    Ok(())
}

/// Puts the former databases back where `source` says that the one of `swap` lets the application in no more.
async fn unproven(
    keeper: &Keeper,
    application: &Server,
    swaps: &[Swap],
    swap: &Swap,
    source: PostgresError,
) -> Result<RestoreError, RestoreError> {
    let (database, user) = (swap.database.clone(), application.user.clone());
    if is_refused(&source) {
        swap_back(keeper, swaps).await?;
        return Ok(RestoreError::LoginRefused { database, user, source: Box::new(source) });
    }
    let former = swap.replaces.as_ref().map(|replaced| replaced.former.clone());
    Ok(RestoreError::Unproven { database, former, user, source: Box::new(source) })
}

/// Whether the server has looked at the login and said no, by its password, its `pg_hba.conf` or the right to CONNECT.
/// Everything else may be otherwise a moment later.
pub fn is_refused(error: &PostgresError) -> bool {
    matches!(error, PostgresError::Authentication { .. } | PostgresError::Privilege { .. })
}

async fn log_in(server: &Server, database: &str) -> Result<(), PostgresError> {
    let session = server.connect(database).await?;
    session.text("asking the restored database", "SELECT 1").await.map(drop)
}

/// Gives the former databases their names back, and sets the restored ones aside, closed: they may have been written to.
/// Killed on the way, it is gone on with by the next run, by the markers.
pub async fn swap_back(keeper: &Keeper, swaps: &[Swap]) -> Result<(), RestoreError> {
    let what = "putting the former databases back";
    keeper.session.batch(what, &transaction(swaps.iter().map(|swap| begin_reverting(swap, true)))).await?;
    for swap in swaps {
        if let Err(error) = until_empty(keeper, &swap.database, &Context::default()).await {
            // Who stays logged in uses it: it must not stay closed to all others.
            keeper.session.batch(what, &transaction(swaps.iter().map(|swap| begin_reverting(swap, false)))).await?;
            return Err(error);
        }
    }
    Ok(keeper.session.batch(what, &transaction(swaps.iter().map(renames_back))).await?)
}

fn transaction(parts: impl Iterator<Item = String>) -> String {
    format!("BEGIN;\n{}COMMIT", parts.collect::<String>())
}

/// Closes the restored database and says so on the former one, or takes both back.
fn begin_reverting(swap: &Swap, begin: bool) -> String {
    let mut sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {};\n", identifier(&swap.database), !begin);
    if let Some(Replaced { former, .. }) = &swap.replaces {
        let stage = if begin { Stage::Reverting } else { Stage::Replaced };
        let marker = Marker { comment: swap.comment.clone(), ..swap.marker(stage) };
        sql.push_str(&format!("{};\n", comment_statement(former, Some(&marker.text()))));
    }
    sql
}

fn renames_back(swap: &Swap) -> String {
    let (database, aside) = (identifier(&swap.database), marker::aside(&swap.database, &swap.run));
    let marker = Marker::new(&swap.run, &swap.database, Stage::SetAside).text();
    let mut sql = format!("ALTER DATABASE {database} RENAME TO {};\n", identifier(&aside));
    sql.push_str(&format!("{};\n", comment_statement(&aside, Some(&marker))));
    if let Some(Replaced { former, was_open }) = &swap.replaces {
        sql.push_str(&format!("ALTER DATABASE {} RENAME TO {database};\n", identifier(former)));
        sql.push_str(&format!("{};\n", comment_statement(&swap.database, swap.comment.as_deref())));
        if *was_open {
            sql.push_str(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true;\n"));
        }
    }
    sql
}

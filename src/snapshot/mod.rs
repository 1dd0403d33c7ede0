//! Takes a recovery point. Owns the order prepare → read → compare references → record → reopen, and that the point is
//! either listed whole or not at all; what a data set's bytes are lives in `data/`, what a point is in `point/`.
//!
//! The order within a point (DESIGN §5): every database's exported snapshot is opened before anything is read, then
//! databases are read, then volumes, then caches; so no row points at a file that was not yet there. Around each of them
//! the stack's own hooks are run. The point's own
//! snapshot is saved last: it is what makes the point real.

mod clock;
mod error;
mod forecast;
mod held;
mod hooks;
mod plan;
mod prepare;
mod read;
mod record;
mod references;
mod reopen;

use std::time::Instant;

use jiff::Timestamp;

use crate::context::Context;
use crate::point::{Home, PointId, PointRecord};
use crate::repository::{RepositoryError, SnapshotId, Writer, WriterOptions};
use crate::run::{journal, restores};

use hooks::Hooks;
use prepare::Databases;

pub use error::SnapshotError;
pub use forecast::{Expected, Forecast};
pub use plan::{SnapshotPlan, plan};
pub use prepare::{Prepared, forecast, prepare};

/// How a recovery point is taken.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub writer: WriterOptions,
}

/// A recovery point that is listed.
#[derive(Debug, Clone)]
pub struct Taken {
    pub snapshot: SnapshotId,
    pub record: PointRecord,
    /// What people will find it by.
    pub tags: Vec<String>,
    /// What is odd about its date.
    pub clock: Option<String>,
}

/// What the steps share.
struct Run<'a> {
    home: &'a Home,
    plan: SnapshotPlan,
    id: PointId,
    time: Timestamp,
    begun: Instant,
    writer: Writer,
    cx: &'a Context,
}

/// Takes the point that was `prepared`. Until the last step nothing is listed: whatever fails or is cancelled before
/// leaves snapshots that belong to no point, and those are removed at once where that is still possible.
///
/// The caller holds a shared lock of the repository.
///
/// # Errors
/// The data set that could not be read, by name, and why; `NotAsWritten` when what was stored does not read back.
pub async fn snapshot(home: &Home, prepared: Prepared, options: Options, cx: &Context) -> Result<Taken, SnapshotError> {
    let Prepared { plan, point, databases, forecast, mut hooks } = prepared;
    let begun = async {
        refuse_mixture(home).await?;
        let clock = clock::look(home, plan.former_time, cx).await?;
        let cx = &cx.stoppable();
        let writer = home.repository.writer(options.writer);
        writer.stop_on(&cx.cancel);
        let run = Run { home, plan, id: point, time: cx.clock.now(), begun: Instant::now(), writer, cx };
        Ok(Taken { clock, ..take(&run, databases, &forecast, &mut hooks).await? })
    };
    let taken = Box::pin(begun).await; // all that a snapshot holds; not on every caller's stack
    hooks.at_last(taken, cx).await
}

async fn take(
    run: &Run<'_>,
    mut databases: Databases,
    forecast: &Forecast,
    hooks: &mut Hooks,
) -> Result<Taken, SnapshotError> {
    let (home, id, cx) = (run.home, run.id, run.cx);
    tracing::info!(point = %id, "a recovery point is begun");

    let held = databases.held();
    let while_held = held.during(cx, async {
        heal(home).await?; // what was lost is not taken for stored
        let read = read::everything(run, &mut databases, hooks, forecast).await?; // databases, then volumes, then caches
        let named = record::named(run, &read).await?;
        run.writer.finish().await?; // all that was read is stored and in an index
        let references = references::compare(run, &databases, &read).await?; // rows as exported, files as stored
        Ok((read, named, references))
    });
    let while_held = while_held.await;
    databases.close().await; // production's vacuum is free again
    let (read, named, references) = while_held?;
    let members = record::members(run, read, named).await?;
    let documented = async {
        reopen::members(run, &members).await?; // the output is opened before the point says that it is there
        record::documents(run, &members, references).await
    };
    let documented = match documented.await {
        Ok(documented) => documented,
        Err(error) => {
            record::withdraw(run, &members).await;
            return Err(error);
        }
    };
    // From here on the point may be listed even where saving it reports a failure, so its members stay.
    let taken = record::point(run, documented).await?;
    reopen::point(run, &taken, &members).await?;
    let (bytes, elapsed_ms) = (taken.record.bytes(), taken.record.took_ms);
    tracing::info!(point = %id, bytes, elapsed_ms, "a recovery point is complete");
    Ok(taken)
}

/// Makes the run store again what it needs of packs that are gone or cut, and says so: earlier points may be broken.
async fn heal(home: &Home) -> Result<(), SnapshotError> {
    let lost = home.repository.set_aside_lost_packs().await?;
    if let Some(first) = lost.first() {
        tracing::warn!(
            packs = lost.len(),
            %first,
            "packs are not in the store as the index says; what is needed of them is stored again; `drydock check` names \
             the recovery points that they touch, `drydock repair index` takes them out of the index"
        );
    }
    Ok(())
}

/// A point of what an in-place restore has left half-way would be whole, and wrong. Asked before anything is prepared, too,
/// because a database that is closed half-way would be told of otherwise.
///
/// # Errors
/// `Mixture` while one is open.
pub async fn refuse_mixture(home: &Home) -> Result<(), SnapshotError> {
    match restores::mixed(&*journal::of(&home.stack, &home.store)).await?.first() {
        Some(run) => Err(SnapshotError::Mixture { run: run.to_string() }),
        None => Ok(()),
    }
}

impl Run<'_> {
    /// Refuses to go on once the work was told to stop, or its lock is lost.
    fn go_on(&self) -> Result<(), SnapshotError> {
        if self.cx.cancel.is_cancelled() { Err(RepositoryError::Cancelled.into()) } else { Ok(()) }
    }
}

//! `restore --resume`, `--undo`, `--discard`: what a person does about a restore, whether it is over or was cut off.

use std::path::Path;
use std::time::Duration;

use super::lead::{Led, Said, guard, lead};
use super::restore::learned;
use super::take_up::{Found, take_up};
use super::{OperationError, Order, Request, asker, journals, run_id};
use crate::context::Context;
use crate::data::volume::{self, Outcome};
use crate::data::{DataError, postgres};
use crate::point::Home;
use crate::restore::RestoreError;
use crate::restore::kept::{self, Ended};
use crate::run::restores::{self, Restore, Stage};
use crate::run::{Lease, Left, RunId, Scope, Stop};
use crate::stack::DataKind;

/// What is done to a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndRestore {
    /// To its end: on from where it is.
    Resume,
    /// Back to the former content, also after it was finished.
    Undo,
    /// What it kept goes; there is no way back from that.
    Discard,
}

/// How it is done, and who is told meanwhile.
#[derive(Clone, Copy)]
pub struct With<'a> {
    /// How long others' rights and locks are waited for.
    pub wait: Duration,
    pub stop: &'a Stop,
    pub cx: &'a Context,
    pub say: &'a dyn Fn(Said),
}

/// Does `step` to everything that the restore `run` has left; says what is live then.
///
/// # Errors
/// `NoSuchRun`; `Unfinished` for what cannot be discarded yet; the data set that could not be dealt with.
pub async fn end_restore(
    home: &Home,
    run: &str,
    step: EndRestore,
    with: With<'_>,
) -> Result<Vec<Ended>, OperationError> {
    let Some(restore) = find(home, run).await? else {
        return alone(home, run, step, with).await;
    };
    let no_such_run = || RestoreError::NoSuchRun { run: run.to_owned() };
    match (step, restore.stage()) {
        (_, Stage::Discarded) => return Err(no_such_run().into()),
        (EndRestore::Discard, stage) if stage.is_unfinished() => {
            return Err(RestoreError::Unfinished { run: run.to_owned() }.into());
        }
        (EndRestore::Discard, _) => return discard(home, &restore, with).await,
        (EndRestore::Resume, _) if restore.state.outcome.is_none() => {
            cut_off(home, &restore, Found::Resume, with).await?
        }
        (EndRestore::Undo, _) if restore.state.outcome.is_none() => {
            cut_off(home, &restore, Found::Undo, with).await?;
            // All of it may have been live: then that is written down now, and it is brought back as any other.
            if let Some(finished) = find(home, run).await?.filter(|restore| restore.stage() == Stage::Finished) {
                bring_back(home, &finished, with).await?;
            }
        }
        (EndRestore::Undo, Stage::Finished) | (_, Stage::Undoing) => bring_back(home, &restore, with).await?,
        (EndRestore::Resume | EndRestore::Undo, _) => {} // it is over: say so again
    }
    let over = find(home, run).await?.ok_or_else(no_such_run)?;
    Ok(kept::ended(home, &over, with.cx).await?)
}

async fn find(home: &Home, run: &str) -> Result<Option<Restore>, OperationError> {
    let all = restores::all(&*journals(home)).await?;
    Ok(all.into_iter().find(|restore| restore.run.as_str() == run))
}

/// Leads a restore that was cut off to its end, forward or back.
async fn cut_off(home: &Home, restore: &Restore, found: Found, with: With<'_>) -> Result<(), OperationError> {
    let With { wait, stop, cx, say } = with;
    let led = take_up(home, &restore.run, found, wait, stop, cx, say).await?;
    let is_over = matches!(led.left, Left::Over { .. });
    let run = led.run.clone();
    match learned(led, home, cx).await {
        Err(error) if !is_over => Err(error),
        Err(error) if found == Found::Resume => {
            // It could not go on and was taken back: that is told by what is live.
            tracing::error!(%error, %run, "the restore could not go on; what was live before is live again");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Brings back what a finished restore has replaced, or goes on with that.
async fn bring_back(home: &Home, restore: &Restore, with: With<'_>) -> Result<(), OperationError> {
    let open = restore.undone_by.iter().find(|one| one.state.outcome.is_none()).map(|one| one.run.clone());
    since(home, open, Request::BringBack(restore.run.clone()), with).await
}

async fn discard(home: &Home, restore: &Restore, with: With<'_>) -> Result<Vec<Ended>, OperationError> {
    let open = restore.discarded_by.iter().find(|one| one.state.outcome.is_none()).map(|one| one.run.clone());
    since(home, open, Request::Discard(restore.run.clone()), with).await?;
    Ok(kept::discarded(restore)?)
}

/// Does what is asked about a restore that is over, or goes on where another process was cut off at it.
async fn since(home: &Home, open: Option<RunId>, request: Request, with: With<'_>) -> Result<(), OperationError> {
    let With { wait, stop, cx, say } = with;
    let led: Led = match open {
        Some(run) => take_up(home, &run, Found::Resume, wait, stop, cx, say).await?,
        None => {
            let run = run_id(request.word(), &home.stack.name, cx.clock.now());
            let order = Order { run, by: asker(), request, wait, found: Found::Undo };
            lead(home, order, stop, cx, say).await?
        }
    };
    led.done().map(drop)
}

/// What lies about of a run without a journal.
async fn alone(home: &Home, run: &str, step: EndRestore, with: With<'_>) -> Result<Vec<Ended>, OperationError> {
    let With { wait, stop, cx, say } = with;
    let told = |held: &crate::run::Held| say(Said::Waiting(held.clone()));
    let lease = Lease::acquire(&home.store, Scope::Act, run, wait, cx, told).await?;
    let guarded = guard(&lease, stop);
    let ended = without_journal(home, run, step, cx).await;
    drop(guarded);
    lease.over(run).await?;
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "the right to act could not be given back; it ages");
    }
    Ok(ended?)
}

async fn without_journal(home: &Home, run: &str, step: EndRestore, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    let mut ended = Vec::new();
    for set in &home.stack.spec.data {
        let failed = |source: DataError| RestoreError::Mend { data: set.name.clone(), source: Box::new(source) };
        let live = match &set.kind {
            DataKind::Volume(spec) if spec.path.is_some() => {
                let Some(folder) = spec.path.as_deref() else { continue };
                let runs = volume::runs(folder, cx).await.map_err(|error| failed(error.into()))?;
                if !runs.iter().any(|one| one.run == run) {
                    continue;
                }
                folder_alone(folder, &spec.exclude, run, step, cx).await.map_err(|error| failed(error.into()))?
            }
            DataKind::Postgres(spec) => {
                let left = postgres::restore::unfinished(spec).await.map_err(|error| failed(error.into()))?;
                if !left.iter().any(|one| one.run.as_deref() == Some(run)) {
                    continue;
                }
                postgres::restore::undo(spec).await.map_err(|error| failed(error.into()))?;
                Some("untouched")
            }
            DataKind::Volume(_) | DataKind::Redis(_) => continue,
        };
        ended.push(Ended::new(&set.name, live));
    }
    if ended.is_empty() { Err(RestoreError::NoSuchRun { run: run.to_owned() }) } else { Ok(ended) }
}

async fn folder_alone(
    folder: &Path,
    exclude: &[String],
    run: &str,
    step: EndRestore,
    cx: &Context,
) -> Result<Option<&'static str>, volume::VolumeError> {
    Ok(match step {
        EndRestore::Resume => Some(match volume::resume(folder, run, exclude, cx).await? {
            Outcome::New => "restored",
            Outcome::Former => "former",
            Outcome::Untouched => "untouched",
        }),
        EndRestore::Undo => {
            volume::undo(folder, run, cx).await?;
            Some("former")
        }
        EndRestore::Discard => {
            volume::discard_former(folder, run, cx).await?;
            None
        }
    })
}

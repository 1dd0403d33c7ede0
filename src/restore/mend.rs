//! Before anything new begins: what killed restores have left on servers and in folders without a journal of their own is
//! brought to its end, so that all data sets are whole again. Runs that were cut off are the engine's to end.

use super::RestoreError;
use super::in_place::{exclude_of, folder};
use super::plan::{Part, RestorePlan};
use crate::context::Context;
use crate::data::volume::{self, Outcome, Stage};
use crate::data::{DataError, postgres, redis};
use crate::point::Home;
use crate::run::{journal, restores};
use crate::stack::DataKind;

/// Ends it, and says what was done.
pub async fn what_was_left(plan: &RestorePlan, cx: &Context) -> Result<Vec<String>, RestoreError> {
    let mut done = Vec::new();
    for part in &plan.parts {
        let failed = |source| RestoreError::Mend { data: part.name().clone(), source: Box::new(source) };
        let said = one(part, cx).await.map_err(failed)?;
        done.extend(said.into_iter().map(|said| format!("{}: {said}", part.name())));
    }
    Ok(done)
}

/// # Errors
/// `Unfinished` when a run was cut short.
pub async fn refuse_unfinished(home: &Home) -> Result<(), RestoreError> {
    let restores = restores::all(&*journal::of(&home.stack, &home.store)).await?;
    match restores.iter().find(|restore| restore.stage().is_unfinished()) {
        Some(restore) => Err(RestoreError::Unfinished { run: restore.run.to_string() }),
        None => Ok(()),
    }
}

async fn one(part: &Part, cx: &Context) -> Result<Vec<String>, DataError> {
    match part.kind() {
        DataKind::Postgres(spec) => Ok(postgres::restore::undo(spec).await?),
        DataKind::Redis(spec) => Ok(redis::undo(spec, cx).await?.into_iter().collect()),
        DataKind::Volume(_) => {
            let folder = folder(part)?;
            let mut said = Vec::new();
            for left in volume::unfinished(folder, cx).await? {
                let outcome = end(folder, exclude_of(part), &left, cx).await?;
                let live = match outcome {
                    Outcome::New => "the restored content is live",
                    Outcome::Former => "the former content is live",
                    Outcome::Untouched => "the folder is as it was",
                };
                said.push(format!("the restore {} was cut short; {live}", left.run));
            }
            Ok(said)
        }
    }
}

/// Back where that is still its aim or may be chosen; a run that was being ended is ended.
async fn end(
    folder: &std::path::Path,
    exclude: &[String],
    left: &volume::InPlaceRun,
    cx: &Context,
) -> Result<Outcome, DataError> {
    match left.stage {
        Stage::Filling | Stage::Verified | Stage::Exchanging => {
            volume::undo(folder, &left.run, cx).await?;
            Ok(Outcome::Former)
        }
        Stage::Finished | Stage::Undoing | Stage::Undone { .. } | Stage::Discarding { .. } => {
            Ok(volume::resume(folder, &left.run, exclude, cx).await?)
        }
    }
}

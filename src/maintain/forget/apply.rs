//! Removes what the plan drops.

use super::ForgetError;
use super::plan::ForgetPlan;
use crate::context::Context;
use crate::point::{Home, PointError};
use crate::repository::RepositoryError;
use crate::run::journal;

/// Removes the dropped points' snapshots, each point before its members, then leftovers. What it does not come to is
/// whole, or a leftover that the next run drops. The data itself goes with `prune`. Journals of runs that are over go last.
///
/// # Errors
/// When the store refuses; `Cancelled` between two points.
pub async fn apply(home: &Home, plan: &ForgetPlan, cx: &Context) -> Result<(), ForgetError> {
    points(home, plan, cx).await?;
    let journals = journal::of(&home.stack, &home.store);
    for run in &plan.journals {
        journals.remove(run).await?;
    }
    Ok(())
}

async fn points(home: &Home, plan: &ForgetPlan, cx: &Context) -> Result<(), PointError> {
    for fate in plan.points.iter().filter(|fate| !fate.keep) {
        go_on(cx)?;
        tracing::info!(point = %fate.id, "a recovery point is dropped");
        for snapshot in &fate.snapshots {
            home.repository.remove_snapshot(snapshot).await?;
        }
    }
    let strays = plan.strays.iter().filter(|stray| !stray.keep).map(|stray| &stray.snapshot);
    for snapshot in strays.chain(&plan.lost_keeps) {
        go_on(cx)?;
        home.repository.remove_snapshot(snapshot).await?;
    }
    Ok(())
}

fn go_on(cx: &Context) -> Result<(), PointError> {
    if cx.cancel.is_cancelled() { Err(RepositoryError::Cancelled.into()) } else { Ok(()) }
}

//! Restores, in place and beside what is live, and what is done about one that is over: their steps are `restore`'s.

use async_trait::async_trait;

use super::lead::Led;
use super::work::{self, Report};
use super::{OperationError, RestoreRequest};
use crate::context::Context;
use crate::point::{Home, load};
use crate::restore::{AfterWork, CopyWork, Learned, RestorePlan, Target, Work, copy_phases, phases as frozen, plan};
use crate::run::{Phase, RunError, RunId, restores};

pub const WORD: &str = restores::OPERATION;
pub const COPY: &str = restores::COPY;
pub const BRING_BACK: &str = restores::UNDO;
pub const DISCARD: &str = restores::DISCARD;

/// What is asked, of the point as it is now.
async fn asked(home: &Home, run: &RunId, asked: &RestoreRequest, cx: &Context) -> Result<RestorePlan, OperationError> {
    // Somebody may have pruned since the repository was opened: a person thinks for a while.
    home.repository.refresh_index().await.map_err(crate::restore::RestoreError::from)?;
    let points = load(&home.repository, &home.stack.name).await.map_err(crate::restore::RestoreError::from)?;
    let point = points.find(&asked.point.to_string(), cx.clock.now()).map_err(crate::restore::RestoreError::from)?;
    let (target, options) = (asked.target.clone(), asked.options.clone());
    Ok(plan(&home.stack, point, &asked.data, target, options, run.to_string())?)
}

pub async fn phases(
    home: &Home,
    run: &RunId,
    request: &RestoreRequest,
    cx: &Context,
) -> Result<Vec<Phase>, OperationError> {
    let plan = asked(home, run, request, cx).await?;
    Ok(match plan.target {
        Target::InPlace => frozen(home, &plan, cx).await?,
        Target::Folder(_) | Target::Databases(_) => copy_phases(home, &plan, cx).await?,
    })
}

#[async_trait(?Send)]
impl work::Work for Work<'_> {
    fn reports(self: Box<Self>) -> Vec<Report> {
        vec![Report::Restore(Box::new(self.into_learned()))]
    }

    async fn cut_off(&self, error: RunError, cx: &Context) -> OperationError {
        self.cut_off(error, cx).await.into()
    }
}

#[async_trait(?Send)]
impl work::Work for CopyWork<'_> {
    fn reports(self: Box<Self>) -> Vec<Report> {
        vec![Report::Restore(Box::new(self.into_learned()))]
    }
}

#[async_trait(?Send)]
impl work::Work for AfterWork<'_> {
    fn reports(self: Box<Self>) -> Vec<Report> {
        Vec::new()
    }
}

/// What came of a restore that was led, as whoever asked for it is told.
///
/// # Errors
/// What kept it from its end, and what that has left.
pub async fn learned(led: Led, home: &Home, cx: &Context) -> Result<crate::restore::Report, OperationError> {
    let Led { run, left, state, reports, .. } = led;
    let learned: Option<Learned> = reports.into_iter().find_map(|report| match report {
        Report::Restore(learned) => Some(*learned),
        _ => None,
    });
    let Some(learned) = learned else { return Err(OperationError::NoRun { run: run.to_string() }) };
    Ok(learned.told(home, &run, &left, &state, cx).await?)
}

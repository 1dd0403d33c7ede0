//! The way back: a complete recovery point of what is live, before any of it is replaced.

use super::RestoreError;
use super::plan::RestorePlan;
use crate::context::Context;
use crate::point::{Home, PointRecord, load};
use crate::snapshot::{self, Options, SnapshotError};

/// Takes it; the caller holds a shared lock.
pub async fn point(home: &Home, plan: &RestorePlan, cx: &Context) -> Result<PointRecord, RestoreError> {
    let points = load(&home.repository, &home.stack.name).await?;
    let take = async {
        let mut wanted = snapshot::plan(&home.stack, &[], points.newest_complete().ok())?;
        wanted.reason = Some(format!("{}{}", PointRecord::SAFETY, plan.run));
        let prepared = snapshot::prepare(wanted, cx).await?;
        snapshot::snapshot(home, prepared, Options::default(), cx).await
    };
    let taken = take.await.map_err(|error: SnapshotError| RestoreError::Safety(Box::new(error)))?;
    tracing::info!(point = %taken.record.id, "the safety recovery point is complete");
    Ok(taken.record)
}

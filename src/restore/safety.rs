//! The way back: a complete recovery point of what is live, before any of it is replaced.

use super::RestoreError;
use crate::context::Context;
use crate::point::{Home, PointError, PointId, PointRecord, load};
use crate::snapshot::{self, Options, SnapshotError};

/// Takes it under the id that was fixed beforehand; the caller holds a shared lock. What an attempt of a process that is
/// gone has left goes first: members of one id must be one point's.
pub async fn point(home: &Home, run: &str, id: PointId, cx: &Context) -> Result<PointRecord, RestoreError> {
    let points = load(&home.repository, &home.stack.name).await?;
    for stray in points.strays.iter().filter(|stray| stray.point == id) {
        home.repository.remove_snapshot(&stray.snapshot).await.map_err(PointError::from)?;
    }
    let take = async {
        let mut wanted = snapshot::plan(&home.stack, &[], points.newest_complete().ok())?;
        (wanted.point, wanted.run) = (Some(id), Some(run.to_owned()));
        wanted.reason = Some(format!("{}{}", PointRecord::SAFETY, run));
        let prepared = snapshot::prepare(wanted, cx).await?;
        snapshot::snapshot(home, prepared, Options::default(), cx).await
    };
    let taken = take.await.map_err(|error: SnapshotError| RestoreError::Safety(Box::new(error)))?;
    tracing::info!(point = %taken.record.id, "the safety recovery point is complete");
    Ok(taken.record)
}

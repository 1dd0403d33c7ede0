//! What a drill leaves: the mark on the recovery point that it has proven, and its evidence.

use super::DrillError;
use super::plan::DrillPlan;
use super::report::Report;
use crate::context::Context;
use crate::point::{Home, Points, Proven, prove};

/// Marks the point as proven when all of it was verified, also when that was later than the objectives allow: it restores
/// all the same. Twice is fine: the newer mark replaces the older.
///
/// # Errors
/// When the repository cannot be written.
pub async fn mark_proven(
    home: &Home,
    plan: &DrillPlan,
    points: &Points,
    report: &mut Report,
    cx: &Context,
) -> Result<(), DrillError> {
    let (true, true, Some(measured)) = (report.holds(), plan.is_whole, &report.measured) else { return Ok(()) };
    let Some(point) = points.points.iter().find(|point| point.id == plan.point) else { return Ok(()) };
    let proven = Proven {
        format_version: Proven::FORMAT_VERSION,
        point: plan.point,
        run: plan.run.clone(),
        time: cx.clock.now(),
        tool: crate::TOOL.to_owned(),
        rto_ms: measured.rto.achieved_ms,
        bytes: measured.bytes,
        assertions: report.assertions.len() as u64,
        fsync: measured.fsync,
    };
    prove(home, point, &proven).await?;
    report.proven = true;
    Ok(())
}

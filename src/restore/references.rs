//! After an in-place restore: do the rows that are live now still lead to the files that are live now, but for the gaps
//! that the recovery point recorded?

use super::RestoreError;
use super::plan::RestorePlan;
use super::report::{ComparedReference, Report};
use crate::context::Context;
use crate::data::references::{Checked, ReferenceError, compare_gaps};
use crate::data::{postgres, references};
use crate::point::{Home, PointRecord, document};
use crate::repository::TreeId;
use crate::stack::{DataKind, Name, PostgresSpec, Reference};

/// Adds to the report every reference of which a data set was restored. A volume that was not is, a moment ago, in the safety point.
pub async fn compare(
    home: &Home,
    plan: &RestorePlan,
    safety: &PointRecord,
    mut report: Report,
    cx: &Context,
) -> Result<Report, RestoreError> {
    if home.stack.spec.references.is_empty() {
        return Ok(report);
    }
    let known = checked(home, plan).await;
    for reference in &home.stack.spec.references {
        let pair = reference.pair();
        let touched = |name: &Name| plan.parts.iter().any(|part| part.name() == name);
        if !touched(&pair.database) && !touched(&pair.volume) {
            continue;
        }
        let (Some(spec), Some(volume)) = (spec(home, &pair.database), live(plan, safety, &pair.volume)) else {
            continue;
        };
        let outcome = match look(home, reference, spec, &volume, &known, cx).await {
            Ok(outcome) => outcome,
            Err(source) => {
                let (reference, source) = (reference.word(), Box::new(source));
                return Err(RestoreError::References { reference, report: Box::new(report), source });
            }
        };
        let (gaps, count) = plan.record.reference(reference).map_or((&[][..], 0), |r| (&r.gaps[..], r.gap_count));
        report.references.push(ComparedReference {
            reference: reference.word(),
            database: pair.database.clone(),
            volume: pair.volume.clone(),
            comparison: compare_gaps(gaps, count, &outcome),
        });
    }
    Ok(report)
}

async fn look(
    home: &Home,
    reference: &Reference,
    spec: &PostgresSpec,
    volume: &TreeId,
    known: &Checked,
    cx: &Context,
) -> Result<references::Outcome, ReferenceError> {
    let source = postgres::open(spec, cx).await?;
    let outcome = references::compare(reference, &source, &home.repository, volume, known, cx).await;
    source.close().await;
    outcome
}

/// What was verified when the point was taken. It only saves work: whatever keeps it from being read means that nothing is
/// known.
async fn checked(home: &Home, plan: &RestorePlan) -> Checked {
    let read = async {
        let snapshot = home.repository.snapshot(&plan.snapshot).await.ok()?;
        let what = "the restored recovery point";
        let bytes = document(&home.repository, &snapshot.tree, PointRecord::CHECKED_FILE, what).await.ok()?;
        Checked::from_bytes(&bytes).ok()
    };
    read.await.unwrap_or_default()
}

fn spec<'a>(home: &'a Home, name: &Name) -> Option<&'a PostgresSpec> {
    home.stack.spec.data.iter().find(|set| set.name == *name).and_then(|set| match &set.kind {
        DataKind::Postgres(spec) => Some(spec),
        DataKind::Redis(_) | DataKind::Volume(_) => None,
    })
}

/// The tree that the volume's live content equals: the restored one, which was verified, or the safety point's.
fn live(plan: &RestorePlan, safety: &PointRecord, name: &Name) -> Option<TreeId> {
    let restored = plan.parts.iter().map(|part| &part.member).find(|member| member.data == *name);
    restored.or_else(|| safety.members.iter().find(|member| member.data == *name)).map(|member| member.tree)
}

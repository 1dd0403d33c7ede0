//! Do the restored rows lead to the restored files, but for the gaps that the recovery point recorded?

use std::time::Instant;

use super::DrillError;
use super::plan::DrillPlan;
use super::report::{ComparedReference, DrilledSet, ms};
use super::sandbox::{Holds, Sandbox};
use crate::context::Context;
use crate::data::references::{self, Checked, Outcome, ReferenceError, compare_gaps};
use crate::data::{Comparison, postgres};
use crate::failure::{Category, Failure};
use crate::point::{Home, PointRecord, document};
use crate::repository::{SnapshotId, TreeId};
use crate::stack::{PostgresSpec, Reference};

/// Compares every reference of the stack whose database and volume are in the sandbox. The rows are asked of the sandbox;
/// the files are those of the volume's snapshot, with which the restored ones were compared byte by byte a moment ago, so
/// a volume that differs from it is not asked: its own comparison has failed and says more.
///
/// # Errors
/// When the store cannot be read, or cancelled. A reference that cannot be judged is a difference.
pub async fn references(
    home: &Home,
    plan: &DrillPlan,
    sandbox: &Sandbox,
    data: &[DrilledSet],
    cx: &Context,
) -> Result<Vec<ComparedReference>, DrillError> {
    let mut compared = Vec::new();
    if home.stack.spec.references.is_empty() {
        return Ok(compared);
    }
    let known = checked(home, &plan.snapshot).await;
    for reference in &home.stack.spec.references {
        let pair = reference.pair();
        let Some(spec) = reading(sandbox, reference) else { continue };
        let Some(volume) = plan.parts.iter().find(|part| *part.name() == pair.volume) else { continue };
        let begun = Instant::now();
        let is_as_recorded =
            data.iter().any(|set| set.data == pair.volume && set.comparison.as_ref().is_some_and(Comparison::holds));
        let mut comparison = Comparison::default();
        let record = plan.record.reference(reference);
        if is_as_recorded {
            match look(home, reference, &spec, &volume.member.tree, &known, cx).await {
                Ok(outcome) => {
                    let (gaps, count) = record.map_or((&[][..], 0), |record| (&record.gaps[..], record.gap_count));
                    comparison = compare_gaps(gaps, count, &outcome);
                    comparison.notes.extend(outcome.summary.notes);
                }
                Err(ReferenceError::Cancelled) => return Err(DrillError::Cancelled),
                Err(ReferenceError::Repository(error)) if error.category() != Category::Integrity => {
                    return Err(error.into());
                }
                // The application had none yet, and nobody spoke of one, when the point was taken.
                Err(error @ ReferenceError::NoTable { .. }) if record.is_none() => {
                    comparison.not_comparable.push(error.to_string());
                }
                Err(error) => comparison.differs("the comparison", "possible", super::fill::chain(&error)),
            }
        } else {
            comparison.notes.push(format!("not compared: {} itself is not as recorded", pair.volume));
        }
        compared.push(ComparedReference {
            reference: reference.word(),
            database: pair.database.clone(),
            volume: pair.volume.clone(),
            is_compared: is_as_recorded,
            comparison,
            took_ms: ms(begun.elapsed()),
        });
    }
    Ok(compared)
}

/// The sandbox's database with programs of its server's own version: those of the document may be older.
fn reading(sandbox: &Sandbox, reference: &Reference) -> Option<PostgresSpec> {
    match &sandbox.places.get(&reference.pair().database)?.holds {
        Holds::Postgres { server, spec } => {
            Some(PostgresSpec { client_binaries: server.clients(), ..spec.as_ref().clone() })
        }
        Holds::Redis(_) | Holds::Volume(_) => None,
    }
}

async fn look(
    home: &Home,
    reference: &Reference,
    spec: &PostgresSpec,
    volume: &TreeId,
    known: &Checked,
    cx: &Context,
) -> Result<Outcome, ReferenceError> {
    let source = postgres::open(spec, cx).await?;
    let outcome = references::compare(reference, &source, &home.repository, volume, known, cx).await;
    source.close().await;
    outcome
}

/// What was verified when the point was taken. It only saves work: whatever keeps it from being read means that nothing is
/// known.
async fn checked(home: &Home, point: &SnapshotId) -> Checked {
    let read = async {
        let snapshot = home.repository.snapshot(point).await.ok()?;
        let what = "the drilled recovery point";
        let bytes = document(&home.repository, &snapshot.tree, PointRecord::CHECKED_FILE, what).await.ok()?;
        Checked::from_bytes(&bytes).ok()
    };
    read.await.unwrap_or_default()
}

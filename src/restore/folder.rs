//! `--to DIR`: a data set's files below `DIR/<data set>`, as they are stored; of a volume they are the volume.

use std::path::Path;
use std::time::Instant;

use super::plan::{Part, RestorePlan};
use super::report::{RestoredSet, ms};
use super::root;
use crate::context::Context;
use crate::data::{DataError, volume};
use crate::point::Home;

/// Writes and verifies one data set; the folder stays marked as the run's.
pub async fn fill(
    home: &Home,
    plan: &RestorePlan,
    part: &Part,
    target: &Path,
    cx: &Context,
) -> Result<RestoredSet, DataError> {
    let begun = Instant::now();
    let options = volume::RestoreOptions {
        allow_not_empty: plan.options.allow_not_empty,
        root: root::of(home, &part.member).await?,
        held_for: Some(plan.run.clone()),
        ..volume::RestoreOptions::default()
    };
    let comparison = volume::restore_to(&home.repository, &part.member.tree, target, &options, cx).await?;
    Ok(RestoredSet {
        data: part.name().clone(),
        kind: part.member.kind,
        to: vec![target.display().to_string()],
        promoted: comparison.holds(),
        comparison,
        formers: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
        took_ms: ms(begun.elapsed()),
    })
}

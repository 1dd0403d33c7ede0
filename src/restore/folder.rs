//! `--to DIR`: every data set's files below `DIR/<data set>`, as they are stored; for a volume they are the volume.

use std::path::Path;
use std::time::Instant;

use super::plan::{Part, RestorePlan};
use super::report::{Report, RestoredSet, ms};
use super::{RestoreError, preview, root};
use crate::context::Context;
use crate::data::{DataError, volume};
use crate::point::Home;

/// Writes and verifies one data set after the other.
pub async fn fill(home: &Home, plan: &RestorePlan, folder: &Path, cx: &Context) -> Result<Report, RestoreError> {
    preview::refuse_early(home, plan, cx).await?; // nothing is written when one of them is refused
    let mut report = plan.report();
    for part in &plan.parts {
        let done = || report.data.iter().map(|set: &RestoredSet| set.data.clone()).collect();
        match one(home, plan, part, &folder.join(part.name().as_str()), cx).await {
            Ok(restored) => report.data.push(restored),
            Err(source) => {
                let (data, done) = (part.name().clone(), done());
                return Err(RestoreError::Data { data, done, source: Box::new(source) });
            }
        }
    }
    Ok(report)
}

async fn one(
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
        ..volume::RestoreOptions::default()
    };
    let comparison = volume::restore_to(&home.repository, &part.member.tree, target, &options, cx).await?;
    Ok(RestoredSet {
        data: part.name().clone(),
        kind: part.member.kind,
        to: vec![target.display().to_string()],
        promoted: true,
        comparison,
        formers: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
        took_ms: ms(begun.elapsed()),
    })
}

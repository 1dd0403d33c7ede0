//! What `--fail` ends with.

use super::Finding;
use crate::failure::Category;

/// From the worst: what a person must decide keeps everything else from going on; damage may grow; a point that does not
/// restore is worse than one that is late; and what is only to be known comes last.
const ORDER: [Category; 5] = [
    Category::NeedsOperator,
    Category::Integrity,
    Category::DrillFailed,
    Category::ObjectiveMissed,
    Category::Warnings,
];

/// The category of the worst finding; `None` when all is well.
#[must_use]
pub fn worst(findings: &[Finding]) -> Option<Category> {
    findings.iter().map(|finding| finding.category).min_by_key(|category| rank(*category))
}

pub(super) fn rank(category: Category) -> usize {
    ORDER.iter().position(|one| *one == category).unwrap_or(ORDER.len())
}

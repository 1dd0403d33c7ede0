//! What a comparison of rows with files found. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::data::Comparison;

use super::Checked;

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Missing,
    Size,
    Checksum,
    /// The row itself cannot be understood: which file it means, or how that shall be.
    Unreadable,
}

/// A row that points at a file that is not there, or not as the row says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gap {
    /// `active_storage_blobs id 7`.
    pub row: String,
    /// Relative to the volume's root; empty for an unreadable row.
    pub file: String,
    pub what: What,
    /// What the row says; empty for a missing file and an unreadable row.
    pub expected: String,
    /// What is there instead; of an unreadable row what is wrong with it.
    pub found: String,
}

impl Gap {
    /// A row that makes no sense.
    pub(super) fn unreadable(row: impl Into<String>, how: impl Into<String>) -> Self {
        let (row, found) = (row.into(), how.into());
        Self { row, file: String::new(), what: What::Unreadable, expected: String::new(), found }
    }

    /// `files id 3 → cat.png`, or the row alone.
    #[must_use]
    pub fn subject(&self) -> String {
        if self.file.is_empty() { self.row.clone() } else { format!("{} → {}", self.row, self.file) }
    }

    /// `missing`, `4 bytes where 7 are recorded`.
    #[must_use]
    pub fn problem(&self) -> String {
        match self.what {
            What::Missing => "missing".into(),
            What::Unreadable => format!("cannot be understood: {}", self.found),
            What::Size | What::Checksum => format!("{} where {} is recorded", self.found, self.expected),
        }
    }
}

/// How much was compared, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Summary {
    pub rows: u64,
    /// Files that are as their rows say.
    pub files: u64,
    /// Files whose checksum was computed from their content.
    pub checksums_computed: u64,
    /// Files with the content for which the former point had computed it.
    pub checksums_taken_over: u64,
    /// Rows of a kind that has checksums, but without one (composed blobs): compared by size alone.
    pub files_without_checksum: u64,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// In the order of the rows, the first [`Outcome::MAX_LISTED`].
    pub gaps: Vec<Gap>,
    pub gap_count: u64,
    pub summary: Summary,
    /// What the next comparison need not compute again.
    pub checked: Checked,
}

impl Outcome {
    /// A volume that was lost would list every row; ten thousand show what it is about.
    pub const MAX_LISTED: usize = 10_000;

    pub(super) fn add(&mut self, gap: Gap) {
        self.gap_count += 1;
        if self.gaps.len() < Self::MAX_LISTED {
            self.gaps.push(gap);
        }
    }
}

/// Holds a restored stack to what was recorded with its recovery point: a gap that was known then is none now.
#[must_use]
pub fn compare_gaps(recorded: &[Gap], recorded_count: u64, now: &Outcome) -> Comparison {
    let mut comparison = Comparison::default();
    comparison.count("referencingRows", now.summary.rows);
    comparison.count("referencedFiles", now.summary.files);
    comparison.count("knownGaps", recorded_count);
    comparison.count("checksumsComputed", now.summary.checksums_computed);
    let known: BTreeSet<&Gap> = recorded.iter().collect();
    for gap in now.gaps.iter().filter(|gap| !known.contains(gap)) {
        comparison.differs(gap.subject(), "as the row says", gap.problem());
    }
    // Beyond what is listed only the numbers can be held against each other.
    let unlisted = now.gap_count.saturating_sub(now.gaps.len() as u64);
    if comparison.holds() && unlisted > 0 && now.gap_count > recorded_count {
        comparison.differs("rows without their files", recorded_count, now.gap_count);
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(id: u32) -> Gap {
        Gap {
            row: format!("files id {id}"),
            file: format!("{id}.png"),
            what: What::Missing,
            expected: String::new(),
            found: String::new(),
        }
    }

    #[test]
    fn a_known_gap_is_no_failure_and_a_new_one_is() {
        let mut now = Outcome::default();
        now.add(gap(1));
        assert!(compare_gaps(&[gap(1), gap(2)], 2, &now).holds());
        now.add(gap(3));
        let comparison = compare_gaps(&[gap(1), gap(2)], 2, &now);
        assert_eq!(comparison.difference_count, 1);
        assert_eq!(comparison.differences[0].what, "files id 3 → 3.png");
        assert_eq!(comparison.differences[0].found, "missing");
    }

    #[test]
    fn the_same_file_wrong_in_another_way_is_new() {
        let size = Gap { what: What::Size, expected: "7 bytes".into(), found: "4 bytes".into(), ..gap(1) };
        let mut now = Outcome::default();
        now.add(size);
        let comparison = compare_gaps(&[gap(1)], 1, &now);
        assert_eq!(comparison.differences[0].found, "4 bytes where 7 bytes is recorded");
    }

    #[test]
    fn more_gaps_than_can_be_listed_are_counted() {
        let mut now = Outcome::default();
        (0..Outcome::MAX_LISTED as u32 + 5).for_each(|id| now.add(gap(id)));
        let recorded = now.gaps.clone();
        assert!(compare_gaps(&recorded, now.gap_count, &now).holds());
        assert!(!compare_gaps(&recorded, now.gap_count - 1, &now).holds());
    }
}

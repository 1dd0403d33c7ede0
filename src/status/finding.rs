//! One thing that is wrong, how bad it is, and what to type.

use serde::Serialize;

use crate::failure::Category;
use crate::finding::Severity;

/// Something that a person should know. Of one code and subject there is one finding at a time, so that whoever notifies
/// can tell a new one from one that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub code: Code,
    pub severity: Severity,
    /// What `--fail` ends with because of it.
    pub category: Category,
    /// What it is about: an objective, a run, a schedule, a recovery point.
    pub subject: String,
    /// One sentence with the figures.
    pub detail: String,
    /// The command to type, with `-f FILE` for the Stack document, or what to do.
    pub fix: String,
}

/// What is wrong, as a word for scripts, metrics and notifications; never reused for another thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    RunWaits,
    RunDamaged,
    CheckFoundDamage,
    PointBroken,
    EvidenceDoesNotVerify,
    DrillFailed,
    RpoMissed,
    ProvenMissed,
    RtoMissed,
    RunCutOff,
    RunParked,
    RunFailed,
    NoPoint,
    NotProven,
    RtoNear,
    ScheduleCannotRun,
    ScheduleOverdue,
    ScheduleMissed,
    SchedulesRefused,
    PointAhead,
    PointNewer,
    SnapshotUnreadable,
}

impl Code {
    /// How bad it is.
    #[must_use]
    pub fn category(self) -> Category {
        match self {
            Self::RunWaits | Self::RunDamaged => Category::NeedsOperator,
            Self::CheckFoundDamage | Self::PointBroken | Self::EvidenceDoesNotVerify | Self::SnapshotUnreadable => {
                Category::Integrity
            }
            Self::DrillFailed => Category::DrillFailed,
            Self::RpoMissed | Self::ProvenMissed | Self::RtoMissed => Category::ObjectiveMissed,
            Self::RunCutOff
            | Self::RunParked
            | Self::RunFailed
            | Self::NoPoint
            | Self::NotProven
            | Self::RtoNear
            | Self::ScheduleCannotRun
            | Self::ScheduleOverdue
            | Self::ScheduleMissed
            | Self::SchedulesRefused
            | Self::PointAhead
            | Self::PointNewer => Category::Warnings,
        }
    }

    /// As it is written in JSON: `rpo-missed`.
    #[must_use]
    pub fn word(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => word,
            _ => String::new(), // a variant without fields is always a text
        }
    }
}

impl Finding {
    pub(super) fn new(
        code: Code,
        subject: impl Into<String>,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let category = code.category();
        let severity = if category == Category::Warnings { Severity::Warning } else { Severity::Problem };
        Self { code, severity, category, subject: subject.into(), detail: detail.into(), fix: fix.into() }
    }
}

//! What a drill showed: never just "ok", but what was compared, asserted and measured.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::fill::Filled;
use super::measure::Measured;
use super::plan::{DrillPlan, Part};
use super::sandbox::{Address, Sandbox};
use super::trend::Trend;
use crate::data::Comparison;
use crate::failure::Category;
use crate::point::{DataWord, PointId};
use crate::stack::Name;

/// The result of a drill.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub run: String,
    pub stack: Name,
    pub point: PointId,
    /// When the point was taken.
    pub point_time: Timestamp,
    pub begun: Timestamp,
    pub tool: &'static str,
    /// In one word, from all below.
    pub outcome: Outcome,
    /// What ended it before all was looked at.
    pub failure: Option<Refuted>,
    pub data: Vec<DrilledSet>,
    /// Restored rows against restored files.
    pub references: Vec<ComparedReference>,
    pub assertions: Vec<Asserted>,
    /// Assertions that were not asked, and why.
    pub not_asked: Vec<String>,
    /// Every data set of a complete point.
    pub is_whole: bool,
    /// From the beginning of the work to all of it verified; `None` when it did not come to that.
    pub rto_ms: Option<u64>,
    /// Against the objectives; `None` when it did not come to that.
    pub measured: Option<Measured>,
    pub trend: Option<Trend>,
    /// The recovery point is marked as proven.
    pub proven: bool,
    /// The signed record, where the document names a key.
    pub evidence: Option<EvidenceLeft>,
    /// Why there is none although it does.
    pub evidence_failure: Option<String>,
    /// What a person wanted to keep.
    pub sandbox: Option<KeptSandbox>,
}

/// What a drill is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything is as recorded and asserted, within the objectives.
    Verified,
    /// Everything is as recorded and asserted, later than the objectives allow.
    Late,
    /// Something differs, does not hold, or does not restore.
    NotVerified,
}

/// One data set that was drilled.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrilledSet {
    pub data: Name,
    pub kind: DataWord,
    /// How large it was when it was taken.
    pub bytes: u64,
    /// `postgresql 15.14`; none for a folder.
    pub server: Option<String>,
    pub provision_ms: u64,
    pub fill_ms: u64,
    pub verify_ms: Option<u64>,
    /// `None` when it did not come to that.
    pub comparison: Option<Comparison>,
    pub notes: Vec<String>,
}

/// One reference in the sandbox; a gap that the recovery point did not record is a difference.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedReference {
    pub reference: &'static str,
    pub database: Name,
    pub volume: Name,
    /// False where the volume itself differs.
    pub is_compared: bool,
    pub comparison: Comparison,
    pub took_ms: u64,
}

/// What an assertion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Holds,
    Fails,
    /// It could not be asked; that is a failure, too.
    Errs,
}

/// One assertion.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asserted {
    /// `sql`, `rows`, `freshness`, `keys`, `files`, `command`.
    pub kind: &'static str,
    pub data: Option<Name>,
    /// The query, table, pattern or name.
    pub what: String,
    pub verdict: Verdict,
    pub expected: String,
    /// What is there instead, without what is in any row.
    pub found: String,
    /// What helps to understand it: a command's last words.
    pub note: Option<String>,
    pub took_ms: u64,
}

/// A sandbox that stays.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptSandbox {
    pub run: String,
    pub folder: PathBuf,
    /// How to reach each data set.
    pub addresses: BTreeMap<Name, Address>,
}

/// Why a recovery point does not restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refuted {
    pub data: Name,
    /// `does not restore`, `cannot be compared`.
    pub what: &'static str,
    /// In the words of whoever refused.
    pub why: String,
}

impl std::fmt::Display for Refuted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.data, self.what, self.why)
    }
}

/// Where the signed record lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceLeft {
    pub number: u64,
    pub digest: String,
}

impl From<crate::evidence::Appended> for EvidenceLeft {
    fn from(appended: crate::evidence::Appended) -> Self {
        Self { number: appended.number, digest: appended.digest.to_string() }
    }
}

impl Report {
    /// An empty one; whoever takes the steps one by one adds what each has shown.
    #[must_use]
    pub fn begun(plan: &DrillPlan, begun: Timestamp) -> Self {
        Self {
            run: plan.run.clone(),
            stack: plan.stack.clone(),
            point: plan.point,
            point_time: plan.record.time,
            begun,
            tool: crate::TOOL,
            outcome: Outcome::NotVerified,
            failure: None,
            data: Vec::new(),
            references: Vec::new(),
            assertions: Vec::new(),
            not_asked: plan.not_asked.clone(),
            is_whole: plan.is_whole,
            rto_ms: None,
            measured: None,
            trend: None,
            proven: false,
            evidence: None,
            evidence_failure: None,
            sandbox: None,
        }
    }

    /// Adds a data set that is in the sandbox.
    pub fn filled(&mut self, part: &Part, sandbox: &Sandbox, filled: Filled) {
        self.data.push(DrilledSet {
            data: part.name().clone(),
            kind: part.member.kind,
            bytes: part.member.bytes,
            server: sandbox.server(part.name()),
            provision_ms: sandbox.places.get(part.name()).map_or(0, |place| place.provision_ms),
            fill_ms: filled.took_ms,
            verify_ms: None,
            comparison: None,
            notes: filled.notes,
        });
    }

    /// Adds what comparing a data set has shown.
    pub fn compared(&mut self, part: &Part, comparison: Comparison, took_ms: u64) {
        for set in self.data.iter_mut().filter(|set| set.data == *part.name()) {
            set.verify_ms = Some(took_ms);
            set.comparison = Some(comparison.clone());
        }
    }

    /// Ends it: nothing after this was looked at.
    pub fn fails(&mut self, refuted: Refuted) {
        self.failure = Some(refuted);
    }

    /// Everything that the recovery point recorded was compared.
    pub fn verified_after(&mut self, took: Duration) {
        self.rto_ms = Some(ms(took));
    }

    /// Whether everything was looked at and is as recorded and asserted.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failure.is_none()
            && self.rto_ms.is_some()
            && self.data.iter().all(|set| set.comparison.as_ref().is_some_and(Comparison::holds))
            && self.references.iter().all(|reference| reference.is_compared && reference.comparison.holds())
            && self.assertions.iter().all(|asserted| asserted.verdict == Verdict::Holds)
    }

    /// What a script is told.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        match self.outcome {
            Outcome::Verified if self.evidence_failure.is_some() => Some(Category::Unavailable),
            Outcome::Verified => None,
            Outcome::Late => Some(Category::ObjectiveMissed),
            Outcome::NotVerified => Some(Category::DrillFailed),
        }
    }

    /// Everything that is not as it must be, one sentence each.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut all: Vec<String> = self.failure.iter().map(ToString::to_string).collect();
        for set in &self.data {
            let differences = set.comparison.iter().flat_map(|comparison| &comparison.differences);
            all.extend(differences.map(|difference| format!("{}: {difference}", set.data)));
        }
        for one in &self.references {
            let differences = one.comparison.differences.iter();
            all.extend(differences.map(|d| format!("{} of {}: {}: {}", one.reference, one.database, d.what, d.found)));
        }
        for one in self.assertions.iter().filter(|one| one.verdict != Verdict::Holds) {
            let data = one.data.as_ref().map(|data| format!(" of {data}")).unwrap_or_default();
            all.push(match one.verdict {
                Verdict::Errs => format!("{}{data}: {}: cannot be asked: {}", one.kind, one.what, one.found),
                _ => format!("{}{data}: {}: {} where {} is expected", one.kind, one.what, one.found, one.expected),
            });
        }
        all
    }
}

pub(super) fn ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

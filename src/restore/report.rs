//! What a restore did: never just "ok", but what was compared with what was recorded.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::data::Comparison;
use crate::point::{DataWord, PointId};
use crate::stack::Name;

/// The result of a restore.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub run: String,
    pub point: PointId,
    /// The way back from an in-place restore.
    pub safety_point: Option<PointId>,
    /// What killed restores had left, and what became of it.
    pub mended: Vec<String>,
    pub data: Vec<RestoredSet>,
    /// What was live for a while, when all was brought back because something differed.
    pub set_aside: Vec<SetAside>,
    /// Rows against their files, before any of them went live.
    pub references: Vec<ComparedReference>,
    /// The signed record that it left; none where the document names no key.
    pub evidence: Option<EvidenceLeft>,
}

/// A record of the stack's evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceLeft {
    pub number: u64,
    pub digest: String,
}

/// One reference of a restore; a gap that the recovery point did not record is a difference.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedReference {
    pub reference: &'static str,
    pub database: Name,
    pub volume: Name,
    pub comparison: Comparison,
}

/// One data set that is back.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredSet {
    pub data: Name,
    pub kind: DataWord,
    /// Where it is now: a folder, a database, a server.
    pub to: Vec<String>,
    /// False when it differed: nothing is there then but what was filled where it lies, which `to` names.
    pub promoted: bool,
    pub comparison: Comparison,
    /// What it replaced and where that is kept.
    pub formers: Vec<Former>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What a person must do something about although all is as recorded.
    pub warnings: Vec<String>,
    pub took_ms: u64,
}

/// What was live before an in-place restore, kept until told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Former {
    pub data: Name,
    /// `database` or `folder`.
    pub kind: &'static str,
    pub name: String,
}

/// What a restore had made live before it was brought back. Kept until told otherwise: applications may have written to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetAside {
    pub data: Name,
    /// `database` or `folder`.
    pub kind: &'static str,
    pub name: String,
}

impl SetAside {
    pub(super) fn new(data: &Name, kind: &'static str, name: String) -> Self {
        Self { data: data.clone(), kind, name }
    }
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {} of {}", self.kind, self.name, self.data)
    }
}

impl Report {
    pub(super) fn begun(run: &str, point: PointId) -> Self {
        Self {
            run: run.to_owned(),
            point,
            safety_point: None,
            mended: Vec::new(),
            data: Vec::new(),
            set_aside: Vec::new(),
            references: Vec::new(),
            evidence: None,
        }
    }

    /// Whether everything is as it was recorded.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.data.iter().all(|set| set.comparison.holds())
            && self.references.iter().all(|reference| reference.comparison.holds())
    }

    /// Whether all data sets of an in-place restore went live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.data.is_empty() && self.data.iter().all(|set| set.promoted)
    }

    /// Whether rows point at files that are not there, which the point did not record.
    #[must_use]
    pub fn has_new_gaps(&self) -> bool {
        self.references.iter().any(|reference| !reference.comparison.holds())
    }

    /// Whether a person must do something about it although all is as recorded.
    #[must_use]
    pub fn warns(&self) -> bool {
        self.data.iter().any(|set| !set.warnings.is_empty())
    }
}

pub(super) fn ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

//! What `doctor` says of one thing it looked at, whoever looked.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Good,
    /// Works, but something will bite one day.
    Warning,
    /// A snapshot or restore would fail.
    Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `repository`, or the data set's name.
    pub subject: String,
    pub severity: Severity,
    /// One sentence with the figures: `PostgreSQL 15.8 reached over TLS as drydock`.
    pub detail: String,
    /// What to type or change; always there unless all is good.
    pub fix: Option<String>,
}

impl Finding {
    pub fn good(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { subject: subject.into(), severity: Severity::Good, detail: detail.into(), fix: None }
    }

    pub fn warning(subject: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject: subject.into(), severity: Severity::Warning, detail: detail.into(), fix: Some(fix.into()) }
    }

    pub fn problem(subject: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject: subject.into(), severity: Severity::Problem, detail: detail.into(), fix: Some(fix.into()) }
    }
}

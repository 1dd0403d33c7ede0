//! What a run is going to do, fixed before it begins. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::stack::Name;

/// The rules by which [`decide`](super::decide) leads a run; what another version of them began is undone, not resumed.
pub const ENGINE_VERSION: u32 = 1;

/// `<kind>-<stack>-<UTC>-<random>`, or of a scheduled one `<kind>-<stack>-<UTC>-<schedule>`; a folder's name in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// What a local file system and S3 take as one name.
    const LONGEST: usize = 200;

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > Self::LONGEST || text.starts_with('-') || !text.chars().all(fits) {
            return Err(format!("`{text}` is no run's id: expected lower-case letters, digits and `-`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RunId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether what a step has done can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Can be undone, or leaves nothing that would have to be.
    Reversible,
    /// The point of no return: once it is intended the run goes forward only.
    Pivot,
    /// After the pivot: tried again, or a person decides.
    Forward,
}

/// One step; its name is never used for another thing again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedStep {
    /// `take`, `fill:chatwoot-db`.
    pub name: String,
    pub kind: StepKind,
    /// What the step is told; no secret, no row.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub parameters: Value,
}

/// Steps that may run together; the next phase begins when all of them are verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phase {
    pub name: String,
    pub steps: Vec<PlannedStep>,
}

/// The whole of it, frozen by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// The operation: `snapshot`, `drill`; says whose steps these are.
    pub operation: String,
    pub stack: Name,
    pub engine_version: u32,
    pub phases: Vec<Phase>,
}

impl Plan {
    /// A plan by this program's rules.
    #[must_use]
    pub fn new(operation: &str, stack: &Name, phases: Vec<Phase>) -> Self {
        Self { operation: operation.to_owned(), stack: stack.clone(), engine_version: ENGINE_VERSION, phases }
    }

    /// The steps in order.
    pub fn steps(&self) -> impl Iterator<Item = &PlannedStep> {
        self.phases.iter().flat_map(|phase| &phase.steps)
    }

    /// SHA-256 over the plan's JSON, as hex: two plans of one digest do the same. No times are in it.
    #[must_use]
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("names, numbers and parameters are JSON");
        hex::encode(Sha256::digest(json))
    }

    /// # Errors
    /// Why nobody could go by this plan: no step, a name twice, or a step that can be undone after one that cannot.
    pub fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        let mut irreversible = None;
        for step in self.steps() {
            if !names.insert(&step.name) {
                return Err(format!("two steps are called `{}`", step.name));
            }
            match (step.kind, irreversible) {
                (StepKind::Reversible, None) => {}
                (StepKind::Pivot | StepKind::Forward, None) => irreversible = Some(&step.name),
                (StepKind::Forward, Some(_)) => {}
                (StepKind::Reversible | StepKind::Pivot, Some(before)) => {
                    return Err(format!("step `{}` cannot come after `{before}`, which is not undone", step.name));
                }
            }
        }
        if names.is_empty() { Err("it has no steps".into()) } else { Ok(()) }
    }
}

//! The order of a deploy: a phase is applied, then waited for, then the next; what left the release goes last. Pure.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::release::Release;
use crate::run::{Phase, PlannedStep, StepKind};

/// What every step is told. The release itself lies in the cluster, under its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    pub digest: String,
    /// Whose objects these are where a manifest does not say.
    pub namespace: String,
    /// Of the kubeconfig; the current one where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// How long a phase may take to become healthy.
    pub wait_seconds: u64,
    /// Fields that somebody else manages are taken over.
    #[serde(default)]
    pub force: bool,
    /// Claims and whatever else holds data go as well, where they left the release.
    #[serde(default)]
    pub prune_data: bool,
}

/// What a step does: the word before the colon in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage<'a> {
    Apply(&'a str),
    Healthy(&'a str),
    Prune,
    Record,
}

impl<'a> Stage<'a> {
    /// That of a step; none for a step of another program.
    #[must_use]
    pub fn of(step: &'a str) -> Option<Self> {
        Some(match (step, step.split_once(':')) {
            ("prune", _) => Self::Prune,
            ("record", _) => Self::Record,
            (_, Some(("apply", phase))) => Self::Apply(phase),
            (_, Some(("healthy", phase))) => Self::Healthy(phase),
            _ => return None,
        })
    }
}

/// The phases of the run. Without `only` what left the release is removed at the end and the release is the stack's; with it
/// that phase alone is brought to what the release says, and the stack's release stays what it was.
#[must_use]
pub fn phases(release: &Release, told: &Told, only: Option<&str>) -> Vec<Phase> {
    let step = |name: String| PlannedStep { name, kind: StepKind::Reversible, parameters: json!(told) };
    let phase =
        |name: &str, steps: Vec<String>| Phase { name: name.to_owned(), steps: steps.into_iter().map(step).collect() };
    let wanted =
        release.phases.iter().filter(|one| !one.manifests.is_empty() && only.is_none_or(|only| one.name == only));
    let mut phases: Vec<Phase> = wanted
        .flat_map(|one| {
            let name = &one.name;
            [
                phase(name, vec![format!("apply:{name}")]),
                phase(&format!("{name}: healthy"), vec![format!("healthy:{name}")]),
            ]
        })
        .collect();
    if only.is_none() {
        phases.extend([phase("prune", vec!["prune".into()]), phase("record", vec!["record".into()])]);
    }
    phases
}

//! The order of a deploy: a phase is applied, its components migrated and rolled, waited for, then the next; what left the
//! release goes last. Pure.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::migrating::{Migrating, held};
use super::release::Release;
use crate::cluster::Manifest;
use crate::run::{Phase, PlannedStep, StepKind};
use crate::stack;

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
    /// Data that is there already may be migrated.
    #[serde(default)]
    pub migrate: bool,
    /// After which Kubernetes ends a migration.
    #[serde(default)]
    pub migrate_seconds: u64,
    /// drydock's own image, for the Jobs that ask databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What this step migrates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrating: Vec<Migrating>,
    /// Workloads of the phase that wait for that, as `Kind namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
}

impl Told {
    /// Whether the manifest waits for the phase's migrations.
    #[must_use]
    pub fn holds(&self, manifest: &Manifest) -> bool {
        let id = manifest.id.to_string();
        self.held.contains(&id)
    }
}

/// What a step does: the word before the colon in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage<'a> {
    Apply(&'a str),
    Migrate(&'a str),
    /// What waited for the migrations.
    Roll(&'a str),
    Healthy(&'a str),
    /// What only an end of the former version allows.
    Finish(&'a str),
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
            (_, Some(("migrate", phase))) => Self::Migrate(phase),
            (_, Some(("roll", phase))) => Self::Roll(phase),
            (_, Some(("healthy", phase))) => Self::Healthy(phase),
            (_, Some(("finish", phase))) => Self::Finish(phase),
            _ => return None,
        })
    }
}

/// What a phase of the stack migrates, and what is taken before.
#[derive(Debug, Clone, Default)]
pub struct PhaseMigrations {
    pub phase: String,
    pub migrating: Vec<Migrating>,
    /// The step that takes a recovery point first.
    pub point: Option<PlannedStep>,
}

/// The phases of the run. Without `only` what left the release is removed at the end and the release is the stack's; with it
/// that phase alone is brought to what the release says, and the stack's release stays what it was.
#[must_use]
pub fn phases(
    release: &Release,
    of_stack: &[stack::Phase],
    migrations: &[PhaseMigrations],
    told: &Told,
    only: Option<&str>,
) -> Vec<Phase> {
    let step = |name: String, told: &Told| PlannedStep { name, kind: StepKind::Reversible, parameters: json!(told) };
    let alone = |name: String, step: PlannedStep| Phase { name, steps: vec![step] };
    let wanted =
        release.phases.iter().filter(|one| !one.manifests.is_empty() && only.is_none_or(|only| one.name == only));
    let mut phases = Vec::new();
    for one in wanted {
        let name = &one.name;
        let migrations = migrations.iter().find(|of| of.phase == *name).filter(|of| !of.migrating.is_empty());
        let Some(PhaseMigrations { migrating, point, .. }) = migrations else {
            phases.push(alone(name.clone(), step(format!("apply:{name}"), told)));
            phases.push(alone(format!("{name}: healthy"), step(format!("healthy:{name}"), told)));
            continue;
        };
        let components = of_stack.iter().filter(|of| of.name.as_str() == name).flat_map(|of| &of.components);
        let held = held(one, components, migrating);
        let told = Told { held, ..told.clone() };
        let migrate = Told { migrating: migrating.clone(), ..told.clone() };
        phases.push(alone(name.clone(), step(format!("apply:{name}"), &told)));
        phases.extend(point.clone().map(|point| alone(format!("{name}: recovery point"), point)));
        phases.push(alone(format!("{name}: migrate"), step(format!("migrate:{name}"), &migrate)));
        phases.push(alone(format!("{name}: roll"), step(format!("roll:{name}"), &told)));
        phases.push(alone(format!("{name}: healthy"), step(format!("healthy:{name}"), &told)));
        if migrating.iter().any(Migrating::has_two_phases) {
            phases.push(alone(format!("{name}: finish"), step(format!("finish:{name}"), &migrate)));
        }
    }
    if only.is_none() {
        phases.extend(["prune", "record"].map(|word| alone(word.into(), step(word.into(), told))));
    }
    phases
}

//! Which components of a release have a migration, and whether this deploy may run it. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::DeployError;
use super::release::{Release, ReleasePhase};
use crate::cluster::{Manifest, Migrated, MigrationState, ObjectId};
use crate::migration::{Version, Wanted, hops, jobs};
use crate::stack::{Component, Migration, Name, Stack};

/// A component that is migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Migrating {
    pub component: String,
    /// `Deployment/kong`
    pub workload: String,
    pub adapter: Migration,
    /// The container whose image migrates, where the workload has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    pub version: Version,
    /// What tells one migration from another of the same version: see [`jobs::fingerprint`].
    pub by: String,
}

impl Migrating {
    /// Whether something is left to do once the former version is gone.
    #[must_use]
    pub fn has_two_phases(&self) -> bool {
        self.adapter == Migration::Kong
    }
}

/// What a Job of `step` is made with.
#[must_use]
pub fn wanted<'a>(container: Option<&'a str>, run: &'a str, step: &'a str, deadline: Duration) -> Wanted<'a> {
    Wanted { run, step, attempt: 1, container, image: None, command: None, args: &[], without: &[], deadline }
}

/// What tells only which image it is.
fn any(container: Option<&str>) -> Wanted<'_> {
    wanted(container, "", "", Duration::ZERO)
}

/// What is to be done about a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// This image with this environment has migrated it already.
    Nothing,
    Migration {
        /// Data is there that a recovery point keeps.
        point: bool,
    },
}

/// A phase's name, what it migrates, the data sets that this changes.
pub type Found<'s> = (String, Migrating, &'s [Name]);

/// The components with a migration whose workloads the release has, by phase, with the data sets that they change.
///
/// # Errors
/// A workload that is not there or has no version in its image's tag; an adapter that a deploy cannot run.
pub fn migrating<'s>(stack: &'s Stack, release: &Release, only: Option<&str>) -> Result<Vec<Found<'s>>, DeployError> {
    let mut found = Vec::new();
    for phase in stack.spec.phases.iter().filter(|phase| only.is_none_or(|only| phase.name.as_str() == only)) {
        let Some(of_release) = release.phases.iter().find(|one| one.name == phase.name.as_str()) else { continue };
        for component in &phase.components {
            let Some(adapter) = component.migration else { continue };
            let name = component.name.to_string();
            if adapter == Migration::Job {
                return Err(DeployError::NoAdapter { component: name });
            }
            let manifest = workload(of_release, &component.workload).ok_or_else(|| DeployError::NoWorkload {
                component: name.clone(),
                workload: component.workload.clone(),
                phase: phase.name.to_string(),
            })?;
            let any = any(component.container.as_deref());
            let derived = |source| DeployError::Derive { component: name.clone(), source };
            let image = jobs::image(&manifest.value, &any).map_err(derived)?;
            let of = Migrating {
                workload: component.workload.clone(),
                adapter,
                container: component.container.clone(),
                version: Version::of_image(&image)
                    .map_err(|source| DeployError::NoVersion { component: name.clone(), source })?,
                by: jobs::fingerprint(&manifest.value, &any, adapter).map_err(derived)?,
                component: name,
            };
            found.push((phase.name.to_string(), of, component.data.as_slice()));
        }
    }
    Ok(found)
}

/// The workload that a component names: `Deployment/kong`.
#[must_use]
pub fn workload<'r>(phase: &'r ReleasePhase, named: &str) -> Option<&'r Manifest> {
    phase.manifests.iter().find(|manifest| is(&manifest.id, named))
}

fn is(id: &ObjectId, named: &str) -> bool {
    named.split_once('/').is_some_and(|(kind, name)| kind == id.kind && name == id.name)
}

/// The workloads that do not roll before the migrations are through: the phase's components, and whatever else runs an image
/// that migrates (a worker beside its web server).
#[must_use]
pub fn held<'c>(
    phase: &ReleasePhase,
    components: impl Iterator<Item = &'c Component>,
    migrating: &[Migrating],
) -> Vec<String> {
    let named: Vec<&str> = components.map(|component| component.workload.as_str()).collect();
    let images: Vec<String> = migrating
        .iter()
        .filter_map(|of| jobs::image(&workload(phase, &of.workload)?.value, &any(of.container.as_deref())).ok())
        .collect();
    let runs = |manifest: &Manifest| {
        let templates = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
        let containers = templates.iter().filter_map(|path| manifest.value.pointer(path)?["containers"].as_array());
        containers.flatten().filter_map(|container| container["image"].as_str()).any(|i| images.iter().any(|o| o == i))
    };
    let waits = |manifest: &&Manifest| named.iter().any(|named| is(&manifest.id, named)) || runs(manifest);
    phase.manifests.iter().filter(waits).map(|manifest| manifest.id.to_string()).collect()
}

/// Whether `of` may be migrated, by what is on record of its database.
///
/// # Errors
/// Backwards; over a version that must run between; forwards without having been told.
pub fn judge(of: &Migrating, record: Option<&Migrated>, migrate: bool) -> Result<Need, DeployError> {
    let Some(record) = record else { return Ok(Need::Migration { point: migrate }) };
    let from: Version =
        record.version.parse().map_err(|source| DeployError::NoVersion { component: of.component.clone(), source })?;
    let component = || of.component.clone();
    let way = hops(of.adapter, &from, &of.version)
        .map_err(|source| DeployError::Path { component: component(), source: Box::new(source) })?;
    let (from, to) = (record.version.clone(), of.version.to_string());
    match way.as_slice() {
        [] if record.state == MigrationState::Done && record.by == of.by => Ok(Need::Nothing),
        [] => Ok(Need::Migration { point: migrate && record.state == MigrationState::Done }),
        [_] if !migrate => Err(DeployError::NotTold { component: component(), from, to }),
        [_] => Ok(Need::Migration { point: true }),
        [next, ..] => Err(DeployError::Stop { component: component(), from, to, next: next.to_string() }),
    }
}

/// The labels by which the workload's pods are found.
#[must_use]
pub fn selector(workload: &Value) -> String {
    let labels = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

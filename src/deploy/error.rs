//! Why a release cannot be deployed.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::{ClusterError, ObjectId, Origin};
use crate::failure::{Category, Failure};
use crate::migration::version::UnknownVersion;
use crate::migration::{DeriveError, paths};

#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// One line a problem, of all files.
    #[error("{}", problems.join("\n"))]
    Invalid { problems: Vec<String> },
    #[error("{} holds no manifest", place.display())]
    NothingThere { place: PathBuf },
    #[error("{origin}: {source}")]
    Object { origin: Origin, source: Box<ClusterError> },
    #[error(transparent)]
    Cluster(Box<ClusterError>),
    #[error("{id} is not healthy after {} s: {why}", waited.as_secs())]
    Unhealthy { id: Box<ObjectId>, namespace: String, why: String, waited: Duration },
    #[error("{id} was removed and is still there: something holds it by a finalizer")]
    StillThere { id: Box<ObjectId> },
    #[error("the release has no phase `{phase}`")]
    NoPhase { phase: String },
    #[error("there is no release {number}")]
    NoRelease { number: u64 },
    #[error("no release of this stack was ever completed in this cluster")]
    NoReleases,
    #[error("the component `{component}` has `migration: job`, which a deploy cannot run")]
    NoAdapter { component: String },
    #[error("the component `{component}` is {workload}, which is not in the phase `{phase}` of the release")]
    NoWorkload { component: String, workload: String, phase: String },
    #[error("the component `{component}`: {source}")]
    Derive { component: String, source: DeriveError },
    #[error("the component `{component}`: {source}")]
    NoVersion { component: String, source: UnknownVersion },
    #[error("the component `{component}`: {source}")]
    Path { component: String, source: Box<paths::Refused> },
    #[error("`{component}` goes from {from} to {to}, which migrates data that is there")]
    NotTold { component: String, from: String, to: String },
    #[error("`{component}` cannot go from {from} to {to} at once: {next} has to run between")]
    Stop { component: String, from: String, to: String, next: String },
    #[error("no recovery point can be taken before `{component}` is migrated: it names no data sets")]
    NoData { component: String },
    #[error(
        "the database of `{component}` is in use, and no deploy is on record that migrated it: what {version} would change was not agreed to"
    )]
    InUse { component: String, version: String },
    /// An adapter does not allow it.
    #[error("`{component}`: {why}")]
    Refused { component: String, why: Box<dyn Failure + Send + Sync> },
    #[error("`{component}` cannot use its database yet: {reason}")]
    Gate { component: String, reason: String, hint: Option<String>, may_pass: bool },
    #[error("the migration of `{component}` did not do what it is for: `{command}` ended, and it is still to be done")]
    NotDone { component: String, command: String },
    #[error("`{component}` is still being migrated by {who}")]
    Busy { component: String, who: String },
    #[error("what the plan tells the step `{step}` cannot be understood: {why}")]
    Parameters { step: String, why: String },
    #[error("the plan has a step `{step}`, which this program does not know")]
    UnknownStep { step: String },
    #[error("the deploy was told to stop")]
    Interrupted,
    #[error("a stored release cannot be understood: {reason}")]
    DamagedRelease { reason: String },
    #[error("a stored release has format version {found}; this program knows up to {known}")]
    NewerRelease { found: u32, known: u32 },
}

impl From<ClusterError> for DeployError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(Box::new(error))
    }
}

impl Failure for DeployError {
    fn category(&self) -> Category {
        match self {
            Self::Read { .. }
            | Self::Invalid { .. }
            | Self::NothingThere { .. }
            | Self::NoPhase { .. }
            | Self::NoRelease { .. }
            | Self::NoReleases
            | Self::NoAdapter { .. }
            | Self::NoWorkload { .. }
            | Self::NoVersion { .. }
            | Self::NotTold { .. }
            | Self::Stop { .. }
            | Self::NoData { .. } => Category::Usage,
            Self::InUse { .. } | Self::NotDone { .. } => Category::NeedsOperator,
            Self::Derive { source, .. } => source.category(),
            Self::Path { source, .. } => source.category(),
            Self::Refused { why, .. } => why.category(),
            Self::Gate { may_pass, .. } => {
                if *may_pass {
                    Category::Unavailable
                } else {
                    Category::Usage
                }
            }
            Self::Busy { .. } => Category::Unavailable,
            Self::Object { source, .. } | Self::Cluster(source) => source.category(),
            Self::Unhealthy { .. } | Self::StillThere { .. } => Category::Unavailable,
            Self::Parameters { .. } | Self::UnknownStep { .. } => Category::NeedsOperator,
            Self::Interrupted => Category::Interrupted,
            Self::DamagedRelease { .. } => Category::Integrity,
            Self::NewerRelease { .. } => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::NothingThere { .. } => Some(
                "`spec.phases[].manifests` are seen from the folder of `--release`, else of the Stack document".into(),
            ),
            Self::Object { source, .. } | Self::Cluster(source) => source.hint(),
            Self::Unhealthy { id, namespace, .. } => Some(format!(
                "`kubectl -n {namespace} describe {} {}` shows more; mend it and deploy again, or go back: `drydock \
                 rollback -f FILE`",
                id.kind.to_lowercase(),
                id.name
            )),
            Self::StillThere { id } => {
                Some(format!("look at `metadata.finalizers` of the {} `{}`, then deploy again", id.kind, id.name))
            }
            Self::NoRelease { .. } => Some("`drydock releases -f FILE` lists those that are kept".into()),
            Self::NoReleases => Some("correct the manifests and deploy them".into()),
            Self::NoPhase { .. } => Some("the phases are those of `spec.phases`".into()),
            Self::NoAdapter { .. } => Some(
                "take `migration` out of the component and put the Job into an earlier phase: a phase is healthy when its \
                 Jobs are complete"
                    .into(),
            ),
            Self::NoWorkload { .. } => Some("a component's `workload` is `KIND/NAME` of an object in its phase".into()),
            Self::Derive { source, .. } => source.hint(),
            Self::NoVersion { .. } => Some("give the image a tag with all its numbers, such as `3.9.1`".into()),
            Self::Path { source, .. } => source.hint(),
            Self::NotTold { .. } => Some(
                "`--migrate` takes a recovery point of its data sets and migrates; deploy the version that runs to change \
                 only the manifests"
                    .into(),
            ),
            Self::Stop { next, .. } => Some(format!("deploy the newest {next} with `--migrate` first")),
            Self::NoData { component } => Some(format!(
                "list the data sets that its migration changes under `data` of the component `{component}`"
            )),
            Self::InUse { .. } => Some("`--migrate` takes a recovery point of its data sets and migrates".into()),
            Self::Refused { why, .. } => why.hint(),
            Self::Gate { hint, .. } => hint.clone(),
            Self::NotDone { .. } => Some("the Job's log says more; mend what it names and deploy again".into()),
            Self::Busy { .. } => Some("look at it with kubectl; deploy again once it is over".into()),
            Self::Parameters { .. } | Self::UnknownStep { .. } => {
                Some("a newer drydock began it: use that one to bring it to its end".into())
            }
            Self::Invalid { .. } | Self::Interrupted => None,
            Self::DamagedRelease { .. } => Some("deploy the release again from its files".into()),
            Self::NewerRelease { .. } => Some("use the newer drydock".into()),
        }
    }
}

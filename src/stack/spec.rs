//! What a stack consists of beside its data: what is expected of it, checked in it, started from it, kept of it.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataSet, Drill, Heartbeat, Name, Notification, RepositorySpec, SecretSource, Tags, duration};

/// A stack's `spec`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Whose rights deploys use; needs a cluster.
    #[serde(default)]
    pub service_account_name: Option<Name>,
    /// Further namespaces in which the release may have objects, beside the stack's own.
    #[serde(default)]
    pub namespaces: Vec<Name>,
    #[serde(default)]
    pub objectives: Objectives,
    pub repository: RepositorySpec,
    pub data: Vec<DataSet>,
    /// What is left out on purpose, with the reason.
    #[serde(default)]
    pub unprotected: Vec<Unprotected>,
    /// Rows that point at files.
    #[serde(default)]
    pub references: Vec<Reference>,
    #[serde(default)]
    pub drill: Drill,
    #[serde(default)]
    pub phases: Vec<Phase>,
    #[serde(default)]
    pub retention: Option<Retention>,
    /// How what drills prove is signed; without it nothing is.
    #[serde(default)]
    pub evidence: Option<EvidenceSpec>,
    /// Who is told of failures, recoveries and missed objectives.
    #[serde(default)]
    pub notifications: Vec<Notification>,
    /// What is called after each success.
    #[serde(default)]
    pub heartbeats: Vec<Heartbeat>,
}

/// Who signs evidence.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceSpec {
    /// An Ed25519 key (PKCS#8, PEM); one for each stack. It is never in the store: who writes there must not be able to
    /// make evidence.
    pub key: SecretSource,
}

/// How old, how slow, how unproven recovery points may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objectives {
    /// The greatest age of the newest complete point.
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub rpo: Option<Duration>,
    /// The longest time a whole recovery may take.
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub rto: Option<Duration>,
    /// The greatest age of the newest point that a drill restored.
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub proven: Option<Duration>,
}

/// Something that no recovery point holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.path), has(self.claim), has(self.workload)].filter(said, said).size() == 1",
    "message": "exactly one of `path`, `claim` and `workload` is expected",
}]))]
pub struct Unprotected {
    /// Exactly one of `claim`, `path` and `workload`.
    #[serde(default)]
    pub claim: Option<Name>,
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// `StatefulSet/cache`, with its claims.
    #[serde(default)]
    pub workload: Option<String>,
    pub reason: String,
}

/// Rows of one data set that point at files of another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reference {
    /// Rails: attached blobs and variants of the disk service.
    ActiveStorage(ReferencePair),
    /// Strapi's `files` and their `formats` under `public/uploads`.
    StrapiUploads(ReferencePair),
}

impl Reference {
    /// The key under which the document has it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::ActiveStorage(_) => "activeStorage",
            Self::StrapiUploads(_) => "strapiUploads",
        }
    }

    #[must_use]
    pub fn pair(&self) -> &ReferencePair {
        match self {
            Self::ActiveStorage(pair) | Self::StrapiUploads(pair) => pair,
        }
    }

    /// The same reference, of rows in the database called `name`.
    #[must_use]
    pub fn in_database(&self, name: &str) -> Self {
        let pair = ReferencePair { database_name: Some(name.to_owned()), ..self.pair().clone() };
        match self {
            Self::ActiveStorage(_) => Self::ActiveStorage(pair),
            Self::StrapiUploads(_) => Self::StrapiUploads(pair),
        }
    }
}

/// Whose rows and whose files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferencePair {
    /// A `postgres` data set.
    pub database: Name,
    /// Which of its `databases`; not needed where it has one.
    #[serde(default)]
    pub database_name: Option<String>,
    /// A `volume` data set.
    pub volume: Name,
    /// The folder below the volume's root that holds the files, where it is not the root.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Of `activeStorage`: the service (`config/storage.yml`) whose files these are, where blobs are in several.
    #[serde(default)]
    pub service: Option<String>,
}

/// All of a phase is applied, migrated and healthy before the next begins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phase {
    pub name: Name,
    /// Folders or files of rendered manifests.
    #[serde(default)]
    pub manifests: Vec<PathBuf>,
    #[serde(default)]
    pub components: Vec<Component>,
}

/// A workload with a version and, where it has one, a migration adapter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    pub name: Name,
    /// `Deployment/kong`.
    pub workload: String,
    #[serde(default)]
    pub migration: Option<Migration>,
    /// The container whose image migrates, where the workload has several.
    #[serde(default)]
    pub container: Option<String>,
    /// The data sets that its migration changes.
    #[serde(default)]
    pub data: Vec<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Migration {
    Kong,
    Chatwoot,
    Strapi,
    Job,
}

impl Migration {
    /// As the document has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kong => "kong",
            Self::Chatwoot => "chatwoot",
            Self::Strapi => "strapi",
            Self::Job => "job",
        }
    }
}

/// Which recovery points `forget` keeps; a rule that is not said keeps none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    #[serde(default)]
    pub keep_last: u32,
    #[serde(default)]
    pub keep_hourly: u32,
    #[serde(default)]
    pub keep_daily: u32,
    #[serde(default)]
    pub keep_weekly: u32,
    #[serde(default)]
    pub keep_monthly: u32,
    #[serde(default)]
    pub keep_yearly: u32,
    /// Everything that is not older.
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub keep_within: Option<Duration>,
    /// Everything that has all the tags of one of these.
    #[serde(default)]
    pub keep_tags: Vec<Tags>,
    /// The duty to erase: what is older goes whatever the rules above say, unless it is kept by `points keep`.
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub max_age: Option<Duration>,
}

impl Retention {
    /// Whether any rule keeps anything.
    #[must_use]
    pub fn keeps(&self) -> bool {
        let counts =
            [self.keep_last, self.keep_hourly, self.keep_daily, self.keep_weekly, self.keep_monthly, self.keep_yearly];
        counts.iter().any(|n| *n > 0) || self.keep_within.is_some() || !self.keep_tags.is_empty()
    }
}

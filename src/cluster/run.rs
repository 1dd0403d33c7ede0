//! What a `Run` asks for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stack::Name;

/// A run's `spec`; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunSpec {
    /// The Stack, in the same namespace.
    pub stack: Name,
    pub operation: RunOperation,
    /// Who asked, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum RunOperation {
    /// Brings the stack to a release that is stored in the cluster.
    Deploy(Deploy),
}

/// As `drydock deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deploy {
    /// The digest of the release; the Stack's newest where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Only this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Name>,
    /// How long a phase may take to become healthy; 600 where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub wait_seconds: Option<u64>,
    /// Fields that somebody else manages are taken over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force_conflicts: bool,
    /// Claims and whatever else may hold data go as well, where they left the release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prune_data: bool,
    /// Components may migrate data that is there already; a recovery point of it is taken before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub migrate: bool,
}

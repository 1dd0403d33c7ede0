//! The complete set of rendered manifests of one deploy, in phases.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::DeployError;
use crate::cluster::{Manifest, ObjectId, Origin};

/// What is newer is refused.
const FORMAT_VERSION: u32 = 1;

/// All objects, each in its phase; within a phase in the order in which they are applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    pub phases: Vec<ReleasePhase>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReleasePhase {
    pub name: String,
    pub manifests: Vec<Manifest>,
}

/// As it is stored (`docs/formats.md`, "Release").
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    format_version: u32,
    phases: Vec<StoredPhase>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredPhase {
    name: String,
    objects: Vec<StoredObject>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredObject {
    file: std::path::PathBuf,
    line: usize,
    object: Value,
}

impl Release {
    /// Every object, in the order of phases.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.phases.iter().flat_map(|phase| &phase.manifests)
    }

    /// SHA-256 over phases and objects, as hex: two releases of one digest are the same, wherever their files lie and
    /// however they are written.
    #[must_use]
    pub fn digest(&self) -> String {
        let of = |phase: &ReleasePhase| {
            let objects: Vec<&Value> = phase.manifests.iter().map(|manifest| &manifest.value).collect();
            serde_json::json!({"name": phase.name, "objects": objects})
        };
        let phases: Vec<Value> = self.phases.iter().map(of).collect();
        // serde_json keeps the keys of an object in their order.
        hex::encode(Sha256::digest(Value::from(phases).to_string()))
    }

    /// As it is stored.
    ///
    /// # Panics
    /// Never: texts and numbers are JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let object = |manifest: &Manifest| StoredObject {
            file: manifest.origin.file.clone(),
            line: manifest.origin.line,
            object: manifest.value.clone(),
        };
        let phase = |phase: &ReleasePhase| StoredPhase {
            name: phase.name.clone(),
            objects: phase.manifests.iter().map(object).collect(),
        };
        let stored = Stored { format_version: FORMAT_VERSION, phases: self.phases.iter().map(phase).collect() };
        serde_json::to_vec(&stored).expect("texts and numbers are JSON")
    }

    /// # Errors
    /// `Damaged` for what no program wrote, `Newer` for what a newer one did.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DeployError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            format_version: u32,
        }
        let damaged = |reason: String| DeployError::DamagedRelease { reason };
        let version: Version = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if version.format_version > FORMAT_VERSION {
            return Err(DeployError::NewerRelease { found: version.format_version, known: FORMAT_VERSION });
        }
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        let manifest = |StoredObject { file, line, object }: StoredObject| {
            let id = ObjectId::of(&object).map_err(damaged)?;
            Ok(Manifest { id, value: object, origin: Origin { file, line } })
        };
        let phase = |StoredPhase { name, objects }: StoredPhase| {
            let manifests = objects.into_iter().map(manifest).collect::<Result<_, DeployError>>()?;
            Ok(ReleasePhase { name, manifests })
        };
        Ok(Self { phases: stored.phases.into_iter().map(phase).collect::<Result<_, DeployError>>()? })
    }
}

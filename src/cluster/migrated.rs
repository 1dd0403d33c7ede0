//! What each component's database was migrated to, as the cluster remembers it: one Secret a stack, a key a component. No
//! application refuses its own downgrade, and Strapi's database does not even tell its version.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::Cluster;
use super::error::{ClusterError, Doing};
use super::manifest::ObjectId;

const FORMAT_VERSION: u32 = 1;

/// How far a component's database is (`docs/formats.md`, "Migrations on record").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Migrated {
    pub format_version: u32,
    /// As the image's tag has it.
    pub version: String,
    /// SHA-256, as hex, of the image and environment that did it: with other plugins or another server it is another thing.
    pub by: String,
    pub state: MigrationState,
    pub run: String,
    pub time: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MigrationState {
    /// Something may have been changed.
    Begun,
    /// The new version can run on it; what only an end of the old one allows is still to come.
    Expanded,
    Done,
}

impl Migrated {
    /// What is written at `time`.
    #[must_use]
    pub fn new(version: &str, by: &str, state: MigrationState, run: &str, time: Timestamp) -> Self {
        let (version, by, run) = (version.to_owned(), by.to_owned(), run.to_owned());
        Self { format_version: FORMAT_VERSION, version, by, state, run, time }
    }
}

fn name(stack: &str) -> String {
    format!("drydock-{stack}-migrations")
}

fn id(stack: &str, namespace: &str) -> ObjectId {
    let namespace = Some(namespace.to_owned());
    ObjectId { api_version: "v1".into(), kind: "Secret".into(), namespace, name: name(stack) }
}

impl Cluster {
    /// All that is on record of a stack's components, by name.
    ///
    /// # Errors
    /// `Damaged` for what cannot be understood, also what a newer program wrote; when the cluster cannot be asked.
    pub async fn migrated(&self, namespace: &str, stack: &str) -> Result<BTreeMap<String, Migrated>, ClusterError> {
        let id = id(stack, namespace);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(&id.name).await.map_err(|error| ClusterError::of(error, Doing::Read, &id))?;
        let damaged = |component: &str, reason: String| ClusterError::Damaged {
            id: Box::new(id.clone()),
            reason: format!("{component}: {reason}"),
        };
        let entries = found.and_then(|secret| secret.data).unwrap_or_default();
        let read = |(component, ByteString(bytes)): (String, ByteString)| {
            let record: Migrated =
                serde_json::from_slice(&bytes).map_err(|error| damaged(&component, error.to_string()))?;
            if record.format_version > FORMAT_VERSION {
                return Err(damaged(
                    &component,
                    format!("a newer drydock wrote format version {}", record.format_version),
                ));
            }
            Ok((component, record))
        };
        entries.into_iter().map(read).collect()
    }

    /// Writes down how far a component is; the others' records stay.
    ///
    /// # Errors
    /// When the cluster cannot be asked or refuses.
    ///
    /// # Panics
    /// Never: names and times are JSON.
    pub async fn remember_migration(
        &self,
        namespace: &str,
        stack: &str,
        component: &str,
        record: &Migrated,
    ) -> Result<(), ClusterError> {
        let id = id(stack, namespace);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let json = serde_json::to_vec(record).expect("names and times are JSON");
        let refused = |error| ClusterError::of(error, Doing::Apply, &id);
        let patch = json!({"data": {component: ByteString(json.clone())}});
        match api.patch(&id.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(refused(error)),
        }
        // Not the label by which releases are found and thinned out.
        let labels = [("drydock.dev/migrations-of", stack), ("app.kubernetes.io/managed-by", "drydock")];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(id.name.clone()),
                labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
                ..ObjectMeta::default()
            },
            type_: Some("drydock.dev/migrations".into()),
            data: Some(BTreeMap::from([(component.to_owned(), ByteString(json))])),
            ..Secret::default()
        };
        api.create(&PostParams::default(), &secret).await.map(drop).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_once_is_read_for_ever() {
        let stored = include_str!("../../tests/fixtures/formats/migrated-1.json");
        let read: Migrated = serde_json::from_str(stored).unwrap();
        let time = "2026-11-24T06:17:52Z".parse().unwrap();
        let by = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
        let run = "deploy-shop-20261124t061752z-a09cbdec";
        assert_eq!(read, Migrated::new("3.9.1", by, MigrationState::Expanded, run, time));
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
    }
}

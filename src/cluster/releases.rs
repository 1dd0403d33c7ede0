//! Releases as the cluster keeps them: Secrets in the stack's namespace, zstd, in parts, since one takes no more than 1 MiB.
//! The parts come first and the head last: what has no head is no release.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client::Cluster;
use super::error::{ClusterError, Doing};
use super::manifest::ObjectId;

/// A Secret takes 1 MiB of everything; the rest is for names.
const PART: usize = 900 << 10;
/// What a release may be when unpacked: a thousand objects of a megabyte are no release.
const LARGEST: usize = 256 << 20;
/// As small as zstd's slower levels make it at a speed that nobody notices.
const LEVEL: i32 = 9;
/// Heads that are read at a time: two round trips for the ten that are kept.
const TOGETHER: usize = 8;
const STACK: &str = "drydock.dev/stack";
const DIGEST: &str = "drydock.dev/release-digest";
const HEAD: &str = "head.json";

/// What is known of a release without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseHead {
    pub format_version: u32,
    /// Its position in the stack's history, from 1.
    pub number: u64,
    /// SHA-256 of the release, as hex.
    pub digest: String,
    pub deployed: Timestamp,
    /// The run that deployed it.
    pub run: String,
    pub objects: usize,
    pub parts: usize,
    /// SHA-256 of all parts, as hex: whether they belong together.
    pub stored_digest: String,
}

/// A stack's releases in one cluster.
pub struct Releases<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    stack: &'a str,
}

impl Cluster {
    #[must_use]
    pub fn releases<'a>(&'a self, namespace: &'a str, stack: &'a str) -> Releases<'a> {
        Releases { cluster: self, namespace, stack }
    }
}

impl Releases<'_> {
    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.cluster.client.clone(), self.namespace)
    }

    fn id(&self, name: &str) -> ObjectId {
        ObjectId {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some(self.namespace.into()),
            name: name.into(),
        }
    }

    fn part_name(&self, digest: &str, part: usize) -> String {
        format!("drydock-{}-release-{}-{part}", self.stack, &digest[..16])
    }

    fn head_name(&self, number: u64) -> String {
        format!("drydock-{}-release-{number}", self.stack)
    }

    fn secret(&self, name: String, digest: &str, key: &str, bytes: Vec<u8>) -> Secret {
        let labels = [(STACK, self.stack), (DIGEST, &digest[..16]), ("app.kubernetes.io/managed-by", "drydock")];
        Secret {
            metadata: ObjectMeta {
                name: Some(name),
                labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
                ..ObjectMeta::default()
            },
            type_: Some("drydock.dev/release".into()),
            data: Some(BTreeMap::from([(key.to_owned(), ByteString(bytes))])),
            ..Secret::default()
        }
    }

    async fn create(&self, secret: Secret) -> Result<(), ClusterError> {
        let id = self.id(secret.metadata.name.as_deref().unwrap_or_default());
        match self.api().create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()), // its name says what is in it
            Err(error) => Err(ClusterError::of(error, Doing::Apply, &id)),
        }
    }

    /// Stores the parts of a release, which is none until it is [recorded](Self::record); twice is as once.
    ///
    /// # Errors
    /// When the cluster cannot be asked or refuses.
    pub async fn stage(&self, digest: &str, release: &[u8]) -> Result<(), ClusterError> {
        for (n, part) in packed(release).chunks(PART).enumerate() {
            self.create(self.secret(self.part_name(digest, n), digest, "part", part.to_vec())).await?;
        }
        if self.read(digest).await? == release {
            return Ok(());
        }
        let reason =
            "parts of it were there before, and do not fit: remove the Secrets whose names begin as this one's";
        Err(ClusterError::Damaged { id: Box::new(self.id(&self.part_name(digest, 0))), reason: reason.into() })
    }

    /// Makes a staged release the stack's newest, where that one is another; the same again by the same run is as once.
    ///
    /// # Errors
    /// When the cluster cannot be asked or refuses.
    pub async fn record(
        &self,
        digest: &str,
        objects: usize,
        run: &str,
        deployed: Timestamp,
    ) -> Result<ReleaseHead, ClusterError> {
        loop {
            let heads = self.list().await?;
            if let Some(own) = heads.iter().find(|head| head.run == run) {
                return Ok(own.clone());
            }
            // Deployed again: history tells what changed.
            if let Some(newest) = heads.last().filter(|head| head.digest == digest) {
                return Ok(newest.clone());
            }
            let stored = self.stored(digest).await?;
            let head = ReleaseHead {
                format_version: 1,
                number: heads.last().map_or(1, |head| head.number + 1),
                digest: digest.to_owned(),
                deployed,
                run: run.to_owned(),
                objects,
                parts: stored.len().div_ceil(PART),
                stored_digest: hex::encode(Sha256::digest(&stored)),
            };
            let json = serde_json::to_vec(&head).expect("names and numbers are JSON");
            let name = self.head_name(head.number);
            let secret = self.secret(name.clone(), digest, HEAD, json);
            match self.api().create(&PostParams::default(), &secret).await {
                Ok(_) => return Ok(head),
                // Another one has that number: the lease keeps that from happening but for one that was lost.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(ClusterError::of(error, Doing::Apply, &self.id(&name))),
            }
        }
    }

    /// All that are recorded, the newest last. Of the parts, which may be large, only the names are read.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn list(&self) -> Result<Vec<ReleaseHead>, ClusterError> {
        let selector = ListParams::default().labels(&format!("{STACK}={}", self.stack));
        let all = self.api().list_metadata(&selector).await;
        let all = all.map_err(|e| ClusterError::of(e, Doing::Read, &self.id("releases")))?;
        let names = all.into_iter().filter_map(|secret| secret.metadata.name);
        let names: Vec<String> = names.filter(|name| is_head(name, self.stack)).collect();
        let read = stream::iter(names).map(|name| self.head(name)).buffer_unordered(TOGETHER);
        let read: Vec<Option<ReleaseHead>> = read.try_collect().await?;
        let mut heads: Vec<ReleaseHead> = read.into_iter().flatten().collect();
        heads.sort_by_key(|head| head.number);
        Ok(heads)
    }

    /// None where it was thinned out meanwhile.
    async fn head(&self, name: String) -> Result<Option<ReleaseHead>, ClusterError> {
        let found = self.api().get_opt(&name).await;
        let found = found.map_err(|error| ClusterError::of(error, Doing::Read, &self.id(&name)))?;
        let Some(ByteString(json)) = found.and_then(|secret| secret.data).and_then(|mut data| data.remove(HEAD)) else {
            return Ok(None);
        };
        let damaged = |error: serde_json::Error| ClusterError::Damaged {
            id: Box::new(self.id(&name)),
            reason: error.to_string(),
        };
        serde_json::from_slice(&json).map(Some).map_err(damaged)
    }

    /// The digests, or their beginnings, of all that is kept, recorded or only staged: of whatever was applied of late.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn kept(&self) -> Result<BTreeSet<String>, ClusterError> {
        let selector = ListParams::default().labels(&format!("{STACK}={}", self.stack));
        let all = self.api().list_metadata(&selector).await;
        let all = all.map_err(|error| ClusterError::of(error, Doing::Read, &self.id("releases")))?;
        Ok(all.into_iter().filter_map(|secret| secret.metadata.labels?.remove(DIGEST)).collect())
    }

    /// The release of this digest, recorded or staged.
    ///
    /// # Errors
    /// `Damaged` when parts are missing or changed.
    pub async fn read(&self, digest: &str) -> Result<Vec<u8>, ClusterError> {
        let stored = self.stored(digest).await?;
        let damaged =
            |reason: String| ClusterError::Damaged { id: Box::new(self.id(&self.part_name(digest, 0))), reason };
        zstd::bulk::decompress(&stored, LARGEST).map_err(|error| damaged(error.to_string()))
    }

    /// Removes all but the newest `keep` heads, and parts that belong to none of them nor to `staged`.
    ///
    /// # Errors
    /// When the cluster cannot be asked or refuses.
    pub async fn thin_out(&self, keep: usize, staged: &str) -> Result<(), ClusterError> {
        let heads = self.list().await?;
        let (old, kept) = heads.split_at(heads.len().saturating_sub(keep));
        let needed: Vec<&str> = kept.iter().map(|head| &head.digest[..16]).chain([&staged[..16]]).collect();
        let gone: Vec<String> = old.iter().map(|head| self.head_name(head.number)).collect();
        let selector = ListParams::default().labels(&format!("{STACK}={}", self.stack));
        let all = self.api().list_metadata(&selector).await;
        for secret in all.map_err(|error| ClusterError::of(error, Doing::Read, &self.id("releases")))? {
            let name = secret.metadata.name.unwrap_or_default();
            let digest = secret.metadata.labels.unwrap_or_default().remove(DIGEST).unwrap_or_default();
            if gone.contains(&name) || !needed.contains(&digest.as_str()) {
                match self.api().delete(&name, &DeleteParams::default()).await {
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => return Err(ClusterError::of(error, Doing::Delete, &self.id(&name))),
                }
            }
        }
        Ok(())
    }

    async fn stored(&self, digest: &str) -> Result<Vec<u8>, ClusterError> {
        let mut stored = Vec::new();
        for part in 0.. {
            let name = self.part_name(digest, part);
            let found = self.api().get_opt(&name).await;
            let found = found.map_err(|error| ClusterError::of(error, Doing::Read, &self.id(&name)))?;
            let Some(ByteString(bytes)) = found.and_then(|secret| secret.data).and_then(|mut data| data.remove("part"))
            else {
                if part > 0 {
                    break;
                }
                let reason = "the release is not stored in the cluster any more".into();
                return Err(ClusterError::Damaged { id: Box::new(self.id(&name)), reason });
            };
            let last = bytes.len() < PART;
            stored.extend(bytes);
            if last {
                break;
            }
        }
        Ok(stored)
    }
}

/// Whether a Secret of this name is the head of a release, not a part: parts have their number behind the digest.
fn is_head(name: &str, stack: &str) -> bool {
    let number = name.strip_prefix("drydock-").and_then(|rest| rest.strip_prefix(stack)?.strip_prefix("-release-"));
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

fn packed(release: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(release, LEVEL).expect("a buffer in memory takes what zstd makes of another")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_told_from_parts_by_their_names() {
        assert!(is_head("drydock-shop-release-12", "shop"));
        assert!(!is_head("drydock-shop-release-0123456789012345-0", "shop"), "a digest may be all digits");
        assert!(!is_head("drydock-shop-release-9f86d081884c7d65-0", "shop"));
        assert!(!is_head("drydock-shop-two-release-1", "shop") && !is_head("drydock-other-release-1", "shop"));
    }
}

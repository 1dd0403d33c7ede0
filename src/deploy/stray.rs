//! What no single file can know: one object twice, objects where the stack has no business. Pure.

use std::collections::BTreeMap;

use super::release::Release;
use crate::cluster::ObjectId;

/// All that is wrong with the release as a whole; `own` is the stack's namespace, `others` those that it lists.
#[must_use]
pub fn problems(release: &Release, own: &str, others: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<(String, String, String, String), String> = BTreeMap::new();
    for manifest in release.manifests() {
        let ObjectId { api_version, kind, namespace, name } = &manifest.id;
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let namespace = namespace.as_deref().unwrap_or(own);
        if namespace != own && !others.iter().any(|other| other == namespace) {
            found.push(format!(
                "{}: {} is outside the stack's namespaces ({}): list `{namespace}` under `spec.namespaces` if it belongs there",
                manifest.origin,
                manifest.id,
                std::iter::once(own).chain(others.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
            ));
        }
        let identity = (group.to_owned(), kind.clone(), namespace.to_owned(), name.clone());
        if let Some(first) = seen.get(&identity) {
            found.push(format!("{}: {} is also in {first}", manifest.origin, manifest.id));
        } else {
            seen.insert(identity, manifest.origin.to_string());
        }
    }
    found
}

//! What no single file can know: one object twice, objects where the stack has no business. Pure.

use std::collections::BTreeMap;

use super::error::DeployError;
use super::release::Release;
use crate::stack::Stack;

/// All that is wrong with the release as a whole; `own` is the stack's namespace, `others` those that it lists.
#[must_use]
pub fn problems(release: &Release, own: &str, others: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<(String, String, String, String), String> = BTreeMap::new();
    for manifest in release.manifests() {
        let identity = manifest.id.identity(own);
        let namespace = identity.2.as_str();
        if namespace != own && !others.iter().any(|other| other == namespace) {
            found.push(format!(
                "{}: {} is outside the stack's namespaces ({}): list `{namespace}` under `spec.namespaces` if it belongs there",
                manifest.origin,
                manifest.id,
                std::iter::once(own).chain(others.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
            ));
        }
        if let Some(first) = seen.get(&identity) {
            found.push(format!("{}: {} is also in {first}", manifest.origin, manifest.id));
        } else {
            seen.insert(identity, manifest.origin.to_string());
        }
    }
    found
}

/// Refuses a release that is wrong as a whole.
///
/// # Errors
/// `Invalid` for what no single file can know.
pub fn check(release: &Release, stack: &Stack, namespace: &str) -> Result<(), DeployError> {
    let others: Vec<String> = stack.spec.namespaces.iter().map(ToString::to_string).collect();
    match problems(release, namespace, &others) {
        found if found.is_empty() => Ok(()),
        problems => Err(DeployError::Invalid { problems }),
    }
}

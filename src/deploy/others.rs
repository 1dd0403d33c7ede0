//! What others own by design and a release only begins with. Pure.

use std::collections::BTreeSet;

use super::release::Release;

/// Takes the number of replicas out of every workload that an autoscaler of the release scales: applied, it would be reset
/// at every deploy.
pub fn leave_to_them(release: &mut Release) {
    let scaled: BTreeSet<(Option<String>, String, String)> = release
        .manifests()
        .filter(|manifest| manifest.id.kind == "HorizontalPodAutoscaler")
        .filter_map(|manifest| {
            let target = &manifest.value["spec"]["scaleTargetRef"];
            let text = |field: &str| target[field].as_str().map(str::to_owned);
            Some((manifest.id.namespace.clone(), text("kind")?, text("name")?))
        })
        .collect();
    for manifest in release.phases.iter_mut().flat_map(|phase| &mut phase.manifests) {
        let id = &manifest.id;
        if scaled.contains(&(id.namespace.clone(), id.kind.clone(), id.name.clone()))
            && let Some(spec) = manifest.value["spec"].as_object_mut()
        {
            spec.remove("replicas");
        }
    }
}

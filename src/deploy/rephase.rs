//! A stored release in the order that the stack's document says now. Pure.

use std::path::{Component, Path, PathBuf};

use super::DeployError;
use super::order::wave;
use super::read::{ONLY_PHASE, PHASE, STREAM, phase_of};
use super::release::{Release, ReleasePhase};
use crate::cluster::Manifest;
use crate::stack::Stack;

/// The same objects, each in the phase to which the stack's document gives it by now: by its file, or as one of a stream.
///
/// # Errors
/// `Invalid` with every object that is in no phase any more.
pub fn rephased(release: Release, stack: &Stack) -> Result<Release, DeployError> {
    let named = &stack.spec.phases;
    let empty = |name: String| ReleasePhase { name, manifests: Vec::new() };
    let mut phases: Vec<ReleasePhase> = match named.as_slice() {
        [] => vec![empty(ONLY_PHASE.to_owned())],
        named => named.iter().map(|phase| empty(phase.name.to_string())).collect(),
    };
    let mut problems = Vec::new();
    for manifest in release.phases.into_iter().flat_map(|phase| phase.manifests) {
        match place(&manifest, stack) {
            Some(at) => phases[at].manifests.push(manifest),
            None => problems.push(format!(
                "{}: {} is in no phase of the Stack any more: deploy the release again from its files",
                manifest.origin, manifest.id
            )),
        }
    }
    if !problems.is_empty() {
        return Err(DeployError::Invalid { problems });
    }
    for phase in &mut phases {
        phase.manifests.sort_by(|a, b| (wave(&a.id), &a.id).cmp(&(wave(&b.id), &b.id)));
    }
    Ok(Release { phases })
}

fn place(manifest: &Manifest, stack: &Stack) -> Option<usize> {
    let phases = &stack.spec.phases;
    if phases.is_empty() {
        return Some(0);
    }
    if manifest.origin.file == Path::new(STREAM) {
        return match manifest.value["metadata"]["annotations"][PHASE].as_str() {
            Some(said) => phases.iter().position(|phase| phase.name.as_str() == said),
            None => Some(phase_of(stack, &manifest.id, phases.len())),
        };
    }
    let file = plain(&manifest.origin.file);
    phases.iter().position(|phase| phase.manifests.iter().any(|path| file.starts_with(plain(path))))
}

/// Without `.`, as files of a release are named.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::{ObjectId, Origin};

    fn stack(phases: &str) -> Stack {
        let text = format!(
            "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {{name: shop}}\nspec:\n  repository: {{location: /r, \
             password: {{fromEnv: P}}}}\n  data: [{{name: db, postgres: {{host: db, database: shop, user: u}}}}]\n  phases: {phases}\n"
        );
        Stack::parse("stack.yaml".as_ref(), "/".as_ref(), &text).unwrap()
    }

    fn object(file: &str, kind: &str, name: &str) -> Manifest {
        let value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        Manifest { id: ObjectId::of(&value).unwrap(), value, origin: Origin { file: file.into(), line: 1 } }
    }

    fn names(release: &Release) -> Vec<(String, Vec<&str>)> {
        let of = |phase: &ReleasePhase| phase.name.clone();
        release.phases.iter().map(|p| (of(p), p.manifests.iter().map(|m| m.id.name.as_str()).collect())).collect()
    }

    #[test]
    fn objects_go_where_the_document_says_now() {
        let manifests = vec![object("data/db.yaml", "Service", "db"), object("web/a.yaml", "Pod", "web")];
        let release = Release { phases: vec![ReleasePhase { name: "all".into(), manifests }] };
        let order = stack("[{name: web, manifests: [./web]}, {name: data, manifests: [data/]}]");
        let moved = rephased(release.clone(), &order).unwrap();
        assert_eq!(names(&moved), [("web".to_owned(), vec!["web"]), ("data".to_owned(), vec!["db"])]);
        assert_eq!(rephased(moved.clone(), &order).unwrap().digest(), moved.digest(), "twice is as once");

        let less = stack("[{name: data, manifests: [data/]}]");
        let said = rephased(release, &less).unwrap_err().to_string();
        assert_eq!(
            said,
            "web/a.yaml:1: Pod web is in no phase of the Stack any more: deploy the release again from its files"
        );
    }

    #[test]
    fn objects_of_a_stream_are_placed_as_when_it_was_read() {
        let manifests = vec![object(STREAM, "ConfigMap", "settings"), object(STREAM, "Pod", "web")];
        let release = Release { phases: vec![ReleasePhase { name: "all".into(), manifests }] };
        let moved = rephased(release, &stack("[{name: base}, {name: web}]")).unwrap();
        assert_eq!(names(&moved), [("base".to_owned(), vec!["settings"]), ("web".to_owned(), vec!["web"])]);
    }
}

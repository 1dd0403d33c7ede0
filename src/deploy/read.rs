//! From files, or a rendered stream, to a release, or to all that is wrong with it; the only I/O here.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::DeployError;
use super::order::wave;
use super::release::{Release, ReleasePhase};
use crate::cluster::{Manifest, ObjectId, Origin};
use crate::stack::{Stack, documents};

/// An object of a stream says with this which phase it belongs to.
pub const PHASE: &str = "drydock.dev/phase";
/// Where objects of a stream come from.
pub const STREAM: &str = "(standard input)";
/// The only phase of a stack that names none.
pub const ONLY_PHASE: &str = "all";

/// Reads what the stack's phases name below `folder`; without phases all of it.
///
/// # Errors
/// `Invalid` with all that is wrong in all files, `Read`, `NothingThere`.
pub fn read_folder(stack: &Stack, folder: &Path) -> Result<Release, DeployError> {
    let whole = [PathBuf::from(".")];
    let phases: Vec<(String, &[PathBuf])> = match stack.spec.phases.as_slice() {
        [] => vec![(ONLY_PHASE.to_owned(), &whole)],
        phases => phases.iter().map(|phase| (phase.name.to_string(), phase.manifests.as_slice())).collect(),
    };
    let mut problems = Vec::new();
    let mut read = Vec::new();
    for (name, paths) in phases {
        let mut manifests = Vec::new();
        for path in paths {
            let found = files(&folder.join(path));
            for file in found.map_err(|source| DeployError::Read { path: folder.join(path), source })? {
                // Where the stack lies among its own manifests.
                if std::path::absolute(&stack.file).is_ok_and(|own| std::path::absolute(&file).is_ok_and(|f| f == own))
                {
                    continue;
                }
                let text = std::fs::read_to_string(&file)
                    .map_err(|source| DeployError::Read { path: file.clone(), source })?;
                let shown = file.strip_prefix(folder).unwrap_or(&file);
                parse(shown.strip_prefix(".").unwrap_or(shown), &text, &mut manifests, &mut problems);
            }
        }
        read.push(ReleasePhase { name, manifests });
    }
    finish(read, problems, folder)
}

/// Reads a rendered stream, such as `helm template` and `kustomize build` print. An object's phase is what its annotation
/// `drydock.dev/phase` says; a component's workload belongs to the component's phase; of the rest, what others refer to is
/// in the first phase and what runs in the last.
///
/// # Errors
/// As [`read_folder`].
pub fn read_stream(stack: &Stack, text: &str) -> Result<Release, DeployError> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    let stream = Path::new(STREAM);
    parse(stream, text, &mut manifests, &mut problems);
    let mut phases: Vec<ReleasePhase> = match stack.spec.phases.as_slice() {
        [] => vec![ReleasePhase { name: ONLY_PHASE.to_owned(), manifests: Vec::new() }],
        phases => {
            phases.iter().map(|phase| ReleasePhase { name: phase.name.to_string(), manifests: Vec::new() }).collect()
        }
    };
    for manifest in manifests {
        let said = manifest.value["metadata"]["annotations"][PHASE].as_str();
        let phase = match said {
            Some(name) => phases.iter().position(|phase| phase.name == name),
            None => Some(phase_of(stack, &manifest.id, phases.len())),
        };
        match phase {
            Some(phase) => phases[phase].manifests.push(manifest),
            None => problems.push(format!(
                "{}: {}: the annotation {PHASE} says `{}`; the stack's phases are {}",
                manifest.origin,
                manifest.id,
                said.unwrap_or_default(),
                phases.iter().map(|phase| phase.name.as_str()).collect::<Vec<_>>().join(", ")
            )),
        }
    }
    finish(phases, problems, stream)
}

pub(super) fn phase_of(stack: &Stack, id: &ObjectId, phases: usize) -> usize {
    let of_component = stack.spec.phases.iter().position(|phase| {
        phase.components.iter().any(|component| component.workload == format!("{}/{}", id.kind, id.name))
    });
    let runs = wave(id) >= 8;
    of_component.unwrap_or(if runs { phases - 1 } else { 0 })
}

fn finish(mut phases: Vec<ReleasePhase>, problems: Vec<String>, place: &Path) -> Result<Release, DeployError> {
    if !problems.is_empty() {
        return Err(DeployError::Invalid { problems });
    }
    if phases.iter().all(|phase| phase.manifests.is_empty()) {
        return Err(DeployError::NothingThere { place: place.to_owned() });
    }
    for phase in &mut phases {
        phase.manifests.sort_by(|a, b| (wave(&a.id), &a.id).cmp(&(wave(&b.id), &b.id)));
    }
    Ok(Release { phases })
}

/// The YAML and JSON files of a folder and the folders in it, by name; or the file itself.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        std::fs::metadata(path)?;
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        let is_hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let is_manifest = entry.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if is_hidden {
            continue;
        }
        if entry.is_dir() {
            files.extend(self::files(&entry)?);
        } else if is_manifest {
            files.push(entry);
        }
    }
    Ok(files)
}

/// Numbers and booleans as `kubectl` reads them: `0644` is octal.
fn yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { legacy_octal_numbers: true })
}

fn parse(file: &Path, text: &str, manifests: &mut Vec<Manifest>, problems: &mut Vec<String>) {
    for document in documents::read(text) {
        let document = match document {
            Ok(document) => document,
            Err(problem) => {
                problems.push(format!("{}:{problem}", file.display()));
                continue;
            }
        };
        let line = document.line();
        match yaml(&document.text) {
            Ok(value) => add(value, &Origin { file: file.to_owned(), line }, manifests, problems),
            Err(error) => {
                let line = error.location().map_or(line, |place| usize::try_from(place.line()).unwrap_or(line));
                problems.push(format!("{}:{line}: {}", file.display(), error.without_snippet()));
            }
        }
    }
}

fn add(value: Value, origin: &Origin, manifests: &mut Vec<Manifest>, problems: &mut Vec<String>) {
    if value["kind"] == "List" && value["apiVersion"] == "v1" {
        match value.get("items").cloned() {
            Some(Value::Array(items)) => items.into_iter().for_each(|item| add(item, origin, manifests, problems)),
            _ => problems.push(format!("{origin}: a List without items")),
        }
        return;
    }
    if value["apiVersion"].as_str().is_some_and(|version| version.starts_with("kustomize.config.k8s.io/")) {
        problems.push(format!("{origin}: this is for kustomize: `kustomize build … | drydock deploy --release -`"));
        return;
    }
    match ObjectId::of(&value) {
        Ok(id) => manifests.push(Manifest { id, value, origin: origin.clone() }),
        Err(why) => problems.push(format!("{origin}: {why}")),
    }
}

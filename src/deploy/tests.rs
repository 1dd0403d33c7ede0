use std::path::Path;

use super::*;
use crate::stack::Stack;

const STACK: &str = "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {name: shop, namespace: shop}\nspec:\n  repository: \
                     {location: /srv/r, password: {fromEnv: P}}\n  data:\n  - {name: files, volume: {path: /srv/files}}\n";
const PHASES: &str = "  phases:\n  - {name: data, manifests: [data/]}\n  - name: web\n    manifests: [web/, more.yaml]\n    \
                      components:\n    - {name: web, workload: Deployment/web}\n";

fn stack(phases: &str) -> Stack {
    Stack::parse(Path::new("stack.yaml"), Path::new("/"), &format!("{STACK}{phases}")).unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn listed(release: &Release) -> Vec<(String, Vec<String>)> {
    let of = |phase: &ReleasePhase| {
        (phase.name.clone(), phase.manifests.iter().map(|m| format!("{} {}", m.origin, m.id)).collect())
    };
    release.phases.iter().map(of).collect()
}

fn said(error: DeployError) -> Vec<String> {
    match error {
        DeployError::Invalid { problems } => problems,
        other => panic!("{other:?}"),
    }
}

const WEB: &str = "# the shop\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\napiVersion: v1\nkind: \
                   ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {on: yes please, mode: '0644'}\n";

#[test]
fn a_folder_becomes_phases_in_which_what_others_refer_to_comes_first() {
    let folder = folder(&[
        ("data/db.yaml", "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}}"),
        ("data/deeper/claims.yml", "{apiVersion: v1, kind: Secret, metadata: {name: login}}"),
        ("data/.hidden.yaml", "{{"),
        ("data/notes.txt", "not a manifest"),
        ("web/web.yaml", WEB),
        ("more.yaml", "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: web}}\n"),
        ("unused/x.yaml", "{{"),
    ]);
    let release = read_folder(&stack(PHASES), folder.path()).unwrap();
    let expected = [
        ("data", vec!["data/deeper/claims.yml:1 Secret login", "data/db.yaml:1 StatefulSet db"]),
        (
            "web",
            vec!["web/web.yaml:6 ConfigMap shop/settings", "more.yaml:1 Service web", "web/web.yaml:2 Deployment web"],
        ),
    ];
    let expected = expected.map(|(name, objects)| (name.to_owned(), objects.into_iter().map(str::to_owned).collect()));
    assert_eq!(listed(&release), expected);
}

#[test]
fn a_stream_goes_to_phases_by_annotation_then_component_then_kind() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\n# Source: chart/templates/db.yaml\napiVersion: \
                apps/v1\nkind: StatefulSet\nmetadata: {name: db, annotations: {drydock.dev/phase: data}}\n---\napiVersion: \
                v1\nkind: Service\nmetadata: {name: web}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: other}\n";
    let release = read_stream(&stack(PHASES), text).unwrap();
    let names: Vec<(String, Vec<&str>)> = release
        .phases
        .iter()
        .map(|phase| (phase.name.clone(), phase.manifests.iter().map(|m| m.id.name.as_str()).collect()))
        .collect();
    assert_eq!(names, [("data".to_owned(), vec!["web", "db"]), ("web".to_owned(), vec!["other", "web"])]);
    let wrong = "{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {drydock.dev/phase: wbe}}}";
    assert_eq!(
        said(read_stream(&stack(PHASES), wrong).unwrap_err()),
        [
            "(standard input):1: Service web: the annotation drydock.dev/phase says `wbe`; the stack's phases are data, web"
        ]
    );
}

#[test]
fn everything_that_is_wrong_is_said_with_file_and_line() {
    let folder = folder(&[
        (
            "data/broken.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a\n---\nkind: Secret\nmetadata: {name: b}\n",
        ),
        ("data/list.yaml", "- 1\n- 2\n"),
        ("web/each.yaml", "{apiVersion: batch/v1, kind: Job, metadata: {generateName: once-}}"),
        (
            "web/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
        ),
        ("more.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: ''}\n"),
    ]);
    insta::assert_snapshot!(said(read_folder(&stack(PHASES), folder.path()).unwrap_err()).join("\n"));
}

#[test]
fn numbers_are_read_as_kubectl_reads_them() {
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx: {mode: 0644, port: '0644', big: 1e3, no: false}\n";
    let release = read_stream(&stack(""), text).unwrap();
    let x = &release.manifests().next().unwrap().value["x"];
    assert_eq!(*x, serde_json::json!({"mode": 420, "port": "0644", "big": 1000.0, "no": false}));
}

#[test]
fn nothing_there_is_said() {
    let folder = folder(&[("data/README.md", "x"), ("web/a.txt", "y"), ("more.yaml", "# nothing yet\n")]);
    assert!(matches!(read_folder(&stack(PHASES), folder.path()), Err(DeployError::NothingThere { .. })));
    let folder = self::folder(&[("data/a.yaml", "")]);
    let error = read_folder(&stack(PHASES), folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("/web/"), "{error}");
}

#[test]
fn one_object_twice_and_one_outside_are_named() {
    let text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}\n---\n{apiVersion: apps/v1beta1, kind: Deployment, \
                metadata: {name: web, namespace: shop}}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: web, namespace: \
                kube-system}}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: web, namespace: monitoring}}\n";
    let release = read_stream(&stack(""), text).unwrap();
    assert_eq!(
        problems(&release, "shop", &["monitoring".into()]),
        [
            "(standard input):5: Secret kube-system/web is outside the stack's namespaces (shop, monitoring): list \
             `kube-system` under `spec.namespaces` if it belongs there",
            "(standard input):3: Deployment shop/web is also in (standard input):1",
        ]
    );
}

#[test]
fn a_stored_release_is_the_same_and_its_digest_knows_no_files() {
    let release = read_stream(&stack(PHASES), WEB).unwrap();
    let stored = Release::from_bytes(&release.to_bytes()).unwrap();
    assert_eq!(stored, release);
    let elsewhere =
        folder(&[("data/a.yaml", ""), ("web/b.yaml", &WEB.replace("# the shop", "# our shop\n\n")), ("more.yaml", "")]);
    let mut other = read_folder(&stack(PHASES), elsewhere.path()).unwrap();
    let mut phases = stored.phases.clone();
    let first = std::mem::take(&mut phases[0].manifests);
    phases[1].manifests.splice(0..0, first);
    assert_eq!(other.digest(), Release { phases }.digest());
    other.phases[1].manifests[0].value["data"]["on"] = "no".into();
    assert_ne!(other.digest(), release.digest());
    let newer = br#"{"formatVersion": 2, "what": "ever"}"#;
    assert!(matches!(Release::from_bytes(newer), Err(DeployError::NewerRelease { found: 2, known: 1 })));
}

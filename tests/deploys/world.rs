//! A namespace, a stack in a folder, and drydock with the rights of its service account.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Folder, wait_until};

pub const PASSWORD: &str = "correct horse battery staple";
/// What anything small may take on a busy machine of two cores.
pub const LIMIT: Duration = Duration::from_secs(120);

pub struct World {
    pub namespace: String,
    pub folder: Folder,
    /// An administrator's.
    admin: PathBuf,
}

pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) {
        let said = format!("{}\n{}", self.out, self.err);
        assert_eq!(self.code, code, "{said}");
        for word in words {
            assert!(said.contains(word), "`{word}` is not in\n{said}");
        }
    }
}

/// The kubeconfig to test with; None, said, where there is none.
pub fn kubeconfig() -> Option<PathBuf> {
    let found = std::env::var_os("DRYDOCK_E2E_KUBECONFIG").map(PathBuf::from);
    if found.is_none() {
        println!("left out: DRYDOCK_E2E_KUBECONFIG names no cluster (`tests/cluster/up` makes one)");
    }
    found
}

fn kubectl() -> std::ffi::OsString {
    std::env::var_os("DRYDOCK_E2E_KUBECTL").unwrap_or_else(|| "kubectl".into())
}

pub fn image(name: &str) -> String {
    let prefix = std::env::var("DRYDOCK_E2E_IMAGES").unwrap_or_else(|_| "drydock.test".into());
    format!("{prefix}/{name}")
}

impl World {
    pub fn open(subject: &str) -> Option<Self> {
        Some(Self::on(&kubeconfig()?, subject))
    }

    pub fn on(admin: &Path, subject: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("e2e-{subject}-{}-{number}", std::process::id());
        let world = Self { namespace, folder: Folder::unjudged(subject), admin: admin.to_owned() };
        std::fs::create_dir(world.path("files")).unwrap();
        world.install();
        let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace}});
        world.apply(&own.to_string());
        world.apply(&world.deployer());
        world.stack(json!([{"name": "data", "manifests": ["data.yaml"]}, {"name": "web", "manifests": ["web.yaml"]}]));
        let said =
            world.command(&["manifests", "--no-install", "--no-crds", "-f"]).arg(world.path("stack.yaml")).output();
        world.apply_anywhere(&Said::of(&said.unwrap()).well().out);
        world.write_kubeconfig();
        world.drydock(&["init"]).well();
        world
    }

    /// drydock itself, once a cluster: its kinds, its account, its rights, and the controller.
    fn install(&self) {
        static DONE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
        let mut done = DONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if done.insert(self.admin.clone()) {
            let printed = self.command(&["manifests", "--image", &image("drydock:dev")]).output().unwrap();
            self.apply_anywhere(&Said::of(&printed).well().out);
        }
    }

    /// The account whose rights the stack's deploys use.
    fn deployer(&self) -> String {
        let (name, namespace) = ("deployer", &self.namespace);
        let all = json!(["get", "list", "create", "patch", "delete"]);
        let role = |kind: &str, rules: Value| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "rules": rules,
                "metadata": {"name": if kind == "Role" { name } else { namespace.as_str() }}})
        };
        let bound = |kind: &str| {
            let of = if kind == "Role" { name } else { namespace.as_str() };
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"), "metadata": {"name": of},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": of},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]})
        };
        let items = json!([
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            role("Role", json!([
                {"apiGroups": [""], "resources": ["configmaps", "secrets", "services", "persistentvolumeclaims"], "verbs": all},
                {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": all},
                {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
                {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
                {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list"]}])),
            bound("Role"),
            role("ClusterRole", json!([
                {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": all},
                {"apiGroups": ["*"], "resources": ["tulips"], "verbs": all}])),
            bound("ClusterRole"),
        ]);
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    }

    /// Writes the stack's document with these phases.
    pub fn stack(&self, phases: Value) {
        self.stack_with(json!({"phases": phases}));
    }

    pub fn stack_with(&self, more: Value) {
        let mut document = json!({"apiVersion": "drydock.dev/v1alpha1", "kind": "Stack",
            "metadata": {"name": "shop", "namespace": self.namespace},
            "spec": {"serviceAccountName": "deployer", "data": [{"name": "files", "volume": {"path": self.path("files")}}], "repository":
                {"location": self.path("store"), "password": {"fromEnv": "DRYDOCK_PASSWORD"}}}});
        document["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.write("stack.yaml", &document.to_string());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The administrator's way to the cluster, as drydock's own service account.
    fn write_kubeconfig(&self) {
        let mut config: Value =
            serde_json::from_str(&self.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"])).unwrap();
        let token = self.kubectl(&["-n", "drydock", "create", "token", "drydock", "--duration", "6h"]);
        for user in config["users"].as_array_mut().unwrap() {
            user["user"] = json!({"token": token.trim()});
        }
        self.write("kubeconfig", &config.to_string());
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command.args(args).envs(self.environment()).env("DRYDOCK_IMAGE", image("drydock:dev")).stdin(Stdio::null());
        command
    }

    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("KUBECONFIG", self.path("kubeconfig")), ("DRYDOCK_PASSWORD", PASSWORD.into())]
    }

    /// A command line on the stack, to be started.
    pub fn begin(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.arg("-f").arg(self.path("stack.yaml"));
        command
    }

    pub fn drydock(&self, args: &[&str]) -> Said {
        Said::of(&self.begin(args).output().unwrap())
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let said = self.drydock(&[args, &["-o", "json"]].concat()).well();
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{args:?}: {error}: {}", said.out))
    }

    /// As the administrator, in the world's namespace.
    pub fn kubectl(&self, args: &[&str]) -> String {
        crate::support::run(&mut self.kubectl_command(args))
    }

    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(kubectl());
        command.arg("--kubeconfig").arg(&self.admin).args(["-n", &self.namespace]).args(args);
        command
    }

    /// Objects that name no namespace, in the world's.
    pub fn apply(&self, text: &str) {
        self.applied(&["-n", &self.namespace], text);
    }

    /// Objects that name their namespaces.
    fn apply_anywhere(&self, text: &str) {
        self.applied(&[], text);
    }

    fn applied(&self, place: &[&str], text: &str) {
        let mut command = Command::new(kubectl());
        command.arg("--kubeconfig").arg(&self.admin).args(place);
        command.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn get(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[&["get"], args, &["-o", "json"]].concat())).unwrap()
    }

    /// What is in the namespace by the release: specs, what runs, what is on record; without what differs between two
    /// namespaces in which the same was done.
    pub fn picture(&self) -> Value {
        self.until_settled();
        let found = self.get(&["deployments,statefulsets,services,configmaps"]);
        let objects: Vec<Value> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["metadata"]["name"] != "kube-root-ca.crt")
            .map(|one| {
                json!({"kind": one["kind"], "name": one["metadata"]["name"], "spec": one["spec"], "data": one["data"],
            "revision": one["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
            "ready": one["status"]["readyReplicas"]})
            })
            .collect();
        let releases = self.json(&["releases"]);
        let recorded: Vec<&Value> = releases["releases"].as_array().unwrap().iter().map(|one| &one["number"]).collect();
        let text = json!({"objects": objects, "releases": recorded}).to_string();
        serde_json::from_str(&text.replace(&self.namespace, "NAMESPACE")).unwrap()
    }

    /// Pods that were told to go are gone, no Job is at work.
    fn until_settled(&self) {
        wait_until("an end of all Jobs and of pods that go", LIMIT, || {
            let jobs = self.get(&["jobs"]);
            let active = jobs["items"].as_array().unwrap().iter().any(|job| job["status"]["active"].as_u64() > Some(0));
            let pods = self.get(&["pods"]);
            !active
                && pods["items"].as_array().unwrap().iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            println!("{}", Said::of(&self.kubectl_command(&["get", "all"]).output().unwrap()).out);
        }
        for what in
            [["namespace", &self.namespace], ["clusterrole", &self.namespace], ["clusterrolebinding", &self.namespace]]
        {
            let gone = self.kubectl_command(&["delete", "--ignore-not-found", "--wait=false"]).args(what).output();
            assert!(failed || gone.is_ok_and(|gone| gone.status.success()), "{what:?} is left behind");
        }
    }
}

/// A Deployment of one pod that is ready `after` seconds.
pub fn deployment(name: &str, image: &str, after: u32) -> Value {
    let command = format!("sleep {after}; touch /tmp/ready; exec sleep 3600");
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": {
            "terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": image,
                "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command],
                "readinessProbe": {"exec": {"command": ["test", "-f", "/tmp/ready"]}, "periodSeconds": 1}}]}}}})
}

pub fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

/// As a file of manifests.
pub fn documents(all: &[Value]) -> String {
    all.iter().map(|one| format!("---\n{one}\n")).collect()
}

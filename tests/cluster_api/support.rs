//! A namespace of its own for each test, which goes with it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drydock::cluster::{Applied, Applying, Cluster, ClusterError, Health, Manifest, ObjectId, Origin};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

/// What a single thing may take on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(120);

pub struct Sandbox {
    pub cluster: Cluster,
    pub namespace: String,
    kubeconfig: PathBuf,
}

pub fn manifest(value: Value) -> Manifest {
    let id = ObjectId::of(&value).unwrap();
    Manifest { id, value, origin: Origin { file: "test.yaml".into(), line: 1 } }
}

impl Sandbox {
    /// None, said, where there is no cluster to try it on.
    pub async fn open(subject: &str) -> Option<Self> {
        let Some(kubeconfig) = std::env::var_os("DRYDOCK_E2E_KUBECONFIG").map(PathBuf::from) else {
            println!("left out: DRYDOCK_E2E_KUBECONFIG names no cluster (`tests/cluster/up` makes one)");
            return None;
        };
        let cluster = Cluster::connect(Some(&kubeconfig), None).await.unwrap();
        let sandbox = Self { cluster, namespace: format!("drydock-api-{subject}-{}", std::process::id()), kubeconfig };
        sandbox.apply(&sandbox.own_namespace()).await.unwrap();
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let begun = Instant::now();
        while sandbox.get(&manifest(account.clone())).await.is_none() {
            assert!(begun.elapsed() < LIMIT, "the namespace gets no default service account");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some(sandbox)
    }

    pub async fn close(self) {
        self.cluster.delete(&self.own_namespace().id, "").await.unwrap();
    }

    fn own_namespace(&self) -> Manifest {
        manifest(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}))
    }

    pub fn plainly(&self) -> Applying<'_> {
        Applying { namespace: &self.namespace, ..Applying::default() }
    }

    pub async fn apply(&self, manifest: &Manifest) -> Result<Applied, ClusterError> {
        self.cluster.apply(manifest, self.plainly()).await
    }

    pub async fn get(&self, manifest: &Manifest) -> Option<Value> {
        self.cluster.get(&manifest.id, &self.namespace).await.unwrap()
    }

    pub fn image(&self, name: &str) -> String {
        let prefix = std::env::var("DRYDOCK_E2E_IMAGES").unwrap_or_else(|_| "drydock.test".into());
        format!("{prefix}/{name}")
    }

    pub fn deployment(&self, name: &str, image: &str, command: &[&str], replicas: u32) -> Manifest {
        manifest(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": command}]}}}}))
    }

    /// What another field manager says of an object, by server-side apply as `kubectl --field-manager=other` does it.
    pub async fn as_other(&self, manifest: &Manifest, mut says: Value) {
        let config = Kubeconfig::read_from(Path::new(&self.kubeconfig)).unwrap();
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
        let client = kube::Client::try_from(config).unwrap();
        let (group, version) = manifest.id.api_version.split_once('/').unwrap_or(("", &manifest.id.api_version));
        let kind = GroupVersionKind::gvk(group, version, &manifest.id.kind);
        let (resource, _) = kube::discovery::pinned_kind(&client, &kind).await.unwrap();
        let api: Api<DynamicObject> = Api::namespaced_with(client, &self.namespace, &resource);
        says["apiVersion"] = manifest.value["apiVersion"].clone();
        says["kind"] = manifest.value["kind"].clone();
        says["metadata"]["name"] = manifest.id.name.as_str().into();
        api.patch(&manifest.id.name, &PatchParams::apply("other"), &Patch::Apply(&says)).await.unwrap();
    }

    pub async fn until(&self, id: &ObjectId, wanted: impl Fn(&Health) -> bool) -> Health {
        let begun = Instant::now();
        loop {
            let health = self.cluster.health(id, &self.namespace).await.unwrap();
            if wanted(&health) {
                return health;
            }
            assert!(begun.elapsed() < LIMIT, "{id} is still {health:?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    pub async fn until_gone(&self, id: &ObjectId) {
        let begun = Instant::now();
        while self.cluster.get(id, &self.namespace).await.unwrap().is_some() {
            assert!(begun.elapsed() < LIMIT, "{id} does not go");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

//! Jobs that drydock makes, and their pods: made once, found again after a crash, read when they are over.

use futures_util::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, LogParams, PostParams, PropagationPolicy};
use serde_json::Value;

use super::client::Cluster;
use super::error::{ClusterError, Doing};
use super::manifest::ObjectId;

/// The Job of this name.
#[must_use]
pub fn job_id(namespace: &str, name: &str) -> ObjectId {
    let namespace = Some(namespace.to_owned());
    ObjectId { api_version: "batch/v1".into(), kind: "Job".into(), namespace, name: name.into() }
}

fn pod_id(namespace: &str, name: &str) -> ObjectId {
    ObjectId { api_version: "v1".into(), kind: "Pod".into(), namespace: Some(namespace.into()), name: name.into() }
}

impl Cluster {
    /// Makes a Job. One of the same name is the same attempt of the same step, made by this process or by one that is gone:
    /// it is left as it is.
    ///
    /// # Errors
    /// When the cluster cannot be asked or refuses.
    ///
    /// # Panics
    /// Never: JSON that has a kind and a name is an object of Kubernetes.
    pub async fn start_job(&self, job: &Value, namespace: &str) -> Result<(), ClusterError> {
        let id = job_id(namespace, job["metadata"]["name"].as_str().unwrap_or_default());
        let object: DynamicObject =
            serde_json::from_value(job.clone()).expect("a Job with a kind and a name is an object");
        match self.api(&id, namespace).await?.create(&PostParams::default(), &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(()),
            Err(error) => Err(ClusterError::of(error, Doing::Apply, &id)),
        }
    }

    /// The Jobs with these labels, the oldest first.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn jobs(&self, labels: &str, namespace: &str) -> Result<Vec<Value>, ClusterError> {
        self.labelled(&job_id(namespace, ""), labels, namespace).await
    }

    /// The pods with these labels, the oldest first.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn pods_with(&self, labels: &str, namespace: &str) -> Result<Vec<Value>, ClusterError> {
        self.labelled(&pod_id(namespace, ""), labels, namespace).await
    }

    async fn labelled(&self, id: &ObjectId, labels: &str, namespace: &str) -> Result<Vec<Value>, ClusterError> {
        let found = self.api(id, namespace).await?.list(&ListParams::default().labels(labels)).await;
        let found = found.map_err(|error| ClusterError::of(error, Doing::Read, id))?;
        let mut found: Vec<Value> =
            found.into_iter().map(|one| serde_json::to_value(one).expect("what came as JSON is JSON")).collect();
        // RFC 3339 in UTC sorts as text.
        found.sort_by_key(|one| one["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned());
        Ok(found)
    }

    /// Removes a Job and its pods; they may be there for a moment yet.
    ///
    /// # Errors
    /// When the cluster cannot be asked or refuses.
    pub async fn remove_job(&self, name: &str, namespace: &str) -> Result<(), ClusterError> {
        let id = job_id(namespace, name);
        let propagation_policy = Some(PropagationPolicy::Background);
        let how = DeleteParams { propagation_policy, ..DeleteParams::default() };
        match self.api(&id, namespace).await?.delete(name, &how).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(ClusterError::of(error, Doing::Delete, &id)),
        }
    }

    /// What a container has written; none where it never ran, or its log is gone.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn log(&self, pod: &str, container: &str, namespace: &str) -> Result<Option<String>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let how = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        match api.logs(pod, &how).await {
            // The kubelet says so in place of a log that is gone, with a code of success.
            Ok(text) if text.starts_with("unable to retrieve container logs") => Ok(None),
            Ok(text) => Ok(Some(text)),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => Ok(None),
            Err(error) => Err(ClusterError::of(error, Doing::Read, &pod_id(namespace, pod))),
        }
    }

    /// Hands over every line that a container writes, until it ends; at once where it has not begun.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or the connection is lost.
    pub async fn follow_log(
        &self,
        pod: &str,
        container: &str,
        namespace: &str,
        mut line: impl FnMut(&str),
    ) -> Result<(), ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let how = LogParams { container: Some(container.to_owned()), follow: true, ..LogParams::default() };
        let id = pod_id(namespace, pod);
        let stream = match api.log_stream(pod, &how).await {
            Ok(stream) => stream,
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => return Ok(()),
            Err(error) => return Err(ClusterError::of(error, Doing::Read, &id)),
        };
        let mut lines = stream.lines();
        while let Some(text) = lines.try_next().await.map_err(|error| cut_off(&id, error))? {
            line(&text);
        }
        Ok(())
    }
}

fn cut_off(id: &ObjectId, error: std::io::Error) -> ClusterError {
    ClusterError::of(kube::Error::ReadEvents(error), Doing::Read, id)
}

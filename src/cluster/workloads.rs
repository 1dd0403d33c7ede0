//! What in a namespace may hold data: claims, and workloads with what they use.

use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec, Service};
use kube::api::{Api, ListParams, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::client::Cluster;
use super::error::{ClusterError, Doing};
use super::manifest::ObjectId;

/// All of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    pub namespace: String,
    pub claims: Vec<String>,
    pub workloads: Vec<Workload>,
    /// By name, what each selects.
    pub services: BTreeMap<String, BTreeMap<String, String>>,
}

/// A Deployment or StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workload {
    pub kind: String,
    pub name: String,
    pub images: Vec<String>,
    /// Claims that its pods name.
    pub claims: Vec<String>,
    /// Claims that are made for its pods begin with one of these, and a number follows.
    pub templates: Vec<String>,
    /// Of its pods.
    pub labels: BTreeMap<String, String>,
    /// Of a StatefulSet, the Service by which its pods have names.
    pub service: Option<String>,
}

impl Cluster {
    /// What in `namespace` may hold data.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn holdings(&self, namespace: &str) -> Result<Holdings, ClusterError> {
        let (claims, sets, deployments, services) = tokio::try_join!(
            self.all::<PersistentVolumeClaim>(namespace),
            self.all::<StatefulSet>(namespace),
            self.all::<Deployment>(namespace),
            self.all::<Service>(namespace),
        )?;
        let set = |set: &StatefulSet| {
            let spec = set.spec.clone().unwrap_or_default();
            let name = set.name_any();
            let templates = spec.volume_claim_templates.unwrap_or_default();
            Workload {
                templates: templates.iter().map(|claim| format!("{}-{name}-", claim.name_any())).collect(),
                service: spec.service_name,
                ..workload("StatefulSet", name, &spec.template)
            }
        };
        let deployment = |deployment: &Deployment| {
            let template = deployment.spec.clone().unwrap_or_default().template;
            workload("Deployment", deployment.name_any(), &template)
        };
        let selector = |service: &Service| {
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
            (service.name_any(), selector)
        };
        Ok(Holdings {
            namespace: namespace.to_owned(),
            claims: claims.iter().map(ResourceExt::name_any).collect(),
            workloads: sets.iter().map(set).chain(deployments.iter().map(deployment)).collect(),
            services: services.iter().map(selector).collect(),
        })
    }

    async fn all<K>(&self, namespace: &str) -> Result<Vec<K>, ClusterError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let listed = api.list(&ListParams::default()).await.map_err(|error| {
            let id = ObjectId {
                api_version: K::api_version(&()).into(),
                kind: K::kind(&()).into(),
                namespace: Some(namespace.into()),
                name: K::plural(&()).into(),
            };
            ClusterError::of(error, Doing::Read, &id)
        })?;
        Ok(listed.items)
    }
}

fn workload(kind: &str, name: String, template: &PodTemplateSpec) -> Workload {
    let spec = template.spec.clone().unwrap_or_default();
    let volumes = spec.volumes.unwrap_or_default();
    Workload {
        kind: kind.to_owned(),
        name,
        images: spec.containers.into_iter().filter_map(|container| container.image).collect(),
        claims: volumes.into_iter().filter_map(|v| Some(v.persistent_volume_claim?.claim_name)).collect(),
        labels: template.metadata.clone().unwrap_or_default().labels.unwrap_or_default(),
        ..Workload::default()
    }
}

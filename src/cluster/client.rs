//! The way to a cluster: whose it is, as whom, and which kinds it knows.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use kube::api::{Api, ApiResource, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersion;
use kube::discovery::{ApiCapabilities, Scope, pinned_group};
use kube::{Client, Config};

use super::error::{ClusterError, Doing};
use super::manifest::ObjectId;

/// Resources by `apiVersion`.
type Known = HashMap<String, Vec<(ApiResource, ApiCapabilities)>>;

/// An API server, as one user. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
    config: Config,
    /// Resources of an `apiVersion`, as far as they were asked for.
    known: Arc<Mutex<Known>>,
    /// Held while asking: many objects that begin together ask once.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Cluster {
    /// Finds the way by a kubeconfig (the given one, else `KUBECONFIG`, else `~/.kube/config`, else that of the pod in which
    /// this runs); nothing is asked of the API server yet.
    ///
    /// # Errors
    /// `Config` when there is none, or it cannot be used.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, ClusterError> {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = match kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(file).map_err(ClusterError::config)?;
                Config::from_custom_kubeconfig(read, &options).await.map_err(ClusterError::config)?
            }
            None if context.is_some() => Config::from_kubeconfig(&options).await.map_err(ClusterError::config)?,
            None => Config::infer().await.map_err(ClusterError::config)?,
        };
        Self::of(config)
    }

    fn of(config: Config) -> Result<Self, ClusterError> {
        let client = Client::try_from(config.clone()).map_err(ClusterError::config)?;
        Ok(Self { client, config, known: Arc::default(), asking: Arc::default() })
    }

    /// The same cluster with the rights of a service account and no others; the API server asks whether this user may
    /// act as it.
    ///
    /// # Errors
    /// `Config` when the connection cannot be made anew.
    pub fn acting_as(&self, namespace: &str, service_account: &str) -> Result<Self, ClusterError> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{service_account}"));
        // Its groups follow from the account; asking for them would need the right to act as groups, everywhere.
        config.auth_info.impersonate_groups = None;
        Ok(Self { known: self.known.clone(), asking: self.asking.clone(), ..Self::of(config)? })
    }

    /// The namespace of the kubeconfig's context, or of this pod.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// Where objects of this kind are, seen from the namespace `default` where the id names none.
    pub(super) async fn api(&self, id: &ObjectId, default: &str) -> Result<Api<DynamicObject>, ClusterError> {
        let (resource, capabilities) = self.kind(id).await?;
        Ok(match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = id.namespace.as_deref().unwrap_or(default);
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
        })
    }

    /// A kind that is not known is asked for each time: its definition may have come meanwhile.
    async fn kind(&self, id: &ObjectId) -> Result<(ApiResource, ApiCapabilities), ClusterError> {
        let find = |list: &Vec<(ApiResource, ApiCapabilities)>| list.iter().find(|one| one.0.kind == id.kind).cloned();
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id.api_version).and_then(find);
        if let Some(found) = known() {
            return Ok(found);
        }
        let _asking = self.asking.lock().await;
        if let Some(found) = known() {
            return Ok(found);
        }
        let unknown = || ClusterError::UnknownKind { id: Box::new(id.clone()) };
        let version: GroupVersion = id.api_version.parse().map_err(|_| unknown())?;
        let group = match pinned_group(&self.client, &version).await {
            Ok(group) => group,
            Err(kube::Error::Api(status)) if status.code == 404 => return Err(unknown()),
            Err(error) => return Err(ClusterError::of(error, Doing::Discover, id)),
        };
        let resources = group.versioned_resources(&version.version);
        let found = find(&resources);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id.api_version.clone(), resources);
        found.ok_or_else(unknown)
    }
}

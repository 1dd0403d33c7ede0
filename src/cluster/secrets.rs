//! What a Stack's `fromSecret` names, read with the rights of whoever asks.

use k8s_openapi::api::core::v1::Secret as Object;
use kube::api::Api;

use super::client::Cluster;
use super::error::{ClusterError, Doing};
use super::manifest::ObjectId;
use crate::stack::{Secret, SecretKeyRef};

impl Cluster {
    /// The text of a key of a Secret, without one trailing line end.
    ///
    /// # Errors
    /// `NoSecret` when there is no such Secret or key, or it is no text; what the API server says.
    pub async fn secret(&self, namespace: &str, reference: &SecretKeyRef) -> Result<Secret, ClusterError> {
        let id = ObjectId {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some(namespace.into()),
            name: reference.name.clone(),
        };
        let api: Api<Object> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(&reference.name).await.map_err(|error| ClusterError::of(error, Doing::Read, &id))?;
        let none = |why: String| ClusterError::NoSecret { id: Box::new(id.clone()), why };
        let data = found.ok_or_else(|| none("it is not there".into()))?.data.unwrap_or_default();
        let bytes = data.get(&reference.key).ok_or_else(|| none(format!("it has no key `{}`", reference.key)))?;
        let text = std::str::from_utf8(&bytes.0);
        let text = text.map_err(|_| none(format!("what its key `{}` holds is no UTF-8", reference.key)))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.is_empty() {
            return Err(none(format!("its key `{}` is empty", reference.key)));
        }
        Ok(text.to_owned().into())
    }
}

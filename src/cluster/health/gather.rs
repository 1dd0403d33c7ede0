//! Asks for what a judgement needs, and no more: the object; its pods and their warnings only where it is not healthy.

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

use super::{Health, judge, pods};
use crate::cluster::client::Cluster;
use crate::cluster::error::{ClusterError, Doing};
use crate::cluster::manifest::ObjectId;

/// Kinds whose controllers tell in warnings alone why they cannot make what they are to make.
const MAKERS: [&str; 4] = ["StatefulSet", "DaemonSet", "Job", "PersistentVolumeClaim"];

impl Cluster {
    /// How the object stands now.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn health(&self, id: &ObjectId, namespace: &str) -> Result<Health, ClusterError> {
        let Some(object) = self.get(id, namespace).await? else {
            return Ok(Health::Failed { why: "it is not there any more".into() });
        };
        match judge(&object) {
            Health::Waiting { why } => self.why_it_waits(&object, id, namespace, why).await,
            Health::Failed { why } if id.kind == "Job" => {
                let pods = self.pods_of(&object, id, namespace).await?;
                let last = pods::last_failure(&object, &pods).map(|last| format!("; {last}"));
                Ok(Health::Failed { why: format!("{why}{}", last.unwrap_or_default()) })
            }
            settled => Ok(settled),
        }
    }

    async fn why_it_waits(
        &self,
        object: &Value,
        id: &ObjectId,
        namespace: &str,
        why: String,
    ) -> Result<Health, ClusterError> {
        if id.kind == "PersistentVolumeClaim" && self.waits_for_a_pod(object).await {
            return Ok(Health::Healthy);
        }
        let pods = if id.kind == "Pod" { vec![object.clone()] } else { self.pods_of(object, id, namespace).await? };
        if let Some(trouble) = pods::trouble_of(object, &pods) {
            return Ok(trouble);
        }
        let relevant = pods::relevant(object, &pods);
        let silent = relevant.iter().find(|pod| pods::is_silent(pod)).copied();
        let concerns = match silent {
            Some(pod) => Some(pod),
            // Its controller could not make them.
            None if relevant.is_empty() && MAKERS.contains(&id.kind.as_str()) => Some(object),
            None => None,
        };
        if let Some(concerned) = concerns
            && let Some(warning) = self.last_warning(concerned, id, namespace).await
        {
            let of = if silent.is_some() { format!("pod {}: ", pods::name(concerned)) } else { String::new() };
            let lasts = pods::lasts(&warning);
            let why = format!("{of}{warning}");
            return Ok(if lasts { Health::Stuck { why } } else { Health::Waiting { why } });
        }
        let last = pods::last_failure(object, &pods).filter(|_| id.kind == "Job");
        Ok(Health::Waiting { why: format!("{why}{}", last.map(|last| format!("; {last}")).unwrap_or_default()) })
    }

    /// A claim whose class binds at its first pod, and which no pod has. Where the class may not be read it is waited for.
    async fn waits_for_a_pod(&self, claim: &Value) -> bool {
        let Some(class) = claim["spec"]["storageClassName"].as_str() else { return false };
        let chosen = !claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].is_null();
        let id = ObjectId {
            api_version: "storage.k8s.io/v1".into(),
            kind: "StorageClass".into(),
            namespace: None,
            name: class.into(),
        };
        let class = self.get(&id, "").await.ok().flatten().unwrap_or_default();
        !chosen && class["volumeBindingMode"] == "WaitForFirstConsumer"
    }

    /// What its last warning says; none where there is none or it may not be read: it explains, and decides nothing. Asked
    /// for by uid, so that a former object of the same name has no say.
    async fn last_warning(&self, object: &Value, id: &ObjectId, namespace: &str) -> Option<String> {
        let own = id.namespace.as_deref().unwrap_or(namespace);
        let api: Api<Event> = Api::namespaced(self.client.clone(), own);
        let fields = format!("type=Warning,involvedObject.uid={}", object["metadata"]["uid"].as_str()?);
        let mut found = api.list(&ListParams::default().fields(&fields)).await.ok()?.items;
        found.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
        let last = found.pop()?;
        Some(format!("{}: {}", last.reason.unwrap_or_default(), last.message.unwrap_or_default()))
    }

    /// The pods that a workload's selector finds.
    pub(super) async fn pods_of(
        &self,
        object: &Value,
        id: &ObjectId,
        namespace: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let Some(selector) = selector(&object["spec"]["selector"]) else { return Ok(Vec::new()) };
        let pods = self.pods(id, namespace).await?;
        let found = pods.list(&ListParams::default().labels(&selector)).await;
        let found = found.map_err(|error| ClusterError::of(error, Doing::Read, id))?;
        Ok(found.into_iter().map(|pod| serde_json::to_value(pod).expect("what came as JSON is JSON")).collect())
    }

    async fn pods(&self, id: &ObjectId, namespace: &str) -> Result<Api<DynamicObject>, ClusterError> {
        let namespace = id.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        let pod =
            ObjectId { api_version: "v1".into(), kind: "Pod".into(), namespace: Some(namespace), name: String::new() };
        self.api(&pod, "").await
    }
}

/// A LabelSelector as a list of pods takes it; none where it selects by nothing, or by what this program does not know.
fn selector(selector: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts = labels.map(|(name, value)| Some(format!("{name}={}", text(value)?))).collect::<Option<Vec<_>>>()?;
    for one in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = text(&one["key"])?;
        let values = || -> Option<String> {
            let values = one["values"].as_array()?.iter().map(text).collect::<Option<Vec<_>>>()?;
            Some(values.join(","))
        };
        parts.push(match one["operator"].as_str()? {
            "In" => format!("{key} in ({})", values()?),
            "NotIn" => format!("{key} notin ({})", values()?),
            "Exists" => key,
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_may_have_labels_and_expressions() {
        let both = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"},
            {"key": "track", "operator": "NotIn", "values": ["canary"]}, {"key": "release", "operator": "Exists"}]});
        assert_eq!(selector(&both).unwrap(), "app=web,tier in (a,b),!old,track notin (canary),release");
        let newer = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "n", "operator": "Gt"}]});
        assert_eq!(selector(&newer), None, "other pods than its own would explain nothing");
        assert_eq!((selector(&Value::Null), selector(&json!({}))), (None, None));
    }
}

//! kube's controllers over drydock's kinds: one object is reconciled once at a time, a change meanwhile is seen after it, a
//! watch that breaks is taken up with a growing pause. What is done about an object is the [`Reconciler`]'s.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, DynamicObject, Resource, ResourceExt};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::client::Cluster;
use super::kinds::{Kind, Seen};

/// Objects of others come in pages of this many, and are forgotten at once: memory does not grow with how many there are.
const PAGE: u32 = 50;

/// When an object is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    OnChange,
    After(Duration),
}

/// What is done about an object that is new or has changed. Whatever fails is its own to say and to try again.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    async fn reconcile(&self, seen: Seen) -> Again;
}

/// What the watches hold of drydock's own kinds. Cheap to clone.
#[derive(Clone)]
pub struct Watched {
    stacks: Store<DynamicObject>,
    runs: Store<DynamicObject>,
    /// Stacks in whose namespaces claims or workloads have changed.
    touched: Arc<Mutex<HashSet<(String, String)>>>,
}

impl Watched {
    #[must_use]
    pub fn stack(&self, namespace: &str, name: &str) -> Option<Seen> {
        let reference = ObjectRef::new_with(name, Kind::Stack.resource()).within(namespace);
        self.stacks.get(&reference).map(|object| Seen::of(Kind::Stack, &object))
    }

    /// The Runs of a stack, the oldest first.
    #[must_use]
    pub fn runs(&self, namespace: &str, stack: &str) -> Vec<Seen> {
        let of_it = |run: &DynamicObject| {
            run.metadata.namespace.as_deref() == Some(namespace) && run.data["spec"]["stack"] == stack
        };
        let mut runs: Vec<Seen> =
            self.runs.state_filter(of_it).iter().map(|object| Seen::of(Kind::Run, object)).collect();
        runs.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        runs
    }

    /// Whether claims or workloads in the stack's namespaces have changed since this was asked last.
    #[must_use]
    pub fn take_touched(&self, namespace: &str, stack: &str) -> bool {
        let key = (namespace.to_owned(), stack.to_owned());
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }

    /// The stacks that have `namespace`.
    fn stacks_in(&self, namespace: &str) -> Vec<ObjectRef<DynamicObject>> {
        let has = |stack: &DynamicObject| {
            let further = stack.data["spec"]["namespaces"].as_array();
            stack.metadata.namespace.as_deref() == Some(namespace)
                || further.is_some_and(|names| names.iter().any(|name| name == namespace))
        };
        let found = self.stacks.state_filter(has);
        found.iter().map(|stack| ObjectRef::from_obj_with(stack.as_ref(), Kind::Stack.resource())).collect()
    }

    fn touch(&self, namespace: &str) -> Vec<ObjectRef<DynamicObject>> {
        let found = self.stacks_in(namespace);
        let keys = found.iter().map(|stack| (stack.namespace.clone().unwrap_or_default(), stack.name.clone()));
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
        found
    }
}

impl Cluster {
    /// Has Stacks and Runs of all namespaces reconciled until `stop`, and returns once the last of them is. `make` is given
    /// what the watches hold and says who reconciles Stacks, and who Runs.
    pub async fn control<S: Reconciler, R: Reconciler>(
        &self,
        make: impl FnOnce(Watched) -> (S, R),
        stop: CancellationToken,
    ) {
        let all = |kind: Kind| Api::<DynamicObject>::all_with(self.client.clone(), &kind.resource());
        let own = |kind| Controller::new_with(all(kind), watcher::Config::default(), kind.resource());
        let (stacks, runs) = (own(Kind::Stack), own(Kind::Run));
        let watched = Watched { stacks: stacks.store(), runs: runs.store(), touched: Arc::default() };

        let of_stack = watched.clone();
        let runs =
            runs.watches_with(all(Kind::Stack), Kind::Stack.resource(), watcher::Config::default(), move |stack| {
                let found = of_stack.runs(&stack.namespace().unwrap_or_default(), &stack.name_any());
                let reference =
                    |run: &Seen| ObjectRef::new_with(&run.name, Kind::Run.resource()).within(&run.namespace);
                found.iter().map(reference).collect::<Vec<_>>()
            });
        let stacks = stacks.watches_with(all(Kind::Run), Kind::Run.resource(), watcher::Config::default(), |run| {
            let stack = run.data["spec"]["stack"].as_str()?;
            Some(ObjectRef::new_with(stack, Kind::Stack.resource()).within(run.metadata.namespace.as_deref()?))
        });
        let stacks = self.touched_by::<PersistentVolumeClaim>(stacks, &watched);
        let stacks = self.touched_by::<StatefulSet>(stacks, &watched);
        let stacks = self.touched_by::<Deployment>(stacks, &watched);

        let (of_stacks, of_runs) = make(watched);
        tokio::join!(lead(Kind::Stack, stacks, of_stacks, stop.clone()), lead(Kind::Run, runs, of_runs, stop));
    }

    fn touched_by<K>(&self, stacks: Controller<DynamicObject>, watched: &Watched) -> Controller<DynamicObject>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        let watched = watched.clone();
        let config = watcher::Config::default().page_size(PAGE);
        stacks.watches(Api::<K>::all(self.client.clone()), config, move |object| {
            watched.touch(&object.namespace().unwrap_or_default())
        })
    }
}

async fn lead<R: Reconciler>(
    kind: Kind,
    controller: Controller<DynamicObject>,
    reconciler: R,
    stop: CancellationToken,
) {
    let reconcile = move |object: Arc<DynamicObject>, reconciler: Arc<R>| async move {
        Ok::<_, std::convert::Infallible>(match reconciler.reconcile(Seen::of(kind, &object)).await {
            Again::OnChange => Action::await_change(),
            Again::After(pause) => Action::requeue(pause),
        })
    };
    controller
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(reconcile, |_, error, _| match *error {}, Arc::new(reconciler))
        .for_each(|reconciled| async move {
            match reconciled {
                Ok(_) => {}
                // An object that went away before it was looked at.
                Err(kube::runtime::controller::Error::ObjectNotFound(_)) => {}
                Err(error) => tracing::warn!(kind = kind.word(), %error, "a watch broke; it is taken up again"),
            }
        })
        .await;
}

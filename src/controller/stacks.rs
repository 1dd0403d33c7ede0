//! A Stack's status: its newest run, the release that is live, what of its data is in no recovery point. A Stack that was
//! changed is deployed again with that release, by a Run of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::conditions::{Newest, of_runs, protected, timed};
use super::error::told;
use super::{Shared, document, protection};
use crate::cluster::run::{Deploy, RunOperation, RunSpec};
use crate::cluster::status::{ReleaseStatus, RunStatus, StackStatus};
use crate::cluster::{Again, ClusterError, Reconciler, Seen, Severity, Watched};
use crate::stack::Stack;

const MANAGER: &str = "drydock-controller";
/// A deploy touches many objects: what holds data is looked for this often at most.
const LOOK: Duration = Duration::from_secs(10);
/// What failed may have passed by then.
const AGAIN: Duration = Duration::from_secs(15);

pub struct Stacks {
    shared: Arc<Shared>,
    watched: Watched,
    /// By uid.
    known: Mutex<HashMap<String, Known>>,
}

/// What this process knows of a Stack beside its resource.
#[derive(Clone)]
struct Known {
    /// Written last: what the watch holds may be older.
    status: StackStatus,
    gaps: Result<Vec<String>, String>,
    looked: Instant,
    generation: i64,
}

impl Stacks {
    pub fn new(shared: Arc<Shared>, watched: Watched) -> Self {
        Self { shared, watched, known: Mutex::default() }
    }

    fn known(&self, uid: &str) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    fn keep(&self, uid: &str, known: Known) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), known);
    }
}

#[async_trait]
impl Reconciler for Stacks {
    async fn reconcile(&self, seen: Seen) -> Again {
        if self.shared.stop.is_cancelled() {
            return Again::OnChange;
        }
        let known = self.known(&seen.uid);
        let former = known.as_ref().map_or_else(|| seen.status(), |known| known.status.clone());
        let parsed = document::stack(&seen);
        let runs = self.watched.runs(&seen.namespace, &seen.name);
        let statuses: Vec<RunStatus> = runs.iter().map(Seen::status).collect();
        let live = live(&runs, &statuses).or_else(|| former.release.clone());
        let newest = runs.last().zip(statuses.last()).map(|(run, status)| Newest { name: &run.name, status });
        let under_way = newest.filter(|newest| !super::view::is_over(newest.status));

        let mut again = Again::OnChange;
        let (gaps, looked) = match (&parsed, known) {
            (Err(_), known) => {
                (known.map_or_else(|| Err("the Stack cannot be used".into()), |k| k.gaps), Instant::now())
            }
            (Ok(_), Some(known)) if known.generation == seen.generation && known.looked.elapsed() < LOOK => {
                again = Again::After(LOOK - known.looked.elapsed());
                (known.gaps, known.looked)
            }
            (Ok(stack), known) => {
                let touched = self.watched.take_touched(&seen.namespace, &seen.name);
                match known {
                    Some(known) if !touched && known.generation == seen.generation && known.gaps.is_ok() => {
                        (known.gaps, known.looked)
                    }
                    _ => (self.gaps(&seen, stack).await, Instant::now()),
                }
            }
        };

        let invalid = parsed.as_ref().err().map(|error| told(error, &seen.name, &seen.namespace));
        let mut observed = former.observed_generation;
        if invalid.is_some() || live.is_none() {
            observed = Some(seen.generation);
        } else if let Some(release) = live.as_ref().filter(|_| observed != Some(seen.generation)) {
            match self.deploy_again(&seen, release).await {
                Ok(()) => observed = Some(seen.generation),
                Err(error) => {
                    tracing::warn!(stack = seen.name, %error, "a changed Stack could not be deployed again yet");
                    again = Again::After(AGAIN);
                }
            }
        }
        let judged = of_runs(invalid.as_deref(), newest, live.as_ref());
        let protected = protected(gaps.as_deref().map_err(String::as_str));
        let release = live.map(|live| ReleaseStatus {
            phase: under_way
                .and_then(|run| run.status.step.as_deref()?.split_once(':').map(|(_, phase)| phase.to_owned())),
            ..live
        });
        let status = StackStatus {
            observed_generation: observed,
            conditions: timed(
                judged.into_iter().chain([protected]),
                &former,
                seen.generation,
                self.shared.cx.clock.now(),
            ),
            release,
            repository: None, // another manager's field
        };
        if self.publish(&seen, &former, &status).await.is_err() {
            again = Again::After(AGAIN);
        }
        self.keep(&seen.uid, Known { status, gaps, looked, generation: seen.generation });
        again
    }
}

impl Stacks {
    async fn gaps(&self, seen: &Seen, stack: &Stack) -> Result<Vec<String>, String> {
        let namespaces =
            std::iter::once(seen.namespace.as_str()).chain(stack.spec.namespaces.iter().map(|name| name.as_str()));
        let mut found = Vec::new();
        for namespace in namespaces {
            found.push(self.shared.own.holdings(namespace).await.map_err(|error| error.to_string())?);
        }
        Ok(protection::gaps(&stack.spec, &found))
    }

    /// By a Run whose name says for which change: twice is as once.
    async fn deploy_again(&self, seen: &Seen, release: &ReleaseStatus) -> Result<(), ClusterError> {
        let uid: String = seen.uid.chars().take(8).collect();
        let name = format!("{}-g{}-{uid}", seen.name, seen.generation);
        let Ok(stack) = seen.name.parse() else { return Ok(()) };
        let operation = RunOperation::Deploy(Deploy { release: Some(release.digest.clone()), ..Deploy::default() });
        let by = Some(format!("generation {} of the Stack", seen.generation));
        let spec = RunSpec { stack, operation, by };
        if self.shared.own.create_run(&seen.namespace, &name, &spec).await? {
            let note = format!("the Stack was changed: Run {name} deploys release {} by it", release.number);
            self.shared.teller.tell(seen, Severity::Normal, "StackChanged", &name, &note).await;
        }
        Ok(())
    }

    async fn publish(&self, seen: &Seen, former: &StackStatus, status: &StackStatus) -> Result<(), ()> {
        let same = StackStatus { repository: None, ..former.clone() } == *status;
        if same || self.shared.lost.is_cancelled() {
            return Ok(());
        }
        match self.shared.own.publish(seen, MANAGER, status).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(stack = seen.name, %error, "a Stack's status could not be written");
                Err(())
            }
        }
    }
}

/// The release that the newest successful run has made live.
fn live(runs: &[Seen], statuses: &[RunStatus]) -> Option<ReleaseStatus> {
    let (run, status) =
        runs.iter().zip(statuses).rfind(|(_, s)| s.standing.as_deref() == Some("succeeded") && s.release.is_some())?;
    Some(ReleaseStatus {
        number: status.release?,
        digest: status.digest.clone()?,
        phase: None,
        run: Some(run.name.clone()),
    })
}

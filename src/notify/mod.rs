//! Tells people and programs outside when a run fails, when the operation succeeds again, when an objective is missed and
//! met again, and calls a heartbeat URL after each success. Owns what is worth a message, that the same thing is told once,
//! also by the next process, and that a URL, which is a secret, is never in a log or an error. Refuses to fail a run: what
//! could not be delivered is logged, and told anew at the next occasion.
//!
//! At least once: a process that dies between a delivery and the note of it tells the same again; `id` tells receivers.

mod decide;
mod message;
mod send;
mod state;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::failure::{Category, Failure};
use crate::stack::{Beat, SecretError, Stack, WebhookFormat};
use crate::storage::SharedStore;

pub use decide::{Decision, Event, Policy, Told, decide};
pub use message::{Kind, Message};
pub use send::Patience;

use send::{Method, Sender, Target};
use state::State;

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnded {
    /// `snapshot`, `drill`, `check`, `forget` …
    pub operation: String,
    pub run: String,
    pub time: Timestamp,
    pub ending: Ending,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Also with warnings.
    Succeeded,
    /// As its journal says it: no causes, which may hold rows.
    Failed { category: Category, message: String, hint: Option<String> },
    /// It was told to stop, by a person or by a daemon that leaves: neither a failure nor a success.
    Stopped,
}

/// One of the stack's objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objective {
    Rpo,
    Rto,
    Proven,
}

impl Objective {
    /// The key under which the document has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rpo => "rpo",
            Self::Rto => "rto",
            Self::Proven => "proven",
        }
    }
}

/// An objective as it stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectiveSeen {
    pub objective: Objective,
    pub goal: Duration,
    /// `None` while there is nothing that could have achieved it, such as no recovery point.
    pub achieved: Option<Duration>,
}

impl ObjectiveSeen {
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.achieved.is_some_and(|achieved| achieved <= self.goal)
    }
}

/// Something that nobody was told, and why; also in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Which entry of the document: `spec.notifications[0]`.
    pub field: String,
    pub why: String,
}

#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("cannot read the URL of {field}")]
    Secret { field: String, source: SecretError },
    #[error("what {field}.url leads to is no URL that can be called: {why}")]
    Url { field: String, why: &'static str },
    #[error("cannot set up TLS for notifications: {why}")]
    Tls { why: String },
}

impl Failure for NotifyError {
    fn category(&self) -> Category {
        Category::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Secret { source, .. } => source.hint(),
            Self::Url { .. } => Some("put one line there, `https://HOST/PATH`, without user name and password".into()),
            Self::Tls { .. } => Some("install ca-certificates".into()),
        }
    }
}

/// Who tells; cheap to clone.
#[derive(Debug, Clone)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stack: Stack,
    webhooks: Vec<Webhook>,
    heartbeats: Vec<(Target, Vec<Beat>)>,
    sender: Sender,
    /// One event after the other: what was told of one decides on the next.
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Webhook {
    target: Target,
    format: WebhookFormat,
    policy: Policy,
}

impl Notifier {
    /// Reads the URLs of `stack`'s notifications and heartbeats; asks nobody yet. What was told is kept in `store`.
    ///
    /// # Errors
    /// When a URL cannot be read, or is none.
    pub fn new(
        stack: &Stack,
        store: SharedStore,
        clock: Arc<dyn Clock>,
        patience: Patience,
    ) -> Result<Self, NotifyError> {
        let mut webhooks = Vec::new();
        for (n, notification) in stack.spec.notifications.iter().enumerate() {
            let target = Target::read(format!("spec.notifications[{n}].webhook"), &notification.webhook.url)?;
            let policy = Policy { on: notification.on.clone(), remind_after: notification.remind_after };
            webhooks.push(Webhook { target, format: notification.webhook.format, policy });
        }
        let mut heartbeats = Vec::new();
        for (n, heartbeat) in stack.spec.heartbeats.iter().enumerate() {
            let target = Target::read(format!("spec.heartbeats[{n}]"), &heartbeat.url)?;
            heartbeats.push((target, heartbeat.after.clone()));
        }
        let (sender, state) = (Sender::new(patience)?, Mutex::new(State::new(store)));
        Ok(Self(Arc::new(Inner { stack: stack.clone(), webhooks, heartbeats, sender, state, clock })))
    }

    /// Tells what is to be told of a run that is over, and calls the heartbeats that are due. Takes as long as the receivers
    /// and [`Patience`] let it: a daemon that must go on spawns it.
    pub async fn run_ended(&self, ended: &RunEnded) -> Vec<Undelivered> {
        let event = Event::Run(ended.clone());
        let (mut told, beaten) = tokio::join!(self.tell(&event), self.beat(ended));
        told.extend(beaten);
        told
    }

    /// As [`Self::run_ended`], of a run that ended before this process looked: a heartbeat would say that it ended now.
    pub async fn catch_up(&self, ended: &RunEnded) -> Vec<Undelivered> {
        self.tell(&Event::Run(ended.clone())).await
    }

    /// Tells which objectives are missed that were not, and which are met again; to be called whenever they were looked at.
    pub async fn objectives(&self, seen: &[ObjectiveSeen]) -> Vec<Undelivered> {
        let mut undelivered = Vec::new();
        for one in seen {
            undelivered.extend(self.tell(&Event::Objective(*one, self.0.clock.now())).await);
        }
        undelivered
    }

    async fn tell(&self, event: &Event) -> Vec<Undelivered> {
        let this = &*self.0;
        if this.webhooks.is_empty() {
            return Vec::new();
        }
        let mut state = this.state.lock().await;
        let now = this.clock.now();
        let former = state.load().await;
        let told = this.webhooks.iter().map(async |webhook| {
            let key = webhook.target.key();
            let decision = decide(former.get(&key).unwrap_or(&Told::default()), event, now, &webhook.policy);
            let (told, failed) = match &decision.message {
                Some(message) => match this.deliver(webhook, message).await {
                    Ok(()) => (decision.told, None),
                    Err(why) => (decision.untold, Some(webhook.target.undelivered(why))),
                },
                None => (decision.told, None),
            };
            ((key, told), failed)
        });
        let (told, failed): (Vec<_>, Vec<_>) = join_all(told).await.into_iter().unzip();
        state.save(told.into_iter().collect()).await;
        failed.into_iter().flatten().collect()
    }

    async fn beat(&self, ended: &RunEnded) -> Vec<Undelivered> {
        let this = &*self.0;
        if ended.ending != Ending::Succeeded {
            return Vec::new();
        }
        let due = this.heartbeats.iter().filter(|(_, after)| after.iter().any(|beat| beat.is(&ended.operation)));
        let called = due.map(async |(target, _)| {
            let called = this.sender.send(target, Method::Get).await;
            called.err().map(|why| target.undelivered(why))
        });
        join_all(called).await.into_iter().flatten().collect()
    }
}

impl Inner {
    async fn deliver(&self, webhook: &Webhook, message: &Message) -> Result<(), String> {
        let body = message.body(&self.stack, webhook.format);
        self.sender.send(&webhook.target, Method::Post(body)).await
    }
}

#[cfg(test)]
mod tests;

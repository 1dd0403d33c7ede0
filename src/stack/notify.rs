//! Who is told when something goes wrong, or right again.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{SecretSource, Spec, duration};

/// One place that is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notification {
    pub webhook: Webhook,
    /// Everything where it is not said.
    #[serde(default = "Occasion::all")]
    pub on: Vec<Occasion>,
    /// What goes on is told again when this has passed.
    #[serde(default = "a_day", deserialize_with = "duration::required")]
    #[schemars(with = "duration::Written")]
    pub remind_after: Duration,
}

/// A URL that takes a POST.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// A secret: who has it may write there.
    pub url: SecretSource,
    #[serde(default)]
    pub format: WebhookFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookFormat {
    /// drydock's own document, for programs.
    #[default]
    Json,
    /// `{"text": …}`, which Slack, Mattermost, Rocket.Chat and others show to people.
    Slack,
}

/// What is worth a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A run failed.
    Failure,
    /// The first success of an operation after it had failed.
    Recovery,
    /// An objective is missed, or met again.
    Objective,
}

impl Occasion {
    fn all() -> Vec<Self> {
        vec![Self::Failure, Self::Recovery, Self::Objective]
    }
}

/// A URL that is called after each success: whoever watches it notices when nothing comes any more (a dead man's switch).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Heartbeat {
    /// A secret, as a webhook's.
    pub url: SecretSource,
    pub after: Vec<Beat>,
}

/// The operation whose success is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Beat {
    Snapshot,
    Drill,
    Check,
    /// As schedules call it; runs of it are `forget` alone or with `prune`.
    ForgetAndPrune,
}

impl Beat {
    /// Whether `operation` is what a run of it is called.
    #[must_use]
    pub fn is(self, operation: &str) -> bool {
        match self {
            Self::Snapshot => operation == "snapshot",
            Self::Drill => operation == "drill",
            Self::Check => operation == "check",
            Self::ForgetAndPrune => operation.starts_with("forget"),
        }
    }
}

/// Often enough to be seen by whoever comes to work, seldom enough to be read.
fn a_day() -> Duration {
    Duration::from_secs(86_400)
}

/// What types cannot say of `spec`'s notifications and heartbeats.
pub(super) fn problems(spec: &Spec, found: &mut Vec<(String, String)>) {
    for (n, notification) in spec.notifications.iter().enumerate() {
        let field = format!("spec.notifications[{n}]");
        if notification.on.is_empty() {
            let message = "expected at least one of `failure`, `recovery` and `objective`";
            found.push((format!("{field}.on"), message.into()));
        }
        if notification.remind_after.is_zero() {
            found.push((format!("{field}.remindAfter"), "expected more than 0".into()));
        }
    }
    for (n, heartbeat) in spec.heartbeats.iter().enumerate() {
        if heartbeat.after.is_empty() {
            let message = "expected at least one operation, such as `snapshot`";
            found.push((format!("spec.heartbeats[{n}].after"), message.into()));
        }
    }
}

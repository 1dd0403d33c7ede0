//! Commands of the stack's own people around a data set's snapshot and its restore.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DataSet, duration};

/// What is run for a data set, in the order in which it stands there. A hook may be run twice for one snapshot (after a
/// crash), so it must be able to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hooks {
    /// Before the data set is held or read; one that fails leaves it unread, and there is no recovery point.
    #[serde(default)]
    pub before_snapshot: Vec<Hook>,
    /// As soon as it was read, or that failed: what came before is to be taken back whatever happens.
    #[serde(default)]
    pub after_snapshot: Vec<Hook>,
    /// Of an in-place restore: everything is verified beside what is live, nothing of it is live (unfenced) yet.
    #[serde(default)]
    pub before_live: Vec<Hook>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// Program and arguments; no shell is between.
    pub run: Vec<String>,
    /// Then it is killed with all that it has started, and has failed.
    #[serde(default = "default_timeout", deserialize_with = "duration::required")]
    #[schemars(with = "duration::Written")]
    pub timeout: Duration,
    /// Variables of drydock's own environment that it is given too; else it has none that could hold a secret.
    #[serde(default)]
    pub env: Vec<String>,
}

/// Long enough to stop and start an application, short enough for a database that is held meanwhile.
fn default_timeout() -> Duration {
    Duration::from_secs(300)
}

impl Hooks {
    /// All of them, each list under the key that the document has for it.
    #[must_use]
    pub fn lists(&self) -> [(&'static str, &[Hook]); 3] {
        [
            ("beforeSnapshot", &self.before_snapshot),
            ("afterSnapshot", &self.after_snapshot),
            ("beforeLive", &self.before_live),
        ]
    }

    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Hook> {
        self.before_snapshot.iter_mut().chain(&mut self.after_snapshot).chain(&mut self.before_live)
    }
}

/// What types cannot say of the hooks of the data set at `field`.
pub(super) fn problems(set: &DataSet, field: &str, found: &mut Vec<(String, String)>) {
    for (list, hooks) in set.hooks.lists() {
        for (n, hook) in hooks.iter().enumerate() {
            let field = format!("{field}.hooks.{list}[{n}]");
            if hook.run.first().is_none_or(|program| program.trim().is_empty()) {
                found.push((format!("{field}.run"), "expected a program and its arguments as a list".into()));
            }
            if hook.timeout.is_zero() {
                found.push((format!("{field}.timeout"), "expected more than 0".into()));
            }
            for (k, name) in hook.env.iter().enumerate() {
                if let Some(said) = misnamed(name) {
                    found.push((format!("{field}.env[{k}]"), said));
                }
            }
        }
    }
}

fn misnamed(name: &str) -> Option<String> {
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if !is_name {
        return Some("expected the name of an environment variable, such as `KUBECONFIG`".into());
    }
    name.starts_with("DRYDOCK_").then(|| "variables of this name are drydock's own".into())
}

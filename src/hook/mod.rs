//! Runs the commands that a Stack document names around a snapshot and before a restore goes live. Owns that a hook's
//! failure is told, that nothing of a hook outlives its time or drydock, and what a hook is told. Refuses to know what it
//! is run around: that is the verbs'.
//!
//! **Hooks must be idempotent.** `afterSnapshot` is run again for a snapshot that was cut off ([`after_cut_off`]), also
//! for data sets that it had not come to.

mod command;
mod error;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::context::Context;
use crate::stack::{DataSet, Hook, Hooks, Name, duration};

pub use error::{HookError, How, Said};

/// When a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    BeforeSnapshot,
    AfterSnapshot,
    BeforeLive,
}

impl When {
    /// The key under which the document has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::BeforeSnapshot => "beforeSnapshot",
            Self::AfterSnapshot => "afterSnapshot",
            Self::BeforeLive => "beforeLive",
        }
    }

    fn of(self, hooks: &Hooks) -> &[Hook] {
        match self {
            Self::BeforeSnapshot => &hooks.before_snapshot,
            Self::AfterSnapshot => &hooks.after_snapshot,
            Self::BeforeLive => &hooks.before_live,
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What hooks are told of what they are part of.
#[derive(Debug, Clone)]
pub struct Occasion {
    pub stack: Name,
    /// The recovery point's id.
    pub point: String,
    /// Where there is one.
    pub run: Option<String>,
}

impl Occasion {
    /// The variables of drydock's own that a hook of `data` has.
    fn variables<'a>(&'a self, data: &'a Name, when: When) -> Vec<(&'static str, &'a str)> {
        let mut all = vec![
            ("DRYDOCK_HOOK", when.word()),
            ("DRYDOCK_STACK", self.stack.as_str()),
            ("DRYDOCK_DATA", data.as_str()),
            ("DRYDOCK_POINT", self.point.as_str()),
        ];
        all.extend(self.run.as_deref().map(|run| ("DRYDOCK_RUN", run)));
        all
    }
}

/// Runs the hooks of `set` that are due `when`. Those before something run until one fails; those after a snapshot run all,
/// whatever becomes of one of them or of `cx`: what was stopped for the snapshot is to go on.
///
/// # Errors
/// The first that failed, did not end in time, or was not there.
pub async fn run(set: &DataSet, when: When, occasion: &Occasion, cx: &Context) -> Result<(), HookError> {
    let deaf;
    let (cx, all) = match when {
        When::BeforeSnapshot | When::BeforeLive => (cx, false),
        When::AfterSnapshot => {
            deaf = Context { cancel: tokio_util::sync::CancellationToken::new(), ..cx.clone() };
            (&deaf, true)
        }
    };
    let mut failed = None;
    for (n, hook) in when.of(&set.hooks).iter().enumerate() {
        let Err((how, said)) = Box::pin(command::run(hook, &occasion.variables(&set.name, when), cx)).await else {
            tracing::info!(data = %set.name, hook = %when, number = n, "a hook has run");
            continue;
        };
        let program = hook.run.first().cloned().unwrap_or_default();
        let error = HookError { data: set.name.clone(), when, number: n, program, how, said };
        if !all {
            return Err(error);
        }
        if failed.is_some() {
            let said = error.said.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(said, "{error}"); // the first is the caller's to tell
        }
        failed.get_or_insert(error);
    }
    failed.map_or(Ok(()), Err)
}

/// What undoing a snapshot that was cut off calls: runs `afterSnapshot` of all its data sets, for nobody knows any more to
/// which of them it had come.
///
/// # Errors
/// The first that failed; all were run.
pub async fn after_cut_off<'a>(
    sets: impl IntoIterator<Item = &'a DataSet>,
    occasion: &Occasion,
    cx: &Context,
) -> Result<(), HookError> {
    let mut failed = None;
    for set in sets {
        if let Err(error) = run(set, When::AfterSnapshot, occasion, cx).await {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// A hook that would be run, for `--dry-run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    pub data: Name,
    pub hook: When,
    pub run: Vec<String>,
    pub timeout_ms: u64,
}

/// For people: `beforeSnapshot of uploads: fsfreeze -f /srv (not run; at most 30s)`.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = duration::human(Duration::from_millis(self.timeout_ms));
        write!(f, "{} of {}: {} (not run; at most {limit})", self.hook, self.data, self.run.join(" "))
    }
}

/// The hooks of `sets` at the occasions `whens`, none of them run.
#[must_use]
pub fn named<'a>(sets: impl IntoIterator<Item = &'a DataSet>, whens: &[When]) -> Vec<Named> {
    let of =
        |set: &'a DataSet| whens.iter().flat_map(move |when| when.of(&set.hooks).iter().map(move |h| (set, *when, h)));
    let one = |(set, when, hook): (&DataSet, When, &Hook)| Named {
        data: set.name.clone(),
        hook: when,
        run: hook.run.clone(),
        timeout_ms: u64::try_from(hook.timeout.as_millis()).unwrap_or(u64::MAX),
    };
    sets.into_iter().flat_map(of).map(one).collect()
}

#[cfg(test)]
mod tests;

//! The stack's own commands around each data set. Owns that `afterSnapshot` is run for every data set whose
//! `beforeSnapshot` was begun, whatever happens in between, and that a hook's failure fails the snapshot.

use super::SnapshotError;
use crate::context::Context;
use crate::hook::{self, HookError, Occasion, When};
use crate::stack::DataSet;

/// Whose turn it was, and whose `afterSnapshot` is due.
#[derive(Debug)]
pub(super) struct Hooks {
    occasion: Occasion,
    due: Vec<DataSet>,
}

impl Hooks {
    pub(super) fn new(occasion: Occasion) -> Self {
        Self { occasion, due: Vec::new() }
    }

    /// Before `set` is held or read. From now on its `afterSnapshot` is due, also when one of these fails: it may have done
    /// half of what it does.
    pub(super) async fn before(&mut self, set: &DataSet, cx: &Context) -> Result<(), SnapshotError> {
        self.due.push(set.clone());
        Ok(hook::run(set, When::BeforeSnapshot, &self.occasion, cx).await?)
    }

    /// After `set` was read, or that failed.
    pub(super) async fn after<T>(
        &mut self,
        set: &DataSet,
        result: Result<T, SnapshotError>,
        cx: &Context,
    ) -> Result<T, SnapshotError> {
        self.due.retain(|due| due.name != set.name);
        both(result, hook::run(set, When::AfterSnapshot, &self.occasion, cx).await)
    }

    /// What is still due, because something failed before its turn came.
    pub(super) async fn at_last<T>(
        mut self,
        mut result: Result<T, SnapshotError>,
        cx: &Context,
    ) -> Result<T, SnapshotError> {
        while let Some(set) = self.due.pop() {
            result = self.after(&set, result, cx).await;
        }
        result
    }
}

/// What failed first is the error; the other is told in it.
fn both<T>(result: Result<T, SnapshotError>, hooked: Result<(), HookError>) -> Result<T, SnapshotError> {
    match (result, hooked) {
        (result, Ok(())) => result,
        (Ok(_), Err(hook)) => Err(hook.into()),
        (Err(first), Err(hook)) => {
            let said = hook.said.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(said, "{hook}");
            Err(SnapshotError::AlsoHook { first: Box::new(first), hook: Box::new(hook) })
        }
    }
}

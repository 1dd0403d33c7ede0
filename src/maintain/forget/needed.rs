//! Which recovery points runs that are not over still need: a drill that is resumed restores the point that its plan names,
//! and a restore that waits for a person the one it came from.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::context::Context;
use crate::point::{Home, PointId};
use crate::run::{Plan, RunError, RunId, State, journal, leaders};

/// Each of these points, and a run that needs it. Runs that are not over stand in the leases.
///
/// # Errors
/// When the leases or journals cannot be asked: what is not known is never taken for not needed.
pub async fn needed(home: &Home, cx: &Context) -> Result<BTreeMap<PointId, RunId>, RunError> {
    let journals = journal::of(&home.stack, &home.store);
    let leaders = leaders(&home.store, cx.clock.now()).await?;
    let mut needed = BTreeMap::new();
    for run in leaders.iter().flat_map(|leader| &leader.runs).filter_map(|run| run.parse::<RunId>().ok()) {
        let entries = match journals.read(&run).await {
            Ok(entries) => entries.unwrap_or_default(), // it has not begun, and does not when its point is gone
            // Nobody can go on with a run whose plan cannot be read.
            Err(RunError::Damaged { reason, .. }) => {
                tracing::warn!(%run, reason, "whether a run still needs a recovery point cannot be read");
                continue;
            }
            Err(error) => return Err(error),
        };
        let Ok(state) = State::of(&entries) else { continue };
        if state.outcome.is_none() {
            needed.extend(named(&state.plan).into_iter().map(|point| (point, run.clone())));
        }
    }
    Ok(needed)
}

/// The recovery points in what a plan tells its steps, wherever they stand there: which operation calls them what is not
/// for `forget` to know.
fn named(plan: &Plan) -> Vec<PointId> {
    fn collect(value: &Value, into: &mut Vec<PointId>) {
        match value {
            Value::String(text) => into.extend(text.parse::<PointId>().ok()),
            Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut points = Vec::new();
    plan.steps().for_each(|step| collect(&step.parameters, &mut points));
    points
}

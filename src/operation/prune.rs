//! Prune's step: gives the space back, and what interrupted writes have left in the store.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::OperationError;
use super::request::alone;
use crate::context::Context;
use crate::failure::Failure;
use crate::point::Home;
use crate::repository::prune::PruneSummary;
use crate::repository::{Lock, LockKind, RepositoryError};
use crate::run::{Phase, StepError};
use crate::stack::MaxUnused;
use crate::storage::Swept;

pub const WORD: &str = "prune";

/// What is younger may be what somebody is just writing: no single object takes a day.
const LEFTOVER_AGE: Duration = Duration::from_hours(24);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    /// As the command line has it.
    max_unused: String,
}

/// What was given back.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    #[serde(flatten)]
    pub summary: PruneSummary,
    /// What interrupted writes had left behind in the store.
    pub swept_objects: u64,
    pub swept_bytes: u64,
}

pub fn phase(max_unused: MaxUnused) -> Phase {
    alone(WORD, json!(Told { max_unused: max_unused.to_string() }))
}

pub async fn apply(home: &Home, told: &Told, wait: Duration, cx: &Context) -> Result<Pruned, StepError> {
    let limit: MaxUnused = told.max_unused.parse().map_err(|error: crate::stack::InvalidMaxUnused| {
        let source = serde::de::Error::custom(error);
        StepError::new(OperationError::Parameters { step: WORD.into(), source })
    })?;
    let work = async |lock: &Lock| -> Result<Pruned, RepositoryError> {
        let plan = home.repository.plan_prune(lock, limit, cx).await?;
        let summary = home.repository.prune(plan, lock, cx).await?;
        let Swept { objects: swept_objects, bytes: swept_bytes } = sweep(home).await;
        Ok(Pruned { summary, swept_objects, swept_bytes })
    };
    home.locked(LockKind::Exclusive, wait, cx, work).await.map_err(StepError::new)
}

/// The repository is pruned already; leftovers that stay cost space and nothing else.
async fn sweep(home: &Home) -> Swept {
    match home.store.sweep(LEFTOVER_AGE).await {
        Ok(swept) => swept,
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            tracing::warn!(%error, hint, "what interrupted writes have left could not be removed");
            Swept::default()
        }
    }
}

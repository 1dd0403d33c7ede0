//! Asks every source what it has, and opens all databases' exported snapshots: from here on they stand still.

use std::collections::BTreeMap;

use super::held::Held;
use super::hooks::Hooks;
use super::{Forecast, SnapshotError, SnapshotPlan};
use crate::context::Context;
use crate::data::postgres::OpenSource;
use crate::data::{DataError, Estimate, postgres, redis, volume};
use crate::hook::Occasion;
use crate::point::PointId;
use crate::stack::{DataKind, DataSet, Name, VolumeSpec};

/// All that is needed to begin, and a snapshot that has begun: databases are held, and hooks may be due.
#[must_use]
#[derive(Debug)]
pub struct Prepared {
    pub plan: SnapshotPlan,
    pub point: PointId,
    pub forecast: Forecast,
    pub(super) databases: Databases,
    pub(super) hooks: Hooks,
}

/// The open databases, by data set. While they are, the servers' vacuum is held back.
#[derive(Debug, Default)]
pub(super) struct Databases(BTreeMap<Name, OpenSource>);

impl Databases {
    pub fn get(&self, name: &Name) -> Option<&OpenSource> {
        self.0.get(name)
    }

    /// What tells when one of them must be let go.
    pub fn held(&self) -> Held {
        Held(self.0.iter().map(|(name, source)| (name.clone(), source.held())).collect())
    }

    /// Lets go of one that nobody asks any more.
    pub async fn close_one(&mut self, name: &Name) {
        if let Some(source) = self.0.remove(name) {
            source.close().await;
        }
    }

    pub async fn close(self) {
        for source in self.0.into_values() {
            source.close().await;
        }
    }
}

/// Prepares what `plan` says, which begins the snapshot: `beforeSnapshot` of databases is run, and what this returns is to be
/// given to [`snapshot`](super::snapshot()), which runs what is due after it. Where this fails it is run here.
///
/// # Errors
/// The data set that cannot be reached or read, by name; the hook that failed.
pub async fn prepare(plan: SnapshotPlan, cx: &Context) -> Result<Prepared, SnapshotError> {
    let point = plan.point.unwrap_or_else(PointId::random);
    let occasion = Occasion { stack: plan.stack.clone(), point: point.to_string(), run: plan.run.clone() };
    let mut hooks = Hooks::new(occasion);
    match Box::pin(open(&plan, Some(&mut hooks), cx)).await {
        Ok((forecast, databases)) => Ok(Prepared { plan, point, forecast, databases, hooks }),
        Err(error) => hooks.at_last(Err(error), cx).await,
    }
}

/// What a snapshot by `plan` would read; stores nothing, runs no hook.
///
/// # Errors
/// As [`prepare`].
pub async fn forecast(plan: &SnapshotPlan, cx: &Context) -> Result<Forecast, SnapshotError> {
    let (forecast, databases) = Box::pin(open(plan, None, cx)).await?;
    databases.close().await;
    Ok(forecast)
}

/// Volumes and caches are asked before any database is opened, because that can take a while.
async fn open(
    plan: &SnapshotPlan,
    mut hooks: Option<&mut Hooks>,
    cx: &Context,
) -> Result<(Forecast, Databases), SnapshotError> {
    let mut estimates = Vec::new();
    for set in plan.sets.iter().filter(|set| !matches!(set.kind, DataKind::Postgres(_))) {
        let failed = |source| SnapshotError::Estimate { data: set.name.clone(), source: Box::new(source) };
        if let Some(run) = unfinished(set, cx).await.map_err(failed)? {
            return Err(SnapshotError::Unfinished { data: set.name.clone(), run });
        }
        estimates.push((set.name.clone(), estimate(set, cx).await.map_err(failed)?));
    }
    let cx = &cx.stoppable();
    let mut databases = Databases::default();
    for set in &plan.sets {
        if let DataKind::Postgres(spec) = &set.kind {
            let failed = |e| SnapshotError::Data { data: set.name.clone(), source: Box::new(DataError::Postgres(e)) };
            let open = async {
                if let Some(hooks) = &mut hooks {
                    hooks.before(set, cx).await?;
                }
                postgres::open(spec, cx).await.map_err(failed)
            };
            let source = databases.held().during(cx, open).await?; // its locks may be long in coming
            estimates.push((set.name.clone(), source.estimate()));
            databases.0.insert(set.name.clone(), source);
        }
    }
    let in_order = |(name, _): &(Name, Estimate)| plan.sets.iter().position(|set| set.name == *name);
    estimates.sort_by_key(in_order);
    Ok((Forecast::of(plan, &estimates), databases))
}

async fn estimate(set: &DataSet, cx: &Context) -> Result<Estimate, DataError> {
    match &set.kind {
        DataKind::Postgres(_) => Ok(Estimate::default()), // its own figures come with its exported snapshot
        DataKind::Redis(spec) => Ok(redis::estimate(spec, cx).await?),
        DataKind::Volume(spec) => Ok(volume::estimate(folder(spec)?, spec, cx).await?),
    }
}

/// The in-place restore that was cut short in a volume: what lies there then is neither the former content nor the new.
async fn unfinished(set: &DataSet, cx: &Context) -> Result<Option<String>, DataError> {
    let DataKind::Volume(spec) = &set.kind else { return Ok(None) };
    let left = volume::unfinished(folder(spec)?, cx).await?;
    Ok(left.into_iter().next().map(|run| run.run))
}

/// The volume's folder on this machine.
pub fn folder(spec: &VolumeSpec) -> Result<&std::path::Path, DataError> {
    spec.path.as_deref().ok_or_else(|| DataError::NeedsCluster { claim: spec.claim.clone().unwrap_or_default() })
}

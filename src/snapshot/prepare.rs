//! Asks every source what it has, and opens all databases' exported snapshots: from here on they stand still.

use std::collections::BTreeMap;

use super::held::Held;
use super::{Forecast, SnapshotError, SnapshotPlan};
use crate::context::Context;
use crate::data::postgres::OpenSource;
use crate::data::{DataError, Estimate, postgres, redis, volume};
use crate::stack::{DataKind, DataSet, Name, VolumeSpec};

/// All that is needed to begin.
#[derive(Debug)]
pub struct Prepared {
    pub plan: SnapshotPlan,
    pub forecast: Forecast,
    pub(super) databases: Databases,
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

impl Prepared {
    /// Lets go of the databases without a snapshot, as after a dry run.
    pub async fn close(self) {
        self.databases.close().await;
    }
}

/// Prepares what `plan` says. Volumes and caches are asked before any database is opened, because that can take a while.
///
/// # Errors
/// The data set that cannot be reached or read, by name.
pub async fn prepare(plan: SnapshotPlan, cx: &Context) -> Result<Prepared, SnapshotError> {
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
            let open = async { postgres::open(spec, cx).await.map_err(failed) };
            let source = databases.held().during(cx, open).await?; // its locks may be long in coming
            estimates.push((set.name.clone(), source.estimate()));
            databases.0.insert(set.name.clone(), source);
        }
    }
    let in_order = |(name, _): &(Name, Estimate)| plan.sets.iter().position(|set| set.name == *name);
    estimates.sort_by_key(in_order);
    let forecast = Forecast::of(&plan, &estimates);
    Ok(Prepared { plan, forecast, databases })
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

//! Reads the data sets into the repository, one after the other in the plan's order.

use std::time::{Duration, Instant};

use super::hooks::Hooks;
use super::prepare::{Databases, folder};
use super::{Forecast, Run, SnapshotError, references};
use crate::data::{Captured, DataError, redis, volume};
use crate::stack::{DataKind, DataSet};

/// One data set, stored but not yet named by any snapshot.
#[derive(Debug)]
pub struct Read {
    pub set: DataSet,
    pub captured: Captured,
    /// How large it is, whatever of it had to be read.
    pub bytes: u64,
    pub took: Duration,
}

/// Reads all of them; the first that fails ends it.
pub async fn everything(
    run: &Run<'_>,
    databases: &mut Databases,
    hooks: &mut Hooks,
    forecast: &Forecast,
) -> Result<Vec<Read>, SnapshotError> {
    let mut read = Vec::new();
    for set in &run.plan.sets {
        run.go_on()?;
        let begun = Instant::now();
        let failed = |source| SnapshotError::Data { data: set.name.clone(), source: Box::new(source) };
        let captured = async {
            if !matches!(set.kind, DataKind::Postgres(_)) {
                hooks.before(set, run.cx).await?; // of a database before it was opened
            }
            one(run, set, databases).await.map_err(failed)
        };
        let captured = Box::pin(captured).await;
        let captured = hooks.after(set, captured, run.cx).await?;
        let took = begun.elapsed();
        let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(data = %set.name, bytes = captured.bytes, items = captured.items, elapsed_ms, "a data set is read");
        if matches!(set.kind, DataKind::Postgres(_)) && !references::need(run, &set.name) {
            databases.close_one(&set.name).await;
        }
        let bytes = match set.kind {
            // What is unchanged was not read; the walk that estimated it has seen all of it.
            DataKind::Volume(_) => captured.bytes.max(forecast.bytes_of(&set.name)),
            DataKind::Postgres(_) | DataKind::Redis(_) => captured.bytes,
        };
        read.push(Read { set: set.clone(), captured, bytes, took });
    }
    Ok(read)
}

async fn one(run: &Run<'_>, set: &DataSet, databases: &Databases) -> Result<Captured, DataError> {
    match &set.kind {
        DataKind::Postgres(_) => {
            let source = databases.get(&set.name).expect("prepare opened every database of the plan");
            Ok(source.read(&run.writer, run.cx).await?)
        }
        DataKind::Redis(spec) => Ok(redis::capture(spec, &run.writer, run.cx).await?),
        DataKind::Volume(spec) => {
            let parent = run.plan.former.get(&set.name).map(|member| member.tree);
            let options = volume::CaptureOptions { reread: run.plan.reread, ..volume::CaptureOptions::default() };
            let repository = &run.home.repository;
            let (folder, parent) = (folder(spec)?, parent.as_ref());
            Ok(volume::capture(folder, spec, repository, &run.writer, parent, &options, run.cx).await?)
        }
    }
}

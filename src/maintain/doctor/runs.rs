//! What restores have left: a snapshot refuses a mixture, and what lies beside takes space.

use crate::context::Context;
use crate::data::{DataError, postgres, volume};
use crate::finding::Finding;
use crate::point::store_spec;
use crate::run::{journal, restores};
use crate::stack::{DataKind, DataSet, Stack};

/// Runs by their journals; the store's own findings say when it cannot be asked.
pub async fn look(stack: &Stack) -> Vec<Finding> {
    let Ok(spec) = store_spec(stack) else { return Vec::new() };
    let Ok(store) = crate::storage::open(&spec).await else { return Vec::new() };
    let restores = match restores::all(&*journal::of(stack, &store)).await {
        Ok(restores) => restores,
        Err(error) => return vec![super::home::problem("what in-place restores have left cannot be told", &error)],
    };
    let unfinished = restores.iter().filter(|restore| restore.stage().is_unfinished());
    unfinished
        .map(|restore| {
            let run = &restore.run;
            let fix = format!("`drydock restore -f FILE --resume {run}`, or `--undo {run}`");
            if restore.stage().is_mixed() {
                let detail =
                    format!("what is live may be a mixture: the in-place restore {run} was cut short, or is under way");
                Finding::problem("restores", detail, fix)
            } else {
                let detail =
                    format!("the in-place restore {run} was cut short, or is under way; nothing live was touched");
                Finding::warning("restores", detail, fix)
            }
        })
        .collect()
}

/// What one data set still has of restores that were cut short.
pub async fn left_in(set: &DataSet, cx: &Context) -> Vec<Finding> {
    match left(set, cx).await {
        Ok(left) => left,
        Err(DataError::PostgresRestore(_)) => Vec::new(), // a server that cannot be asked has said so already
        Err(error) => {
            let detail = format!("what restores have left here cannot be told: {error}");
            vec![Finding::problem(set.name.as_str(), detail, "look into the folder's `.drydock`")]
        }
    }
}

async fn left(set: &DataSet, cx: &Context) -> Result<Vec<Finding>, DataError> {
    let name = set.name.as_str();
    let fix = "see `drydock restore -f FILE --list`; the next in-place restore removes it, too";
    match &set.kind {
        DataKind::Volume(spec) => {
            let Some(folder) = &spec.path else { return Ok(Vec::new()) };
            let left = volume::unfinished(folder, cx).await?;
            let say = |run: volume::InPlaceRun| format!("the in-place restore {} was cut short here", run.run);
            Ok(left.into_iter().map(|run| Finding::problem(name, say(run), fix)).collect())
        }
        DataKind::Postgres(spec) => {
            let left = postgres::restore::unfinished(spec).await?;
            let say =
                |name: String| format!("database `{name}` was left by a restore that was cut short, or is under way");
            Ok(left.into_iter().map(|one| Finding::warning(name, say(one.name), fix)).collect())
        }
        DataKind::Redis(_) => Ok(Vec::new()),
    }
}

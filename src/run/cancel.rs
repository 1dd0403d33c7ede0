//! `cancel/<run>`: the wish of somebody else that a run should end, where its holder sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{RunError, RunId, Stop, Why};
use crate::storage::{SharedStore, StorageError};

/// How soon a holder hears of it; a request each costs nothing against what an operation asks of the store.
const EVERY: Duration = Duration::from_secs(3);

const FOLDER: &str = "cancel/";

fn key(run: &RunId) -> String {
    format!("{FOLDER}{run}")
}

/// Who wants which run to end, where nobody has heard of it yet.
///
/// # Errors
/// When the store cannot be asked.
pub async fn asked(store: &SharedStore) -> Result<BTreeMap<RunId, String>, RunError> {
    let mut asked = BTreeMap::new();
    for meta in store.list(FOLDER).await.map_err(|source| RunError::List { source })? {
        let Some(run) = meta.key.strip_prefix(FOLDER).and_then(|run| run.parse::<RunId>().ok()) else { continue };
        match store.get(&meta.key).await {
            Ok(by) => _ = asked.insert(run, String::from_utf8_lossy(&by).into_owned()),
            Err(StorageError::NotFound { .. }) => {} // it was heard
            Err(source) => return Err(RunError::Store { run: run.to_string(), source }),
        }
    }
    Ok(asked)
}

/// Asks whoever is at the run to end it and take back what it did; `by` is who wants that.
///
/// # Errors
/// When the store cannot be written.
pub async fn cancel(store: &SharedStore, run: &RunId, by: &str) -> Result<(), RunError> {
    let put = store.put(&key(run), vec![by.to_owned().into()]).await;
    put.map_err(|source| RunError::Store { run: run.to_string(), source })
}

/// Looks for that wish while the guard lives.
#[must_use]
pub fn watch(store: &SharedStore, run: &RunId, stop: &Stop) -> DropGuard {
    let (store, run, stop, done) = (store.clone(), run.clone(), stop.clone(), CancellationToken::new());
    let until = done.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = until.cancelled() => return,
            }
            match store.get(&key(&run)).await {
                Ok(by) => return stop.stop(Why::Abandoned { by: String::from_utf8_lossy(&by).into_owned() }),
                Err(StorageError::NotFound { .. }) => {}
                Err(error) => tracing::debug!(%error, %run, "whether somebody wants the run to end cannot be asked"),
            }
        }
    });
    done.drop_guard()
}

/// The wish is fulfilled, or the run is over before it was heard.
pub async fn heard(store: &SharedStore, run: &RunId) {
    if let Err(error) = store.delete(&key(run)).await {
        // It names a run that is over, and nobody looks at it again.
        tracing::debug!(%error, %run, "the wish that a run should end stays in the store");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::testing::MemoryStore;

    #[tokio::test]
    async fn a_wish_is_seen_until_it_is_heard() {
        let store: SharedStore = MemoryStore::new();
        let run: RunId = "drill-shop-1".parse().unwrap();
        assert_eq!(asked(&store).await.unwrap(), BTreeMap::new());
        cancel(&store, &run, "root@papg-0").await.unwrap();
        assert_eq!(asked(&store).await.unwrap(), [(run.clone(), "root@papg-0".to_owned())].into());
        heard(&store, &run).await;
        assert_eq!(asked(&store).await.unwrap(), BTreeMap::new());
    }
}

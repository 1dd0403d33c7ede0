//! Who has the right to act, as far as can be seen without writing: for whoever shows runs, never for whoever acts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::lease::{Document, FORMAT_VERSION};
use super::plan::RunId;
use super::{RunError, TTL};
use crate::process::Process;
use crate::storage::{SharedStore, StorageError};

const FOLDER: &str = "lease/";
/// Between this machine's clock and the store's: what is renewed every twelve seconds is not shown as left behind because
/// of a minute's difference.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(2);

/// Whoever has a right to act, or had it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// `PID 7 on papg-0 by root since 2026-06-15T12:00:00Z`.
    pub holder: String,
    pub token: u64,
    pub since: Timestamp,
    /// The run that it is, or was, held for, and those of former holders that are not over.
    pub runs: Vec<String>,
    /// It was neither given back nor left behind.
    pub is_live: bool,
    /// It was given back: what is open then was left on purpose.
    pub gave_back: bool,
}

impl Leader {
    /// Whether it brings this run to its end.
    #[must_use]
    pub fn leads(&self, run: &RunId) -> bool {
        self.is_live && self.has(run)
    }

    /// Whether it left this run, which it led under the fencing token `token`, for the next one.
    #[must_use]
    pub fn parked(&self, run: &RunId, token: u64) -> bool {
        self.gave_back && self.token == token && self.has(run)
    }

    fn has(&self, run: &RunId) -> bool {
        self.runs.iter().any(|one| one == run.as_str())
    }
}

/// The newest lease of each kind.
///
/// # Errors
/// When the store cannot be asked, or holds a lease that this program does not understand.
pub async fn leaders(store: &SharedStore, now: Timestamp) -> Result<Vec<Leader>, RunError> {
    let listed = store.list(FOLDER).await.map_err(|source| RunError::Lease { source })?;
    let mut newest: BTreeMap<String, (u64, String, Timestamp)> = BTreeMap::new();
    for meta in listed {
        let Some((folder, name)) = meta.key.rsplit_once('/') else { continue };
        let Some(token) = name.strip_suffix(".json").and_then(|token| token.parse::<u64>().ok()) else { continue };
        let found = (token, meta.key.clone(), meta.modified);
        let former = newest.entry(folder.to_owned()).or_insert_with(|| found.clone());
        if former.0 < token {
            *former = found;
        }
    }
    let mut leaders = Vec::new();
    for (_, key, modified) in newest.into_values() {
        match store.get(&key).await {
            Ok(json) => {
                let document = read(&json).map_err(|reason| RunError::LeaseDamaged { key, reason })?;
                leaders.push(Leader::of(document, modified, now));
            }
            Err(StorageError::NotFound { .. }) => {} // the next one has tidied it away
            Err(source) => return Err(RunError::Lease { source }),
        }
    }
    Ok(leaders)
}

fn read(json: &[u8]) -> Result<Document, String> {
    let document: Document = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    match document.format_version {
        FORMAT_VERSION => Ok(document),
        found => Err(format!("it has format version {found}, this program knows {FORMAT_VERSION}")),
    }
}

impl Leader {
    fn of(document: Document, modified: Timestamp, now: Timestamp) -> Self {
        let ttl = SignedDuration::try_from(TTL).unwrap_or(SignedDuration::MAX);
        let is_dead = Process::this().knows_dead(&document.process, document.pid, modified);
        let is_fresh = now.duration_since(modified) <= ttl.saturating_add(TOLERANCE);
        let holder = document.to_string();
        let Document { token, run, since, open: mut runs, released, .. } = document;
        if !runs.contains(&run) {
            runs.push(run);
        }
        let is_live = !released && !is_dead && is_fresh;
        Self { holder, token, since, runs, is_live, gave_back: released }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::context::Context;
    use crate::repository::testing::MemoryStore;
    use crate::run::{Lease, Scope};

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_seen_as_long_as_it_is_held_and_who_had_it_afterwards() {
        let memory = MemoryStore::new();
        let store: SharedStore = memory.clone();
        let clock: Arc<dyn Clock> = memory.clock.clone();
        let cx = Context { clock, ..Context::default() };
        assert_eq!(leaders(&store, cx.clock.now()).await.unwrap(), []);
        let lease = Lease::acquire(&store, Scope::Act, "snapshot-shop-1", Duration::ZERO, &cx, |_| ()).await.unwrap();
        let run: RunId = "snapshot-shop-1".parse().unwrap();
        let seen = leaders(&store, cx.clock.now()).await.unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].token, seen[0].holder.clone()), (lease.token(), lease.holder().to_string()));
        assert!(seen[0].leads(&run) && !seen[0].leads(&"snapshot-shop-2".parse().unwrap()));
        let late = cx.clock.now() + SignedDuration::from_mins(4);
        assert!(!leaders(&store, late).await.unwrap()[0].leads(&run), "what is not renewed is left behind");
        assert!(!seen[0].parked(&run, lease.token()), "it is under way");
        lease.release().await.unwrap();
        let seen = leaders(&store, cx.clock.now()).await.unwrap();
        assert_eq!((seen[0].is_live, seen[0].runs.clone()), (false, vec!["snapshot-shop-1".to_owned()]));
        assert!(seen[0].parked(&run, seen[0].token), "it was left on purpose");
        assert!(!seen[0].parked(&run, seen[0].token + 1), "not by whoever led it last");
    }

    #[tokio::test]
    async fn rights_of_several_kinds_are_seen_each_and_a_newer_format_is_refused() {
        let memory = MemoryStore::new();
        let store: SharedStore = memory.clone();
        let document = |token: u64, run: &str, version: u32| {
            format!(
                r#"{{"formatVersion":{version},"token":{token},"process":"elsewhere/drydock-0-1-2-3","pid":7,"username":"root",
                "run":"{run}","since":"2026-11-23T12:00:00Z","open":["{run}","restore-shop-0"],"released":false,"nonce":"0"}}"#
            )
        };
        for (key, token, run) in [
            ("lease/000000000009.json", 9, "snapshot-shop-8"),
            ("lease/000000000010.json", 10, "snapshot-shop-9"),
            ("lease/check/000000000002.json", 2, "check-shop-1"),
        ] {
            store.put(key, vec![document(token, run, 1).into()]).await.unwrap();
        }
        store.put("lease/clock", vec!["0".into()]).await.unwrap();
        let now = memory.clock.now();
        let mut seen = leaders(&store, now).await.unwrap();
        seen.sort_by_key(|leader| leader.token);
        let runs: Vec<&[String]> = seen.iter().map(|leader| leader.runs.as_slice()).collect();
        assert_eq!(runs, [["check-shop-1", "restore-shop-0"], ["snapshot-shop-9", "restore-shop-0"]]);
        store.put("lease/drill/000000000001.json", vec![document(1, "drill-shop-1", 2).into()]).await.unwrap();
        let said = leaders(&store, now).await.unwrap_err().to_string();
        assert!(said.contains("lease/drill/000000000001.json: it has format version 2"), "{said}");
    }
}

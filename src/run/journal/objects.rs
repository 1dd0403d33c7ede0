//! `runs/<run>/<number>.json`: one object an entry, created only if absent, so that of two writers one is told.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::super::RunError;
use super::super::event::Entry;
use super::super::plan::RunId;
use super::recent::{self, KINDS};
use super::{FOLDER, Journal, Journals, json, parse};
use crate::stack::Name;
use crate::storage::{Created, ObjectMeta, SharedStore, StorageError};

/// How many entries are read at a time; a round trip each would make a long journal slow.
const READERS: usize = 8;

/// Journals in a bucket.
#[derive(Debug, Clone)]
pub struct ObjectJournals {
    store: SharedStore,
}

#[derive(Debug)]
struct ObjectJournal {
    store: SharedStore,
    run: RunId,
}

impl ObjectJournals {
    #[must_use]
    pub fn new(store: SharedStore) -> Self {
        Self { store }
    }

    /// The runs whose ids begin with `prefix`.
    async fn listed(&self, prefix: &str) -> Result<Vec<RunId>, RunError> {
        let listed = self.store.list(&format!("{FOLDER}{prefix}")).await.map_err(|source| RunError::List { source })?;
        let first = |meta: &ObjectMeta| Some(meta.key.strip_prefix(FOLDER)?.strip_suffix("/000000.json")?.to_owned());
        Ok(listed.iter().filter_map(first).filter_map(|run| run.parse().ok()).collect())
    }

    async fn keys(&self, run: &RunId) -> Result<Vec<String>, RunError> {
        let listed = self.store.list(&format!("{FOLDER}{run}/")).await;
        let listed = listed.map_err(|source| RunError::Store { run: run.to_string(), source })?;
        let mut keys: Vec<String> = listed.into_iter().map(|meta| meta.key).collect();
        keys.sort();
        Ok(keys)
    }
}

/// In order when sorted as text.
fn key(run: &RunId, number: u64) -> String {
    format!("{FOLDER}{run}/{number:06}.json")
}

async fn create(store: &SharedStore, run: &RunId, entry: &Entry) -> Result<Created, RunError> {
    let created = store.create(&key(run, entry.number), Bytes::from(json(entry))).await;
    created.map_err(|source| RunError::Store { run: run.to_string(), source })
}

#[async_trait]
impl Journal for ObjectJournal {
    fn run(&self) -> &RunId {
        &self.run
    }

    async fn append(&mut self, entry: &Entry) -> Result<(), RunError> {
        match create(&self.store, &self.run, entry).await? {
            Created::New => Ok(()),
            Created::Exists => Err(RunError::Contended { run: self.run.to_string() }),
        }
    }
}

#[async_trait]
impl Journals for ObjectJournals {
    async fn begin(&self, run: &RunId, first: &Entry) -> Result<Option<Box<dyn Journal>>, RunError> {
        Ok(match create(&self.store, run, first).await? {
            Created::New => Some(Box::new(ObjectJournal { store: self.store.clone(), run: run.clone() })),
            Created::Exists => None,
        })
    }

    async fn open(&self, run: &RunId) -> Result<Option<(Vec<Entry>, Box<dyn Journal>)>, RunError> {
        let journal = || Box::new(ObjectJournal { store: self.store.clone(), run: run.clone() });
        Ok(self.read(run).await?.map(|entries| (entries, journal() as Box<dyn Journal>)))
    }

    async fn read(&self, run: &RunId) -> Result<Option<Vec<Entry>>, RunError> {
        let damaged = |reason| RunError::Damaged { run: run.to_string(), reason };
        let keys = self.keys(run).await?;
        if keys.first() != Some(&key(run, 0)) {
            return Ok(None); // none, or what a removal that was cut short has left
        }
        if let Some((number, _)) = (0..).zip(&keys).find(|(number, found)| **found != key(run, *number)) {
            return Err(damaged(format!("its entry {number} is missing")));
        }
        let read = stream::iter(keys).map(async |key| match self.store.get(&key).await {
            Ok(json) => parse(&json).map_err(|reason| damaged(format!("{key}: {reason}"))),
            Err(source) => Err(RunError::Store { run: run.to_string(), source }),
        });
        let entries: Vec<Entry> = read.buffered(READERS).try_collect().await?;
        Ok(Some(entries))
    }

    async fn list(&self) -> Result<Vec<RunId>, RunError> {
        self.listed("").await
    }

    /// An entry is an object, so a listing of ten thousand runs is a hundred pages: days, months and years are asked for
    /// instead, until there are runs of every kind.
    async fn recent(&self, stack: &Name, now: Timestamp) -> Result<Vec<RunId>, RunError> {
        let kinds = KINDS.map(|kind| async move {
            for prefixes in recent::prefixes(kind, stack, now) {
                let listed = prefixes.iter().map(|prefix| self.listed(prefix));
                let found: Vec<RunId> = try_join_all(listed).await?.into_iter().flatten().collect();
                if !found.is_empty() {
                    return Ok(found);
                }
            }
            Ok::<_, RunError>(Vec::new())
        });
        Ok(try_join_all(kinds).await?.into_iter().flatten().collect())
    }

    async fn remove(&self, run: &RunId) -> Result<(), RunError> {
        let failed = |source: StorageError| RunError::Store { run: run.to_string(), source };
        // The first entry goes first: without it there is no run, whatever else is left.
        for key in self.keys(run).await? {
            self.store.delete(&key).await.map_err(failed)?;
        }
        Ok(())
    }
}

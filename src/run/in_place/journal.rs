//! A run's journal in the store: `runs/<run>/<number>.json`, one object an entry, created only if absent.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, RunError, State};
use crate::storage::{Created, SharedStore};

/// What is written; what is newer is refused.
const FORMAT_VERSION: u32 = 1;
const FOLDER: &str = "runs/";
/// Small objects asked for at once: hides a store's latency and stays far below its limits.
const LOADS: usize = 8;
/// Runs that are over stay this many, for whoever wants to know what happened; a snapshot reads one small object of each.
const KEPT: usize = 100;
/// How the ids of in-place restores begin; other runs have journals of another format beside theirs.
pub const PREFIX: &str = "restore-";

/// One object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    format_version: u32,
    time: Timestamp,
    /// Random: when an answer is lost on the way, the content is how the writer knows its own entry.
    token: String,
    entry: Event,
}

/// A run that was begun, and what its journal adds up to.
#[derive(Debug, Clone)]
pub struct Journal {
    store: SharedStore,
    run: String,
    /// The number of the next entry.
    next: u32,
    state: State,
}

impl Journal {
    /// Begins a journal with `event`; it is stored when this returns.
    ///
    /// # Errors
    /// When the store cannot be written, or knows the run already.
    pub async fn begin(store: &SharedStore, run: &str, event: &Event, now: Timestamp) -> Result<Self, RunError> {
        let damaged = |reason| RunError::Damaged { run: run.to_owned(), reason };
        let state = State::begin(event).map_err(damaged)?;
        let mut journal = Self { store: store.clone(), run: run.to_owned(), next: 0, state };
        journal.store(event, now).await?;
        Ok(journal)
    }

    /// Stores `event`; it counts only when this has returned.
    ///
    /// # Errors
    /// When the store cannot be written; `Contended` when another process wrote the next entry.
    pub async fn append(&mut self, event: &Event, now: Timestamp) -> Result<(), RunError> {
        let mut state = self.state.clone();
        state.apply(event).map_err(|reason| RunError::Damaged { run: self.run.clone(), reason })?;
        self.store(event, now).await?;
        self.state = state;
        Ok(())
    }

    async fn store(&mut self, event: &Event, now: Timestamp) -> Result<(), RunError> {
        let token = format!("{:016x}", rand::random::<u64>());
        let entry = Entry { format_version: FORMAT_VERSION, time: now, token, entry: event.clone() };
        let json = serde_json::to_vec(&entry).expect("an entry has only names, texts and numbers");
        let failed = |source| RunError::Store { run: self.run.clone(), source };
        match self.store.create(&key(&self.run, self.next), Bytes::from(json)).await.map_err(failed)? {
            Created::New => self.next += 1,
            Created::Exists => return Err(RunError::Contended { run: self.run.clone() }),
        }
        Ok(())
    }

    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// In order when sorted as text.
fn key(run: &str, number: u32) -> String {
    format!("{FOLDER}{run}/{number:06}.json")
}

/// The keys of each run's entries, the run with the oldest name first.
async fn keys(store: &SharedStore) -> Result<BTreeMap<String, Vec<String>>, RunError> {
    let mut runs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let listed = store.list(FOLDER).await.map_err(|source| RunError::List { source })?;
    for key in listed.into_iter().map(|meta| meta.key) {
        let run = key.strip_prefix(FOLDER).and_then(|rest| rest.split_once('/'));
        if let Some((run, _)) = run.filter(|(run, _)| run.starts_with(PREFIX)) {
            runs.entry(run.to_owned()).or_default().push(key.clone());
        }
    }
    runs.values_mut().for_each(|keys| keys.sort());
    Ok(runs)
}

/// Every run that was not discarded, the oldest name first. Of the others the newest entry alone is read.
///
/// # Errors
/// When the store cannot be asked, or holds what this program does not understand.
pub async fn all(store: &SharedStore) -> Result<Vec<Journal>, RunError> {
    where_the_newest(store, |event| *event != Event::Discarded {}).await
}

/// The runs whose newest entry is `wanted`; they alone are read whole.
async fn where_the_newest(store: &SharedStore, wanted: impl Fn(&Event) -> bool) -> Result<Vec<Journal>, RunError> {
    let mut newest = stream::iter(keys(store).await?)
        .map(|(run, keys)| async move {
            let newest = keys.last().expect("a run is listed by its entries");
            let event = entry(store, &run, newest).await?;
            Ok::<_, RunError>((run, keys, event))
        })
        .buffered(LOADS);
    let mut journals = Vec::new();
    while let Some(found) = newest.next().await {
        let (run, keys, event) = found?;
        if wanted(&event) {
            journals.push(read(store, run, &keys).await?);
        }
    }
    Ok(journals)
}

/// The runs that may have left a mixture: nothing that is live now may be taken for whole.
///
/// # Errors
/// As [`all`].
pub async fn open(store: &SharedStore) -> Result<Vec<Journal>, RunError> {
    where_the_newest(store, Event::leaves_a_mixture).await
}

/// The runs that are over, but for the newest [`KEPT`]: their journals are history.
///
/// # Errors
/// As [`all`].
pub async fn history(store: &SharedStore) -> Result<Vec<String>, RunError> {
    let mut over: BTreeSet<String> = keys(store).await?.into_keys().collect();
    for journal in all(store).await?.iter().filter(|journal| !journal.state.is_over()) {
        over.remove(journal.run());
    }
    let older = over.len().saturating_sub(KEPT);
    Ok(over.into_iter().take(older).collect()) // names begin alike, and go on with the instant
}

/// Removes the journals of `runs`, which [`history`] has named. The entry that says that a run is over goes last: a journal
/// that is half removed is no run that somebody must end.
///
/// # Errors
/// When the store refuses; running it again goes on.
pub async fn remove(store: &SharedStore, runs: &[String], now: Timestamp) -> Result<(), RunError> {
    for mut journal in all(store).await?.into_iter().filter(|journal| runs.contains(&journal.run)) {
        journal.append(&Event::Discarded {}, now).await?; // undone before any of it was live
    }
    for (run, keys) in keys(store).await?.into_iter().filter(|(run, _)| runs.contains(run)) {
        for key in keys {
            store.delete(&key).await.map_err(|source| RunError::Store { run: run.clone(), source })?;
        }
    }
    Ok(())
}

async fn read(store: &SharedStore, run: String, keys: &[String]) -> Result<Journal, RunError> {
    let damaged = |reason: String| RunError::Damaged { run: run.clone(), reason };
    let mut state: Option<State> = None;
    for (number, found) in keys.iter().enumerate() {
        let number = u32::try_from(number).map_err(|_| damaged("it has too many entries".into()))?;
        if *found != key(&run, number) {
            return Err(damaged(format!("its entry {number} is missing")));
        }
        let event = entry(store, &run, found).await?;
        match &mut state {
            None => state = Some(State::begin(&event).map_err(damaged)?),
            Some(state) => state.apply(&event).map_err(damaged)?,
        }
    }
    let state = state.ok_or_else(|| damaged("it is empty".into()))?;
    let next = u32::try_from(keys.len()).map_err(|_| damaged("it has too many entries".into()))?;
    Ok(Journal { store: store.clone(), run, next, state })
}

async fn entry(store: &SharedStore, run: &str, key: &str) -> Result<Event, RunError> {
    let json = store.get(key).await.map_err(|source| RunError::Store { run: run.to_owned(), source })?;
    let name = key.rsplit('/').next().unwrap_or(key);
    event(&json).map_err(|reason| RunError::Damaged { run: run.to_owned(), reason: format!("{name}: {reason}") })
}

fn event(json: &[u8]) -> Result<Event, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        format_version: u32,
    }
    let Version { format_version } = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    if format_version > FORMAT_VERSION {
        return Err(format!("it has format version {format_version}, this program knows {FORMAT_VERSION}"));
    }
    serde_json::from_slice::<Entry>(json).map(|entry| entry.entry).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{DatabaseRecord, SetRecord, Stage, Swapped};
    use super::*;
    use crate::storage::LocalStore;

    async fn store() -> (tempfile::TempDir, SharedStore) {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(LocalStore::create(folder.path().join("store")).await.unwrap());
        (folder, store)
    }

    fn name(text: &str) -> crate::stack::Name {
        text.parse().unwrap()
    }

    fn story() -> Vec<Event> {
        let one = |database: &str, is_new| DatabaseRecord { database: database.into(), is_new };
        let db = SetRecord { data: name("db"), databases: vec![one("shop", false), one("extra", true)] };
        let databases = vec![
            Swapped { database: "shop".into(), former: Some("shop_before_20261123t080509z".into()) },
            Swapped { database: "extra".into(), former: None },
        ];
        vec![
            Event::Begun { point: "3f9a".into(), safety_point: "77aa".into(), data: vec![db] },
            Event::Promoting {},
            Event::Swapped { data: name("db"), databases },
            Event::HandingOver { data: name("cache") },
            Event::HandedOver { data: name("cache") },
            Event::Finished {},
            Event::Undoing {},
            Event::BroughtBack { data: name("db") },
            Event::Undone {},
            Event::Discarded {},
        ]
    }

    #[tokio::test]
    async fn what_was_appended_is_read_back_and_only_a_mixture_is_open() {
        let (_folder, store) = store().await;
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let story = story();
        let mut journal = Journal::begin(&store, "restore-shop-1", &story[0], now).await.unwrap();
        for event in &story[1..] {
            let read = all(&store).await.unwrap();
            assert_eq!((read.len(), read[0].state()), (1, journal.state()));
            let open = open(&store).await.unwrap();
            assert_eq!(!open.is_empty(), matches!(journal.state().stage, Stage::Promoting | Stage::Undoing));
            journal.append(event, now).await.unwrap();
        }
        assert_eq!(journal.state().stage, Stage::Discarded);
        assert!(all(&store).await.unwrap().is_empty(), "nobody can do anything with it any more");
    }

    #[tokio::test]
    async fn of_runs_that_are_over_the_newest_stay_and_older_ones_go_however_far_their_removal_came() {
        let (_folder, store) = store().await;
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let story = story();
        let write = async |run: &str, events: &[&Event]| {
            let mut journal = Journal::begin(&store, run, events[0], now).await.unwrap();
            for event in &events[1..] {
                journal.append(event, now).await.unwrap();
            }
        };
        let discarded: Vec<&Event> = story.iter().collect();
        let untouched = [&story[0], &Event::Undoing {}, &Event::Undone {}];
        for n in 0..KEPT + 3 {
            write(&format!("restore-shop-2026{n:04}"), if n % 2 == 0 { &discarded } else { &untouched }).await;
        }
        write("restore-shop-20250001", &discarded[..6]).await; // finished: its former is kept
        write("restore-shop-20250002", &discarded[..9]).await; // undone: what was live is set aside
        write("restore-shop-20250003", &discarded[..2]).await; // a mixture
        let old = history(&store).await.unwrap();
        assert_eq!(old, ["restore-shop-20260000", "restore-shop-20260001", "restore-shop-20260002"]);

        // Killed on the way: what is left of the first is no run that somebody must end, and goes with the next.
        let of_first = keys(&store).await.unwrap().remove(&old[0]).unwrap();
        for key in &of_first[..of_first.len() - 1] {
            store.delete(key).await.unwrap();
            assert!(all(&store).await.unwrap().iter().all(|journal| journal.run() != old[0]));
        }
        assert_eq!(history(&store).await.unwrap(), old);
        remove(&store, &old, now).await.unwrap();
        assert!(history(&store).await.unwrap().is_empty());
        let left = keys(&store).await.unwrap();
        assert_eq!(left.len(), KEPT + 3, "{:?}", left.keys());
        assert!(old.iter().all(|run| !left.contains_key(run)));
        let open: Vec<String> = open(&store).await.unwrap().into_iter().map(|journal| journal.run).collect();
        assert_eq!(open, ["restore-shop-20250003"]);
        assert_eq!(all(&store).await.unwrap().len(), 3 + KEPT / 2);
    }

    #[tokio::test]
    async fn of_two_that_append_one_is_told_and_a_gap_or_a_newer_entry_is_refused() {
        let (_folder, store) = store().await;
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut one = Journal::begin(&store, "restore-r", &story()[0], now).await.unwrap();
        let mut other = all(&store).await.unwrap().remove(0);
        one.append(&Event::Promoting {}, now).await.unwrap();
        assert!(matches!(other.append(&Event::Undoing {}, now).await, Err(RunError::Contended { .. })));
        assert!(one.append(&Event::Discarded {}, now).await.unwrap_err().to_string().contains("cannot be understood"));
        let entry = store.get(&key("restore-r", 1)).await.unwrap();
        store.put(&key("restore-r", 3), vec![entry.clone()]).await.unwrap();
        assert!(
            matches!(all(&store).await, Err(RunError::Damaged { reason, .. }) if reason.contains("entry 2 is missing"))
        );
        store.delete(&key("restore-r", 3)).await.unwrap();
        let newer = String::from_utf8(entry.to_vec()).unwrap().replace("\"formatVersion\":1", "\"formatVersion\":2");
        store.put(&key("restore-r", 1), vec![Bytes::from(newer)]).await.unwrap();
        assert!(
            matches!(all(&store).await, Err(RunError::Damaged { reason, .. }) if reason.contains("format version 2"))
        );
    }

    #[test]
    fn the_committed_journal_of_format_1_is_read_for_ever() {
        let text = include_str!("../../../tests/fixtures/formats/run-journal-1.jsonl");
        let read: Vec<Event> = text.lines().map(|line| event(line.as_bytes()).unwrap()).collect();
        assert_eq!(read, story());
    }
}

//! From when on a schedule counts: a small document beside the repository, written when a schedule is seen first, or with
//! another expression or zone than before. Without it a daemon that comes back could not tell an instant that was missed
//! from one that was never meant.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Category, Failure};
use crate::schedule::{Schedule, ScheduleName};
use crate::storage::{SharedStore, StorageError};

const FOLDER: &str = "schedules/";
/// What is newer is refused.
const FORMAT_VERSION: u32 = 1;

/// `schedules/<schedule>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Since {
    pub format_version: u32,
    pub schedule: ScheduleName,
    /// The expression that it counts for.
    pub cron: String,
    pub time_zone: String,
    /// Earlier instants are not made up for.
    pub since: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum SinceError {
    #[error("cannot read or write since when the schedule `{schedule}` counts")]
    Store { schedule: ScheduleName, source: StorageError },
    #[error("{key} cannot be understood: {reason}")]
    Damaged { key: String, reason: String },
}

impl Failure for SinceError {
    fn category(&self) -> Category {
        match self {
            Self::Store { source, .. } => source.category(),
            Self::Damaged { .. } => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store { source, .. } => source.hint(),
            Self::Damaged { key, .. } => {
                Some(format!("remove `{key}` from the store: the schedule then counts from now on"))
            }
        }
    }
}

/// Since when `schedule` counts, as it is now; written as `now` where it was not known with this expression and zone.
///
/// # Errors
/// When the store cannot be asked or written, or what lies there is not understood: guessing would make up for what was
/// never meant, or leave out what was.
pub async fn since(store: &SharedStore, schedule: &Schedule, now: Timestamp) -> Result<Timestamp, SinceError> {
    let failed = |source| SinceError::Store { schedule: schedule.name.clone(), source };
    let fresh = Since::of(schedule, now);
    match read(store, &schedule.name).await? {
        Some(known) if known.counts_for(&fresh) => return Ok(known.since),
        _ => {}
    }
    let json = serde_json::to_vec(&fresh).expect("names, texts and an instant are JSON");
    store.put(&key(&schedule.name), vec![json.into()]).await.map_err(failed)?;
    Ok(now)
}

/// What is stored, whatever expression it is for.
///
/// # Errors
/// As [`since`].
pub async fn read(store: &SharedStore, name: &ScheduleName) -> Result<Option<Since>, SinceError> {
    let json = match store.get(&key(name)).await {
        Ok(json) => json,
        Err(StorageError::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(SinceError::Store { schedule: name.clone(), source }),
    };
    let damaged = |reason: String| SinceError::Damaged { key: key(name), reason };
    let since: Since = serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    if since.format_version > FORMAT_VERSION {
        let found = since.format_version;
        return Err(damaged(format!("it has format version {found}, this program knows {FORMAT_VERSION}")));
    }
    Ok(Some(since))
}

fn key(name: &ScheduleName) -> String {
    format!("{FOLDER}{name}.json")
}

impl Since {
    fn of(schedule: &Schedule, since: Timestamp) -> Self {
        let timing = &schedule.spec.timing;
        Self {
            format_version: FORMAT_VERSION,
            schedule: schedule.name.clone(),
            cron: timing.cron.to_string(),
            time_zone: timing.zone.to_string(),
            since,
        }
    }

    fn counts_for(&self, other: &Self) -> bool {
        (&self.cron, &self.time_zone) == (&other.cron, &other.time_zone)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::schedule;
    use super::*;
    use crate::storage::LocalStore;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn it_counts_from_when_it_was_first_seen_until_its_expression_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(LocalStore::create(folder.path().join("s")).await.unwrap());
        let (first, later) = (at("2026-11-24T10:00:00Z"), at("2026-12-24T10:00:00Z"));
        let nightly = schedule("nightly", "15 2 * * *", "");
        assert_eq!(since(&store, &nightly, first).await.unwrap(), first);
        assert_eq!(since(&store, &nightly, later).await.unwrap(), first, "it was seen before");
        let other_zone = schedule("nightly", "15 2 * * *", "  timeZone: Europe/Berlin\n");
        assert_eq!(since(&store, &other_zone, later).await.unwrap(), later, "another zone, other instants");
        let jittered = schedule("nightly", "15 2 * * *", "  timeZone: Europe/Berlin\n  jitter: 10m\n");
        assert_eq!(since(&store, &jittered, at("2027-01-01T00:00:00Z")).await.unwrap(), later, "the same instants");
    }

    #[tokio::test]
    async fn the_first_version_is_read_for_ever_and_a_newer_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(LocalStore::create(folder.path().join("s")).await.unwrap());
        let fixture = include_str!("../../tests/fixtures/formats/schedule-since-1.json");
        store.put("schedules/nightly-snapshot.json", vec![fixture.into()]).await.unwrap();
        let name: ScheduleName = "nightly-snapshot".parse().unwrap();
        let expected = Since {
            format_version: 1,
            schedule: name.clone(),
            cron: "15 2 * * *".into(),
            time_zone: "Europe/Berlin".into(),
            since: at("2026-11-24T18:00:00Z"),
        };
        assert_eq!(read(&store, &name).await.unwrap(), Some(expected));
        let newer = fixture.replace("\"formatVersion\":1", "\"formatVersion\":2");
        store.put("schedules/nightly-snapshot.json", vec![newer.into()]).await.unwrap();
        let refused = read(&store, &name).await.unwrap_err().to_string();
        let why = "schedules/nightly-snapshot.json cannot be understood: it has format version 2, this program knows 1";
        assert_eq!(refused, why);
    }
}

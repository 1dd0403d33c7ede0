//! `notifications.json` beside the repository: what was told to whom, so that a daemon that begins anew does not repeat
//! itself. Format version 1.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::decide::Told;
use crate::storage::{SharedStore, StorageError};

const KEY: &str = "notifications.json";
const FORMAT_VERSION: u32 = 1;

/// By receiver: the beginning of its URL's SHA-256, so that another URL is told anew.
type Receivers = BTreeMap<String, Told>;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    format_version: u32,
    receivers: Receivers,
}

/// What was told, in memory and in the store. Losing it costs a repetition, so nothing here is an error.
#[derive(Debug)]
pub(super) struct State {
    store: SharedStore,
    known: Option<Receivers>,
    /// A newer program's is not overwritten.
    is_foreign: bool,
}

impl State {
    pub(super) fn new(store: SharedStore) -> Self {
        Self { store, known: None, is_foreign: false }
    }

    /// What was told so far. A store that cannot be asked is asked again the next time.
    pub(super) async fn load(&mut self) -> Receivers {
        if let Some(known) = &self.known {
            return known.clone();
        }
        let read = match self.store.get(KEY).await {
            Ok(json) => parse(&json),
            Err(StorageError::NotFound { .. }) => Ok(Receivers::new()),
            Err(error) => {
                tracing::warn!(%error, "what was told before is not known; it may be told again");
                return Receivers::new();
            }
        };
        let known = read.unwrap_or_else(|trouble| {
            tracing::warn!(
                key = KEY,
                "what was told before is not understood ({}); it may be told again",
                trouble.why()
            );
            self.is_foreign = matches!(trouble, Trouble::Newer(_));
            Receivers::new()
        });
        self.known.insert(known).clone()
    }

    /// Keeps what is true now, of all receivers that there are.
    pub(super) async fn save(&mut self, receivers: Receivers) {
        if self.known.as_ref() == Some(&receivers) {
            return;
        }
        let document = Document { format_version: FORMAT_VERSION, receivers };
        if !self.is_foreign {
            let json = serde_json::to_vec_pretty(&document).expect("names, numbers and instants are JSON");
            if let Err(error) = self.store.put(KEY, vec![Bytes::from(json)]).await {
                tracing::warn!(%error, "what was told cannot be noted; another process may tell it again");
            }
        }
        self.known = Some(document.receivers);
    }
}

enum Trouble {
    Newer(u32),
    Damaged(String),
}

impl Trouble {
    fn why(&self) -> String {
        match self {
            Self::Newer(version) => format!("it has format version {version}, this program knows {FORMAT_VERSION}"),
            Self::Damaged(why) => why.clone(),
        }
    }
}

/// The version is looked at first, because what is newer cannot be understood otherwise.
fn parse(json: &[u8]) -> Result<Receivers, Trouble> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        format_version: u32,
    }
    let damaged = |error: serde_json::Error| Trouble::Damaged(error.to_string());
    let Version { format_version } = serde_json::from_slice(json).map_err(damaged)?;
    if format_version > FORMAT_VERSION {
        return Err(Trouble::Newer(format_version));
    }
    Ok(serde_json::from_slice::<Document>(json).map_err(damaged)?.receivers)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::LocalStore;

    const FIXTURE: &str = include_str!("../../tests/fixtures/formats/notifications-1.json");

    async fn state(folder: &std::path::Path) -> State {
        State::new(Arc::new(LocalStore::create(folder.join("store")).await.unwrap()))
    }

    #[tokio::test]
    async fn version_1_is_read_and_written_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = state(folder.path()).await;
        first.store.put(KEY, vec![FIXTURE.into()]).await.unwrap();
        let known = first.load().await;
        let told = &known["0f343b0931126a20"];
        assert_eq!(told.failing["snapshot"].times, 3);
        assert_eq!(told.missed["rpo"].told, None);
        first.save(Receivers::new()).await;
        first.save(known).await;
        let written: serde_json::Value = serde_json::from_slice(&first.store.get(KEY).await.unwrap()).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(FIXTURE).unwrap());
    }

    #[tokio::test]
    async fn what_a_newer_program_has_noted_is_let_be_and_damage_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut this = state(folder.path()).await;
        for (stored, stays) in
            [(r#"{"formatVersion": 2, "channels": []}"#, true), (r#"{"formatVersion": 1, "rec"#, false)]
        {
            this.store.put(KEY, vec![stored.into()]).await.unwrap();
            let mut fresh = State::new(this.store.clone());
            assert_eq!(fresh.load().await, Receivers::new());
            let told = Receivers::from([("a".to_owned(), Told::default())]);
            fresh.save(told.clone()).await;
            assert_eq!(fresh.load().await, told, "in memory it holds");
            assert_eq!(fresh.store.get(KEY).await.unwrap() == stored.as_bytes(), stays, "{stored}");
        }
        this.known = None;
        assert_eq!(this.load().await.len(), 1);
    }
}

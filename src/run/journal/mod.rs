//! Where entries are kept: lines of an fsynced file beside a repository in a local folder, objects in a bucket beside one
//! in S3. Owns that an entry is there for ever when [`Journal::append`] returns, and that of two that append one is told.

mod file;
mod objects;
mod recent;

use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;

use super::RunError;
use super::event::Entry;
use super::plan::RunId;
use crate::stack::{Location, Name, Stack};
use crate::storage::SharedStore;

pub use file::FileJournals;
pub use objects::ObjectJournals;

/// One run's journal, open for more. Dropping it lets others append.
#[async_trait]
pub trait Journal: Send {
    fn run(&self) -> &RunId;

    /// Stores the entry; it counts when this has returned, and survives a power cut.
    ///
    /// # Errors
    /// `Contended` when another process wrote the entry of this number; what the store says.
    async fn append(&mut self, entry: &Entry) -> Result<(), RunError>;
}

/// Everybody's journals of one stack.
#[async_trait]
pub trait Journals: Send + Sync {
    /// Begins a run with its first entry, unless it was begun before: of two that race one gets `None`.
    ///
    /// # Errors
    /// What the store says.
    async fn begin(&self, run: &RunId, first: &Entry) -> Result<Option<Box<dyn Journal>>, RunError>;

    /// What a run's journal says, and the journal to go on with; `None` when there is no such run.
    ///
    /// # Errors
    /// `Damaged` when it cannot be understood; `Contended` when another process is writing it.
    async fn open(&self, run: &RunId) -> Result<Option<(Vec<Entry>, Box<dyn Journal>)>, RunError>;

    /// What a run's journal says at this moment, whoever is writing it.
    ///
    /// # Errors
    /// `Damaged` when it cannot be understood.
    async fn read(&self, run: &RunId) -> Result<Option<Vec<Entry>>, RunError>;

    /// Every run that has a journal, in no particular order.
    ///
    /// # Errors
    /// What the store says.
    async fn list(&self) -> Result<Vec<RunId>, RunError>;

    /// The newest runs of each kind on `stack` at least, by the instants in their ids, in no particular order: what
    /// [`Self::list`] says where that is cheap.
    ///
    /// # Errors
    /// What the store says.
    async fn recent(&self, stack: &Name, now: Timestamp) -> Result<Vec<RunId>, RunError> {
        let _ = (stack, now); // a folder's names are read at once
        self.list().await
    }

    /// Removes a run's journal, so that at every instant it is whole or begins nothing.
    ///
    /// # Errors
    /// What the store says.
    async fn remove(&self, run: &RunId) -> Result<(), RunError>;
}

/// Below the store's prefix.
const FOLDER: &str = "runs/";

/// The journals beside `store`; `folder` is where it lies when that is on this machine.
#[must_use]
pub fn beside(store: &SharedStore, folder: Option<PathBuf>) -> Box<dyn Journals> {
    match folder {
        Some(folder) => Box::new(FileJournals::new(folder.join(FOLDER))),
        None => Box::new(ObjectJournals::new(store.clone())),
    }
}

/// The journals of `stack`'s runs, in its own store.
#[must_use]
pub fn of(stack: &Stack, store: &SharedStore) -> Box<dyn Journals> {
    match &stack.spec.repository.location {
        Location::Folder(folder) => beside(store, Some(folder.clone())),
        Location::S3 { .. } => beside(store, None),
    }
}

/// An entry as it is stored.
fn json(entry: &Entry) -> Vec<u8> {
    serde_json::to_vec(entry).expect("an entry has only names, texts and numbers")
}

/// The entry in `json`; the version is looked at first, because what is newer cannot be understood otherwise.
fn parse(json: &[u8]) -> Result<Entry, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        format_version: u32,
    }
    let Version { format_version } = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    if format_version > super::event::FORMAT_VERSION {
        let known = super::event::FORMAT_VERSION;
        return Err(format!("it has format version {format_version}, this program knows {known}"));
    }
    serde_json::from_slice(json).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;

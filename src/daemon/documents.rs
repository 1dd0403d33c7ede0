//! The documents that the daemon goes by: the Stack and its Schedules, read together and replaced together. One that is
//! broken is refused as a whole, and what was there stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::DaemonError;
use crate::failure::Failure;
use crate::schedule::{self, Schedule};
use crate::stack::Stack;

/// Where the documents lie.
#[derive(Debug, Clone)]
pub struct Sources {
    pub stack: PathBuf,
    /// The folder of the Schedules.
    pub schedules: PathBuf,
}

/// What they say, read at one time.
#[derive(Debug, Clone)]
pub struct Documents {
    pub stack: Stack,
    pub schedules: Vec<Schedule>,
}

/// Tells one content of all files from another; not what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// What became of the last attempt to read them anew, for people and metrics.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reloads {
    /// When those in force were read.
    pub loaded: Option<Timestamp>,
    /// Why what lies there now is not in force; none when it is.
    pub refused: Option<Refused>,
    /// How often since this process began.
    pub refusals: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    pub time: Timestamp,
    /// With file, line and field, a line a problem.
    pub reason: String,
}

impl Sources {
    /// Reads all of them.
    ///
    /// # Errors
    /// All that is wrong, with file, line and field.
    pub fn load(&self) -> Result<Documents, DaemonError> {
        Ok(Documents { stack: Stack::load(&self.stack)?, schedules: schedule::load(&self.schedules)? })
    }

    /// By content: an editor that writes a file anew without a change begins nothing, and a mount whose dates stand still
    /// (Kubernetes' links) is seen.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        add(&mut hash, &self.stack);
        let mut files: Vec<PathBuf> = std::fs::read_dir(&self.schedules)
            .map(|listed| listed.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.retain(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml"));
        files.sort();
        files.iter().for_each(|file| add(&mut hash, file));
        Fingerprint(hash.finalize().into())
    }
}

/// What cannot be read counts as such: [`Sources::load`] says why.
fn add(hash: &mut Sha256, file: &Path) {
    hash.update(file.as_os_str().as_encoded_bytes());
    match std::fs::read(file) {
        Ok(bytes) => {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        Err(error) => hash.update(format!("\0{:?}", error.kind())),
    }
}

impl Documents {
    /// The schedules that name this stack.
    pub fn covering(&self) -> impl Iterator<Item = &Schedule> {
        self.schedules.iter().filter(|schedule| schedule.covers(&self.stack.name))
    }
}

/// An error with its causes, for the log and the page.
pub(super) fn told(error: &(impl Failure + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

/// The documents in force, shared.
pub type InForce = Arc<Documents>;

//! What in-place restores have kept in volumes, and what was left half-done: listed, resumed, undone, discarded.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::RestoreError;
use crate::context::Context;
use crate::data::DataError;
use crate::data::volume::{self, Outcome, Stage};
use crate::stack::{DataKind, Name, Stack};

/// One run's trace in one data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub run: String,
    pub data: Name,
    pub folder: PathBuf,
    /// Whether it must be resumed or undone.
    pub unfinished: bool,
    /// In a few words.
    pub state: &'static str,
}

/// What is done to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To its end: forward where its copy was verified, else back.
    Resume,
    /// Back to the former content, also after it was finished.
    Undo,
    /// What it kept goes; there is no way back from that.
    Discard,
}

/// What became of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    pub data: Name,
    /// Which content is live: `restored`, `former`, or what it was before (`untouched`); none after a discard.
    pub live: Option<&'static str>,
}

/// Everything that in-place restores have left in the stack's volumes.
///
/// # Errors
/// When a volume cannot be looked at.
pub async fn list(stack: &Stack, cx: &Context) -> Result<Vec<Kept>, RestoreError> {
    let mut kept = Vec::new();
    for (data, folder) in volumes(stack) {
        let failed = |source: volume::VolumeError| RestoreError::Mend {
            data: data.clone(),
            source: Box::new(DataError::Volume(source)),
        };
        for run in volume::runs(folder, cx).await.map_err(failed)? {
            kept.push(Kept {
                run: run.run,
                data: data.clone(),
                folder: folder.to_owned(),
                unfinished: run.stage.is_unfinished(),
                state: words(run.stage),
            });
        }
    }
    Ok(kept)
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Filling => "cut short while a copy was written; the live folder is untouched",
        Stage::Verified => "cut short before the exchange; the live folder is untouched",
        Stage::Exchanging => "cut short in the exchange; the live folder is a mixture",
        Stage::Finished => "restored; the former content is kept",
        Stage::Undoing => "cut short while the former content was brought back",
        Stage::Undone { .. } => "undone; what had been restored is kept",
        Stage::Discarding { .. } => "cut short while what was kept was removed",
    }
}

/// Does `step` to every volume in which `run` has left something.
///
/// # Errors
/// `NoSuchRun`; the volume that could not be dealt with.
pub async fn end(stack: &Stack, run: &str, step: Step, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    let mut ended = Vec::new();
    for kept in list(stack, cx).await?.into_iter().filter(|kept| kept.run == run) {
        let failed = |source: volume::VolumeError| RestoreError::Mend {
            data: kept.data.clone(),
            source: Box::new(DataError::Volume(source)),
        };
        let live = one(&kept.folder, run, step, cx).await.map_err(failed)?;
        ended.push(Ended { data: kept.data.clone(), live });
    }
    if ended.is_empty() { Err(RestoreError::NoSuchRun { run: run.to_owned() }) } else { Ok(ended) }
}

async fn one(folder: &Path, run: &str, step: Step, cx: &Context) -> Result<Option<&'static str>, volume::VolumeError> {
    Ok(match step {
        Step::Resume => Some(match volume::resume(folder, run, cx).await? {
            Outcome::New => "restored",
            Outcome::Former => "former",
            Outcome::Untouched => "untouched",
        }),
        Step::Undo => {
            volume::undo(folder, run, cx).await?;
            Some("former")
        }
        Step::Discard => {
            volume::discard_former(folder, run, cx).await?;
            None
        }
    })
}

fn volumes(stack: &Stack) -> impl Iterator<Item = (&Name, &Path)> {
    stack.spec.data.iter().filter_map(|set| match &set.kind {
        DataKind::Volume(spec) => Some((&set.name, spec.path.as_deref()?)),
        DataKind::Postgres(_) | DataKind::Redis(_) => None,
    })
}

//! What in-place restores have kept, and what was left half-done: listed, resumed, undone, discarded; by the runs'
//! journals, and what lies about in volumes and on servers without one.

use std::path::Path;

use serde::Serialize;

use super::RestoreError;
use super::ending::{self, all_promoted, kind};
use super::in_place::folder_of;
use super::report::SetAside;
use crate::context::Context;
use crate::data::volume::{self, Outcome};
use crate::data::{DataError, postgres};
use crate::point::Home;
use crate::run::in_place::{Journal, SetRecord, Stage, all};
use crate::stack::{DataKind, DataSet, Name};

/// One thing that a run has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// `None` where the run was killed before it could write that down.
    pub run: Option<String>,
    pub data: Name,
    /// `database`, `folder`, or `cache`.
    pub kind: &'static str,
    /// Where it is kept; a cache has nothing beside it.
    pub name: Option<String>,
    /// Whether it must be resumed or undone.
    pub unfinished: bool,
    /// In a few words.
    pub state: &'static str,
}

/// What is done to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To its end: forward where everything was swapped already, else back.
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
    /// Where what had been restored is, when the former content was brought back.
    pub set_aside: Vec<SetAside>,
    /// What a person should know.
    pub note: Option<String>,
}

impl Ended {
    pub(super) fn new(data: &Name, live: Option<&'static str>) -> Self {
        Self { data: data.clone(), live, set_aside: Vec::new(), note: None }
    }
}

/// Everything that in-place restores have left.
///
/// # Errors
/// When the store, a volume or a server cannot be asked.
pub async fn list(home: &Home, cx: &Context) -> Result<Vec<Kept>, RestoreError> {
    let journals = all(&home.store).await?;
    let mut kept = Vec::new();
    for journal in journals.iter().filter(|journal| journal.state().stage != Stage::Discarded) {
        kept.extend(of_run(home, journal, cx).await?);
    }
    for set in &home.stack.spec.data {
        let found = without_journal(set, &journals, cx).await;
        kept.extend(found.map_err(|source| RestoreError::Look { data: set.name.clone(), source: Box::new(source) })?);
    }
    Ok(kept)
}

async fn of_run(home: &Home, journal: &Journal, cx: &Context) -> Result<Vec<Kept>, RestoreError> {
    let stage = journal.state().stage;
    let mut kept = Vec::new();
    for SetRecord { data, .. } in &journal.state().data {
        let look = |source| RestoreError::Look { data: data.clone(), source: Box::new(source) };
        let one = |kind, name| Kept {
            run: Some(journal.run().to_owned()),
            data: data.clone(),
            kind,
            name,
            unfinished: stage.is_unfinished(),
            state: words(stage),
        };
        match kind(home, data)? {
            DataKind::Postgres(spec) => {
                let databases = databases(spec, journal, data).await.map_err(look)?;
                kept.extend(databases.into_iter().map(|name| one("database", Some(name))));
            }
            DataKind::Volume(spec) => {
                let folder = folder_of(spec).map_err(look)?;
                let runs = volume::runs(folder, cx).await.map_err(|error| look(error.into()))?;
                if runs.iter().any(|run| run.run == journal.run()) {
                    kept.push(one("folder", Some(trace_of(folder, journal.run()))));
                }
            }
            DataKind::Redis(_) if stage.is_unfinished() => kept.push(one("cache", None)),
            DataKind::Redis(_) => {}
        }
    }
    if let (true, true, Some(set)) = (kept.is_empty(), stage.is_unfinished(), journal.state().data.first()) {
        let kind = kind(home, &set.data)?.word();
        let (run, data) = (Some(journal.run().to_owned()), set.data.clone());
        kept.push(Kept { run, data, kind, name: None, unfinished: true, state: words(stage) });
    }
    Ok(kept)
}

fn trace_of(folder: &Path, run: &str) -> String {
    folder.join(".drydock").join(run).display().to_string()
}

async fn databases(
    spec: &crate::stack::PostgresSpec,
    journal: &Journal,
    data: &Name,
) -> Result<Vec<String>, DataError> {
    let mut names = postgres::restore::kept(spec, journal.run(), &all_promoted(journal, data)).await?;
    let left = postgres::restore::unfinished(spec).await?;
    let set = journal.state().data.iter().find(|set| set.data == *data);
    let is_ours = |one: &postgres::restore::Unfinished| {
        let known = set.is_some_and(|set| set.databases.iter().any(|known| known.database == one.database));
        known && one.run.as_deref() == Some(journal.run())
    };
    names.extend(left.into_iter().filter(is_ours).map(|one| one.name));
    names.sort();
    names.dedup();
    Ok(names)
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Begun => "cut short, or under way, while copies were written; nothing live was touched",
        Stage::Promoting => "cut short, or under way, while it went live; what is live may be a mixture",
        Stage::Finished => "restored; the former is kept",
        Stage::Undoing => "cut short, or under way, while the former was brought back; what is live may be a mixture",
        Stage::Undone => "undone; what had been restored is kept",
        Stage::Discarded => "discarded",
    }
}

/// Left by runs that have no journal here, such as another stack's, or a restore into databases beside.
async fn without_journal(set: &DataSet, journals: &[Journal], cx: &Context) -> Result<Vec<Kept>, DataError> {
    let known = |run: &str| journals.iter().any(|journal| journal.run() == run);
    let one = |run, kind, name, unfinished, state| Kept {
        run,
        data: set.name.clone(),
        kind,
        name: Some(name),
        unfinished,
        state,
    };
    let mut kept = Vec::new();
    match &set.kind {
        DataKind::Volume(spec) => {
            let Some(folder) = spec.path.as_deref() else { return Ok(kept) };
            for run in volume::runs(folder, cx).await?.into_iter().filter(|run| !known(&run.run)) {
                let name = trace_of(folder, &run.run);
                kept.push(one(Some(run.run), "folder", name, run.stage.is_unfinished(), volume_words(run.stage)));
            }
        }
        DataKind::Postgres(spec) => {
            for left in postgres::restore::unfinished(spec).await? {
                if !left.run.as_deref().is_some_and(known) {
                    let state = "left by a restore that was cut short, or under way; the next restore removes it";
                    kept.push(one(left.run, "database", left.name, true, state));
                }
            }
        }
        DataKind::Redis(_) => {}
    }
    Ok(kept)
}

fn volume_words(stage: volume::Stage) -> &'static str {
    match stage {
        volume::Stage::Filling => "cut short while a copy was written; the live folder is untouched",
        volume::Stage::Verified => "cut short before the exchange; the live folder is untouched",
        volume::Stage::Exchanging => "cut short in the exchange; the live folder is a mixture",
        volume::Stage::Finished => "restored; the former content is kept",
        volume::Stage::Undoing => "cut short while the former content was brought back",
        volume::Stage::Undone { .. } => "undone; what had been restored is kept",
        volume::Stage::Discarding { .. } => "cut short while what was kept was removed",
    }
}

/// Does `step` to everything that `run` has left. The caller holds the exclusive lock: no other restore is under way.
///
/// # Errors
/// `NoSuchRun`; the data set that could not be dealt with.
pub async fn end(home: &Home, run: &str, step: Step, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    let mut journals = all(&home.store).await?;
    let Some(journal) = journals.iter_mut().find(|journal| journal.run() == run) else {
        return end_without_journal(home, run, step, cx).await;
    };
    match (step, journal.state().stage) {
        (_, Stage::Discarded) => Err(RestoreError::NoSuchRun { run: run.to_owned() }),
        (Step::Resume, _) => ending::resume(home, journal, cx).await,
        (Step::Undo, Stage::Undone) => ending::resume(home, journal, cx).await, // it is undone: say so again
        (Step::Undo, _) => ending::back(home, journal, cx).await,
        (Step::Discard, _) => ending::discard(home, journal, cx).await,
    }
}

async fn end_without_journal(home: &Home, run: &str, step: Step, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    let mut ended = Vec::new();
    for set in &home.stack.spec.data {
        let failed = |source: DataError| RestoreError::Mend { data: set.name.clone(), source: Box::new(source) };
        let live = match &set.kind {
            DataKind::Volume(spec) if spec.path.is_some() => {
                let folder = folder_of(spec).map_err(failed)?;
                let runs = volume::runs(folder, cx).await.map_err(|error| failed(error.into()))?;
                if !runs.iter().any(|one| one.run == run) {
                    continue;
                }
                volume(folder, &spec.exclude, run, step, cx).await.map_err(|error| failed(error.into()))?
            }
            DataKind::Postgres(spec) => {
                let left = postgres::restore::unfinished(spec).await.map_err(|error| failed(error.into()))?;
                if !left.iter().any(|one| one.run.as_deref() == Some(run)) {
                    continue;
                }
                postgres::restore::undo(spec).await.map_err(|error| failed(error.into()))?;
                Some("untouched")
            }
            DataKind::Volume(_) | DataKind::Redis(_) => continue,
        };
        ended.push(Ended::new(&set.name, live));
    }
    if ended.is_empty() { Err(RestoreError::NoSuchRun { run: run.to_owned() }) } else { Ok(ended) }
}

async fn volume(
    folder: &Path,
    exclude: &[String],
    run: &str,
    step: Step,
    cx: &Context,
) -> Result<Option<&'static str>, volume::VolumeError> {
    Ok(match step {
        Step::Resume => Some(match volume::resume(folder, run, exclude, cx).await? {
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

//! What in-place restores have kept, and what was left half-done: listed by the runs' journals, and what lies about in
//! volumes and on servers without one.

use std::path::Path;

use serde::Serialize;

use super::RestoreError;
use super::back::{all_promoted, folder_of, kind, trace};
use super::phases::{SetRecord, Told};
use super::report::SetAside;
use super::work::swapped;
use crate::context::Context;
use crate::data::volume;
use crate::data::{DataError, postgres};
use crate::point::{DataWord, Home};
use crate::run::restores::{Restore, Stage, all};
use crate::run::{Outcome, journal};
use crate::stack::{DataKind, DataSet, Name, PostgresSpec};

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
    #[must_use]
    pub fn new(data: &Name, live: Option<&'static str>) -> Self {
        Self { data: data.clone(), live, set_aside: Vec::new(), note: None }
    }
}

/// Everything that in-place restores have left.
///
/// # Errors
/// When the store, a volume or a server cannot be asked.
pub async fn list(home: &Home, cx: &Context) -> Result<Vec<Kept>, RestoreError> {
    let restores = all(&*journal::of(&home.stack, &home.store)).await?;
    let mut kept = Vec::new();
    for restore in restores.iter().filter(|restore| !restore.is_over()) {
        kept.extend(of_run(home, restore, cx).await?);
    }
    for set in &home.stack.spec.data {
        let found = without_journal(set, &restores, cx).await;
        kept.extend(found.map_err(|source| RestoreError::Look { data: set.name.clone(), source: Box::new(source) })?);
    }
    Ok(kept)
}

/// What the run was told.
pub(super) fn told(restore: &Restore) -> Result<Told, RestoreError> {
    Told::read(&restore.state.plan).map_err(|reason| RestoreError::Unreadable { run: restore.run.to_string(), reason })
}

async fn of_run(home: &Home, restore: &Restore, cx: &Context) -> Result<Vec<Kept>, RestoreError> {
    let (stage, run, told) = (restore.stage(), restore.run.as_str(), told(restore)?);
    let mut kept = Vec::new();
    for set in &told.data {
        let look = |source| RestoreError::Look { data: set.data.clone(), source: Box::new(source) };
        let one = |kind, name| Kept {
            run: Some(run.to_owned()),
            data: set.data.clone(),
            kind,
            name,
            unfinished: stage.is_unfinished(),
            state: words(stage),
        };
        match kind(home, &set.data)? {
            DataKind::Postgres(spec) => {
                let databases = databases(spec, restore, set).await.map_err(look)?;
                kept.extend(databases.into_iter().map(|name| one("database", Some(name))));
            }
            DataKind::Volume(spec) => {
                let folder = folder_of(spec).map_err(look)?;
                if trace(folder, run, cx).await.map_err(look)?.is_some() {
                    kept.push(one("folder", Some(trace_of(folder, run))));
                }
            }
            DataKind::Redis(_) if stage.is_unfinished() => kept.push(one("cache", None)),
            DataKind::Redis(_) => {}
        }
    }
    if let (true, true, Some(set)) = (kept.is_empty(), stage.is_unfinished(), told.data.first()) {
        let (run, data, kind) = (Some(run.to_owned()), set.data.clone(), kind(home, &set.data)?.word());
        kept.push(Kept { run, data, kind, name: None, unfinished: true, state: words(stage) });
    }
    Ok(kept)
}

/// What became of each data set of a restore whose kept things are gone now.
///
/// # Errors
/// When its plan cannot be understood.
pub fn discarded(restore: &Restore) -> Result<Vec<Ended>, RestoreError> {
    let told = told(restore)?;
    let beside = told.data.iter().filter(|set| set.kind != DataWord::Redis);
    Ok(beside.map(|set| Ended::new(&set.data, None)).collect())
}

/// What became of each data set of a restore that is over: which content is live, and what was set aside for it.
///
/// # Errors
/// When a volume or a server cannot be asked.
pub async fn ended(home: &Home, restore: &Restore, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    let (told, run) = (told(restore)?, restore.run.as_str());
    let is_finished = restore.stage() == Stage::Finished;
    let was_finished = restore.state.outcome == Some(Outcome::Succeeded);
    let mut all = Vec::new();
    for set in &told.data {
        let mut one = Ended::new(&set.data, Some(if is_finished { "restored" } else { "former" }));
        let look = |source| RestoreError::Look { data: set.data.clone(), source: Box::new(source) };
        match kind(home, &set.data)? {
            DataKind::Postgres(spec) if !is_finished => {
                let kept = postgres::restore::kept(spec, run, &all_promoted(set, &swapped(&restore.state))).await;
                let kept = kept.map_err(|error| look(error.into()))?.into_iter();
                one.set_aside = kept.map(|name| SetAside::new(&set.data, "database", name)).collect();
            }
            DataKind::Volume(spec) if !is_finished => {
                let folder = folder_of(spec).map_err(look)?;
                if trace(folder, run, cx).await.map_err(look)?.is_some() {
                    let name = volume::set_aside(folder, run).display().to_string();
                    one.set_aside.push(SetAside::new(&set.data, "folder", name));
                }
            }
            DataKind::Redis(_) if was_finished && !is_finished => {
                (one.live, one.note) = (Some("restored"), Some(way_back(&set.data, &told)));
            }
            DataKind::Postgres(_) | DataKind::Volume(_) | DataKind::Redis(_) => {}
        }
        all.push(one);
    }
    Ok(all)
}

/// A cache that a finished restore has replaced.
fn way_back(data: &Name, told: &Told) -> String {
    let safety_point = told.safety_point;
    format!(
        "a cache has no former beside it; what it held then: `drydock restore -f FILE --point {safety_point} --data {data} \
         --in-place`"
    )
}

fn trace_of(folder: &Path, run: &str) -> String {
    folder.join(".drydock").join(run).display().to_string()
}

async fn databases(spec: &PostgresSpec, restore: &Restore, set: &SetRecord) -> Result<Vec<String>, DataError> {
    let run = restore.run.as_str();
    let mut names = postgres::restore::kept(spec, run, &all_promoted(set, &swapped(&restore.state))).await?;
    let left = postgres::restore::unfinished(spec).await?;
    let is_ours = |one: &postgres::restore::Unfinished| {
        set.databases.iter().any(|known| known.database == one.database) && one.run.as_deref() == Some(run)
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
async fn without_journal(set: &DataSet, restores: &[Restore], cx: &Context) -> Result<Vec<Kept>, DataError> {
    let known = |run: &str| restores.iter().any(|restore| restore.run.as_str() == run);
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

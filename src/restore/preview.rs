//! What a restore would do, and every reason why it would not begin; changes nothing.

use std::path::Path;

use serde::Serialize;

use super::RestoreError;
use super::database::{options, spec, target};
use super::in_place::{exclude_of, folder};
use super::phases::DatabaseRecord;
use super::plan::{Part, RestorePlan, Target};
use crate::context::Context;
use crate::data::postgres::restore as postgres;
use crate::data::{DataError, Estimate, redis, volume};
use crate::hook::{self, When};
use crate::point::{DataWord, Home, PointId};
use crate::stack::{DataKind, Name};

/// For `--dry-run`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    pub point: PointId,
    /// Whether a complete recovery point of what is live is taken first.
    pub safety_point: bool,
    /// The stack's own commands around it, none of them run.
    pub hooks: Vec<hook::Named>,
    pub data: Vec<PartPreview>,
}

/// One data set's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartPreview {
    pub data: Name,
    pub kind: DataWord,
    pub bytes: u64,
    pub items: u64,
    pub action: Action,
    /// Why it would not begin; empty when it may.
    pub refusals: Vec<String>,
    pub notes: Vec<String>,
}

/// What would happen to a data set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Its files would be written into a folder.
    WriteFiles {
        folder: String,
    },
    /// Its content would be exchanged with the folder's, which is kept.
    ExchangeFolder {
        folder: String,
    },
    Databases(Box<postgres::RestorePreview>),
    ReplaceKeys(Box<redis::RestorePreview>),
}

/// Asks every target.
///
/// # Errors
/// When a target cannot be asked; what speaks against it is in the preview.
pub async fn preview(home: &Home, plan: &RestorePlan, cx: &Context) -> Result<Preview, RestoreError> {
    let mut data = Vec::new();
    for part in &plan.parts {
        let failed = |source| RestoreError::Refused { data: part.name().clone(), source: Box::new(source) };
        data.push(one(home, plan, part, cx).await.map_err(failed)?.0);
    }
    let safety_point = plan.target == Target::InPlace;
    Ok(Preview { point: plan.point, safety_point, hooks: hooks(home, plan), data })
}

/// Those of the safety point, then those before anything goes live.
fn hooks(home: &Home, plan: &RestorePlan) -> Vec<hook::Named> {
    if plan.target != Target::InPlace {
        return Vec::new();
    }
    let mut all = hook::named(&home.stack.spec.data, &[When::BeforeSnapshot, When::AfterSnapshot]);
    all.extend(hook::named(plan.parts.iter().filter_map(|part| part.set.as_ref()), &[When::BeforeLive]));
    all
}

/// Refuses what would be refused later anyway, before the safety point is taken and the first data set is filled. Returns
/// the databases that would be restored, each with its data set.
///
/// # Errors
/// The first data set that speaks against it.
pub async fn refuse_early(
    home: &Home,
    plan: &RestorePlan,
    cx: &Context,
) -> Result<Vec<(Name, DatabaseRecord)>, RestoreError> {
    let mut all = Vec::new();
    for part in &plan.parts {
        let failed = |source| RestoreError::Refused { data: part.name().clone(), source: Box::new(source) };
        let (preview, refusal) = one(home, plan, part, cx).await.map_err(failed)?;
        if let Some(source) = refusal {
            return Err(RestoreError::Refused { data: part.name().clone(), source: Box::new(source) });
        }
        let Action::Databases(databases) = preview.action else { continue };
        all.extend(databases.databases.into_iter().map(|one| {
            let is_new = one.action == postgres::Action::Create;
            (part.name().clone(), DatabaseRecord { database: one.database, is_new })
        }));
    }
    Ok(all)
}

/// What would happen, and the refusal as the restore itself would say it.
async fn one(
    home: &Home,
    plan: &RestorePlan,
    part: &Part,
    cx: &Context,
) -> Result<(PartPreview, Option<DataError>), DataError> {
    let (repository, tree) = (&home.repository, &part.member.tree);
    let mut preview = PartPreview {
        data: part.name().clone(),
        kind: part.member.kind,
        bytes: part.member.bytes,
        items: part.member.items,
        action: Action::WriteFiles { folder: String::new() },
        refusals: Vec::new(),
        notes: Vec::new(),
    };
    let to = match &plan.target {
        Target::Folder(folder) => {
            let folder = folder.join(part.name().as_str());
            preview.action = Action::WriteFiles { folder: folder.display().to_string() };
            let refusal = look(home, plan, part, &folder, &mut preview, cx).await?;
            return Ok((preview, refusal));
        }
        Target::Databases(names) => target(names),
        Target::InPlace => postgres::Target::InPlace,
    };
    let mut refusal = None;
    match part.kind() {
        DataKind::Postgres(_) => {
            let options = options(plan, to);
            let databases = postgres::plan_restore(repository, tree, spec(part), &options, cx).await?;
            preview.refusals = databases.refusals.iter().map(ToString::to_string).collect();
            preview.notes.clone_from(&databases.notes);
            refusal = (!databases.refusals.is_empty())
                .then(|| postgres::RestoreError::Refused(databases.refusals.clone()).into());
            preview.action = Action::Databases(Box::new(databases));
        }
        DataKind::Redis(spec) => {
            let options = redis::RestoreOptions { allow_not_empty: true, acl: plan.options.roles };
            let keys = redis::plan_restore(repository, tree, spec, &options, cx).await?;
            preview.notes.clone_from(&keys.notes);
            preview.action = Action::ReplaceKeys(Box::new(keys));
        }
        DataKind::Volume(_) => {
            let folder = folder(part)?;
            let left = volume::unfinished(folder, cx).await?;
            let note =
                |run: &volume::InPlaceRun| format!("the restore {}, which was cut short, would be undone", run.run);
            preview.notes = left.iter().map(note).collect();
            preview.action = Action::ExchangeFolder { folder: folder.display().to_string() };
            refusal = look(home, plan, part, folder, &mut preview, cx).await?;
        }
    }
    Ok((preview, refusal))
}

/// A folder that files would go into, or that would be exchanged.
async fn look(
    home: &Home,
    plan: &RestorePlan,
    part: &Part,
    folder: &Path,
    preview: &mut PartPreview,
    cx: &Context,
) -> Result<Option<DataError>, DataError> {
    let (into, exclude) = match &plan.target {
        Target::InPlace => (volume::Into::Place, exclude_of(part).to_vec()),
        Target::Folder(_) | Target::Databases(_) => (volume::Into::Folder, Vec::new()),
    };
    let allow_not_empty = plan.options.allow_not_empty;
    let options = volume::RestoreOptions { allow_not_empty, exclude, ..volume::RestoreOptions::default() };
    let recorded = Estimate { bytes: part.member.bytes, items: part.member.items };
    let (repository, tree) = (&home.repository, &part.member.tree);
    let looked = volume::plan_restore(repository, tree, folder, into, &options, recorded, cx).await?;
    preview.refusals.extend(looked.refusals.iter().map(ToString::to_string));
    preview.notes.extend(looked.notes);
    Ok(looked.refusals.into_iter().next().map(DataError::from))
}

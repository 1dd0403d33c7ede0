//! Brings databases back from a snapshot: plan → provision → fill → verify → promote. Owns what happens on the target
//! server; refuses to touch a live database before what shall replace it is filled, read again and found as recorded.
//!
//! A database that is not there yet, or that takes a live one's place, is filled under a name beside the final one
//! (`<database>__drydock_<digits>`) and gets that name when it is whole: nobody ever sees half a database. Its comment
//! says whose it is and how far it has come, so that the next run can undo what a killed one has left.

mod adapt;
mod attributes;
mod builder;
mod crew;
pub(super) mod database;
mod entries;
mod error;
mod files;
mod fill;
mod former;
mod globals;
pub(super) mod grants;
mod keeper;
mod large_objects;
mod left_out;
mod load;
mod made;
mod marker;
mod options;
mod plan;
mod promote;
mod provision;
mod roles;
mod schedule;
mod schema;
mod server;
mod statements;
mod target;
mod unfinished;
mod verify;
mod work;

pub use error::{Refusal, RestoreError};
pub use former::{Promoted, bring_back, drop_kept, kept, live};
pub use made::{made, release, take_back};
pub(in crate::data::postgres) use marker::own_comment;
pub use marker::{Stage, beside};
pub use options::{
    Action, Observer, PlannedDatabase, PlannedExtension, RestoreOptions, RestorePreview, Restored, RestoredDatabase,
    Space, Step, Target,
};
pub use unfinished::{Unfinished, undo, unfinished};

use std::collections::BTreeMap;

use self::files::Files;
use self::fill::{Filled, Filler};
use self::keeper::Keeper;
use self::marker::Marker;
use self::plan::Plan;
use self::promote::{Replaced, Swap};
use self::provision::{Place, Provisioned};
use super::connect::Server;
use super::naming;
use crate::context::Context;
use crate::data::Comparison;
use crate::repository::{Repository, TreeId};
use crate::stack::PostgresSpec;

/// What [`restore`] would do, and every reason why it would not begin; changes nothing.
///
/// # Errors
/// When the snapshot cannot be read or the server cannot be asked.
pub async fn plan_restore(
    repository: &Repository,
    tree: &TreeId,
    spec: &PostgresSpec,
    options: &RestoreOptions,
    _cx: &Context,
) -> Result<RestorePreview, RestoreError> {
    let mut preview = plan::plan(&Files::new(repository, tree), spec, options).await?.preview;
    let left = unfinished(spec).await?;
    preview.notes.extend(left.iter().map(|one| format!("`{}`, left by a killed restore, would be undone", one.name)));
    Ok(preview)
}

/// Restores the snapshot `tree` into the server of `spec`.
///
/// Until [`promote::promote`] nothing that is live has changed, so every failure before leaves the former as it was. What
/// this restore has made is dropped when it fails, and nothing else is. A restore that differs from its record is not
/// promoted and is no error: the answer says so and lists the differences.
///
/// # Errors
/// `Refused` before anything changes; else the first failure, with what it has left behind.
///
/// # Cancel safety
/// Cancelling `cx` undoes what was begun. A future that is dropped, like a process that is killed, leaves databases beside
/// the live ones, perhaps a closed live one: [`undo`] mends both, and the next restore calls it.
pub async fn restore(
    repository: &Repository,
    tree: &TreeId,
    spec: &PostgresSpec,
    options: &RestoreOptions,
    cx: &Context,
) -> Result<Restored, RestoreError> {
    let files = Files::new(repository, tree);
    let undone = undo(spec).await?;
    let plan = plan::plan(&files, spec, options).await?;
    if !plan.preview.refusals.is_empty() {
        return Err(RestoreError::Refused(plan.preview.refusals));
    }
    let targets: Vec<String> = plan.moves.iter().map(|one| one.target.clone()).collect();
    let keeper = Keeper::take(&plan.server, &targets).await?;
    let mut provisioned = Provisioned { notes: undone, ..Provisioned::default() };
    match carry_out(&files, &plan, spec, options, &keeper, &mut provisioned, cx).await {
        Ok(restored) if restored.promoted => Ok(restored),
        Ok(restored) => {
            clean_up(&keeper, &provisioned).await?;
            Ok(restored)
        }
        Err(error) => Err(with_what_is_left(error, &keeper, &provisioned, &options.run).await),
    }
}

async fn carry_out(
    files: &Files,
    plan: &Plan,
    spec: &PostgresSpec,
    options: &RestoreOptions,
    keeper: &Keeper,
    provisioned: &mut Provisioned,
    cx: &Context,
) -> Result<Restored, RestoreError> {
    provisioned.make(keeper, plan, options).await?; // empty twins: the live ones keep serving
    options.observer.reached(Step::Provisioned).await;
    let filled = fill(files, plan, spec, options, provisioned, cx).await?; // tables are compared as they are done
    options.observer.reached(Step::Filled).await;
    let comparison = verify(filled).await?;
    let mut restored = Restored { promoted: false, databases: Vec::new(), notes: notes(plan, provisioned), comparison };
    if !restored.comparison.holds() {
        restored.databases = provisioned.places.iter().filter(|p| !p.made).map(|p| promoted(p, &[])).collect();
        let held = options.allow_not_empty;
        restored.notes.extend(restored.databases.iter().map(|one| filled_and_differs(&one.database, held)));
        return Ok(restored);
    }
    options.observer.reached(Step::Verified).await;
    if cx.cancel.is_cancelled() {
        return Err(RestoreError::Cancelled); // whoever waited with us at this step has decided against the swap
    }
    let swaps = hand_over(keeper, provisioned, options, cx, &mut restored.notes).await?;
    promote::promote(
        keeper,
        &swaps,
        &restored.comparison, // nothing unverified can be promoted
        plan.application.as_ref().unwrap_or(&plan.server),
        &options.observer,
        cx,
    )
    .await?;
    restored.promoted = true;
    restored.databases = provisioned.places.iter().map(|place| promoted(place, &swaps)).collect();
    restored.notes.extend(restored.databases.iter().filter_map(how_to_drop));
    Ok(restored)
}

async fn fill(
    files: &Files,
    plan: &Plan,
    spec: &PostgresSpec,
    options: &RestoreOptions,
    provisioned: &mut Provisioned,
    cx: &Context,
) -> Result<Vec<Filled>, RestoreError> {
    let filler = Filler {
        files,
        server: &plan.server,
        tools: &plan.tools,
        manifest: &plan.manifest,
        facts: &plan.facts,
        connections: spec.connections,
        verify: options.verify,
        holds_more: options.allow_not_empty,
    };
    let mut all = Vec::new();
    for place in &provisioned.places {
        let filled = filler.fill(&place.plan.recorded, &place.name, place.made, cx).await?;
        provisioned.notes.extend(filled.notes.iter().cloned());
        all.push(filled);
    }
    Ok(all)
}

async fn verify(filled: Vec<Filled>) -> Result<Comparison, RestoreError> {
    let mut comparison = Comparison::default();
    for one in filled {
        comparison.absorb(one.verify().await?);
    }
    Ok(comparison)
}

/// Gives the databases that were made what a live one has or was recorded of it, and says how each gets its name.
async fn hand_over(
    keeper: &Keeper,
    provisioned: &Provisioned,
    options: &RestoreOptions,
    cx: &Context,
    notes: &mut Vec<String>,
) -> Result<Vec<Swap>, RestoreError> {
    let mut taken: Vec<String> = server::databases(&keeper.session).await?.into_keys().collect();
    let mut swaps = Vec::new();
    for place in provisioned.places.iter().filter(|place| place.made) {
        notes.extend(database::apply(&keeper.session, &place.name, place.plan.properties()).await?);
        let database = place.plan.target.clone();
        let former = marker::former(&database, cx.clock.now(), |name| taken.iter().any(|other| other == name));
        taken.push(former.clone());
        let was_open = place.plan.live_is_open;
        swaps.push(Swap {
            beside: place.name.clone(),
            run: options.run.clone(),
            replaces: (place.plan.action == Action::Replace).then_some(Replaced { former, was_open }),
            comment: comment(place, options),
            database,
        });
    }
    Ok(swaps)
}

/// What a database's comment is when it has its name.
fn comment(place: &Place, options: &RestoreOptions) -> Option<String> {
    let comment = place.plan.properties().comment.clone();
    if !options.held || place.plan.action != Action::Create {
        return comment;
    }
    Some(Marker { comment, ..Marker::new(&options.run, &place.plan.target, Stage::Made) }.text())
}

fn promoted(place: &Place, swaps: &[Swap]) -> RestoredDatabase {
    let swap = swaps.iter().find(|swap| swap.database == place.plan.target);
    RestoredDatabase {
        recorded: place.plan.recorded.name.clone(),
        database: place.plan.target.clone(),
        former: swap.and_then(|swap| swap.replaces.as_ref()).map(|replaced| replaced.former.clone()),
    }
}

/// A database that was there is not dropped, whatever it holds now.
fn filled_and_differs(database: &str, held_something: bool) -> String {
    if held_something {
        return format!("database `{database}` held something before and now holds also what differs from the record");
    }
    let drop = naming::identifier(database);
    format!("database `{database}`, which was empty, holds what differs from the record: DROP DATABASE {drop}")
}

fn how_to_drop(restored: &RestoredDatabase) -> Option<String> {
    let former = restored.former.as_ref()?;
    let database = &restored.database;
    let drop = naming::identifier(former);
    Some(format!("the former `{database}` is kept, closed, until you drop it: DROP DATABASE {drop}"))
}

fn notes(plan: &Plan, provisioned: &Provisioned) -> Vec<String> {
    let mut notes = plan.preview.notes.clone();
    if !provisioned.roles.is_empty() {
        notes.push(format!("roles created: {}", provisioned.roles.join(", ")));
    }
    notes.extend(provisioned.notes.iter().cloned());
    notes
}

/// Drops the databases that this restore has made, and nothing else.
async fn clean_up(keeper: &Keeper, provisioned: &Provisioned) -> Result<(), RestoreError> {
    for place in provisioned.places.iter().filter(|place| place.made) {
        database::drop(&keeper.session, &place.name).await?;
    }
    Ok(())
}

fn set_aside(place: &Place, run: &str) -> String {
    let name = naming::identifier(&marker::aside(&place.plan.target, run));
    format!("database {name}, which may hold what applications wrote to it, until you drop it: DROP DATABASE {name}")
}

/// `error`, and what is there now that was not there before.
async fn with_what_is_left(error: RestoreError, keeper: &Keeper, provisioned: &Provisioned, run: &str) -> RestoreError {
    let mut left: Vec<String> = provisioned.roles.iter().map(|role| format!("role {role}")).collect();
    let filled_in_place = provisioned.places.iter().filter(|place| !place.made);
    left.extend(filled_in_place.map(|place| format!("database {}, perhaps half filled", place.name)));
    let made: Vec<&Place> = provisioned.places.iter().filter(|place| place.made).collect();
    match error {
        RestoreError::LoginRefused { .. } => left.extend(made.iter().map(|place| set_aside(place, run))),
        RestoreError::Unproven { .. } => {} // they are live, and the error says so
        _ if clean_up(keeper, provisioned).await.is_err() => {
            // The keeper's session may be what failed: the markers are enough for anyone who comes with another.
            left.extend(made.iter().map(|place| format!("database {}, which the next restore drops", place.name)));
        }
        _ => {}
    }
    if left.is_empty() { error } else { RestoreError::Left { source: Box::new(error), left } }
}

/// Compares live databases with what the snapshot recorded; changes nothing. `names` maps recorded to live names, where
/// they are not the same.
///
/// # Errors
/// When the snapshot cannot be read or the server cannot be asked; what differs is no error.
pub async fn compare(
    repository: &Repository,
    tree: &TreeId,
    spec: &PostgresSpec,
    names: &BTreeMap<String, String>,
    cx: &Context,
) -> Result<Comparison, RestoreError> {
    let files = Files::new(repository, tree);
    let manifest = files.manifest().await?;
    let server = Server::new(spec)?;
    let mut comparison = Comparison::default();
    for database in &manifest.databases {
        let name = names.get(&database.name).unwrap_or(&database.name);
        let found = verify::database(&files, &server, &manifest, database, name, spec.connections, cx).await?;
        comparison.absorb(found);
    }
    Ok(comparison)
}

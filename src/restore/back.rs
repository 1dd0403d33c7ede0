//! What was live is live again: how each kind of data comes back, by what it keeps itself, from whatever state it is in.
//! What had been restored and was live is set aside until told otherwise, however short it was: applications may have
//! written to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::RestoreError;
use super::phases::{SetRecord, Swapped};
use crate::context::Context;
use crate::data::postgres::restore::{self as postgres, Promoted, Refusal};
use crate::data::{DataError, redis, volume as files};
use crate::point::{Home, Member, PointId, load};
use crate::stack::{DataKind, Name, PostgresSpec, RedisSpec, VolumeSpec};

/// How long the sessions of a process that died, or of a task that was ended, may still hold their locks.
pub const LOCKS_GO_WITHIN: Duration = Duration::from_secs(20);

pub fn kind<'a>(home: &'a Home, data: &Name) -> Result<&'a DataKind, RestoreError> {
    let found = home.stack.spec.data.iter().find(|set| set.name == *data);
    found.map(|set| &set.kind).ok_or_else(|| RestoreError::NotInStack { name: data.clone() })
}

pub fn of(data: &Name) -> impl Fn(DataError) -> RestoreError {
    |source| RestoreError::Mend { data: data.clone(), source: Box::new(source) }
}

/// The error and its causes, in a line.
pub fn chain(error: &RestoreError) -> String {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        why = format!("{why}: {error}");
        source = error.source();
    }
    why
}

/// The databases of `set` that carry live names since `run`, by their marks; all of a data set's are swapped in one
/// transaction.
pub async fn swapped_by_their_marks(
    spec: &PostgresSpec,
    run: &str,
    set: &SetRecord,
) -> Result<Vec<Swapped>, DataError> {
    let left = postgres::unfinished(spec).await?;
    // The server may hold other data sets of the run.
    let is_ours = |one: &&postgres::Unfinished| {
        one.run.as_deref() == Some(run) && set.databases.iter().any(|known| known.database == one.database)
    };
    let ours = || left.iter().filter(is_ours);
    if ours().any(|one| matches!(one.stage, postgres::Stage::Filling | postgres::Stage::Swapping)) {
        return Ok(Vec::new()); // beside still
    }
    let replaced: Vec<Swapped> =
        ours().map(|one| Swapped { database: one.database.clone(), former: Some(one.name.clone()) }).collect();
    if replaced.is_empty() && set.databases.iter().any(|known| !known.is_new) {
        return Ok(Vec::new()); // dropped, or not begun
    }
    let new: Vec<Promoted> =
        set.databases.iter().filter(|known| known.is_new).map(|known| nameless(&known.database)).collect();
    let there = postgres::live(spec, &new).await?;
    let new = there.into_iter().map(|database| Swapped { database, former: None });
    Ok(replaced.into_iter().chain(new).collect())
}

fn nameless(database: &str) -> Promoted {
    Promoted { database: database.to_owned(), former: None }
}

pub fn promoted(swapped: &[Swapped]) -> Vec<Promoted> {
    let one = |one: &Swapped| Promoted { database: one.database.clone(), former: one.former.clone() };
    swapped.iter().map(one).collect()
}

/// Every database of `set`, and its former one where it is known: of what was swapped while the journal could not be
/// written it is not, and what was set aside then is found by the database's name.
pub fn all_promoted(set: &SetRecord, swapped: &BTreeMap<Name, Vec<Swapped>>) -> Vec<Promoted> {
    let known = promoted(swapped.get(&set.data).map_or(&[], Vec::as_slice));
    let is_known = |database: &str| known.iter().any(|one| one.database == database);
    let unknown = set.databases.iter().filter(|one| !is_known(&one.database)).map(|one| nameless(&one.database));
    unknown.chain(known.iter().cloned()).collect()
}

/// Whether every former one of `swapped` is kept, and none is on its way back.
pub async fn are_swapped(spec: &PostgresSpec, run: &str, swapped: &[Swapped]) -> Result<bool, DataError> {
    let all = promoted(swapped);
    let kept = postgres::kept(spec, run, &all).await?;
    let aside = kept.iter().any(|name| !all.iter().any(|one| one.former.as_ref() == Some(name)));
    Ok(!aside && all.iter().filter_map(|one| one.former.as_ref()).all(|former| kept.contains(former)))
}

/// The former databases of `swapped` are live again; those that wait beside, and a live one that was closed for it, are
/// dealt with too.
pub async fn databases(spec: &PostgresSpec, run: &str, swapped: &[Swapped]) -> Result<(), DataError> {
    let begun = Instant::now();
    while !swapped.is_empty() {
        match postgres::bring_back(spec, run, &promoted(swapped)).await {
            Ok(()) => break,
            Err(error) if is_locked(&error) && begun.elapsed() < LOCKS_GO_WITHIN => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    postgres::undo(spec).await?;
    Ok(())
}

pub fn is_locked(error: &postgres::RestoreError) -> bool {
    let under_way = |refusal: &Refusal| matches!(refusal, Refusal::UnderWay { .. });
    matches!(error, postgres::RestoreError::Refused(refusals) if refusals.iter().all(under_way))
}

/// The former content of the folder is live again; where what had been restored is kept.
pub async fn volume(spec: &VolumeSpec, run: &str, cx: &Context) -> Result<Option<String>, DataError> {
    let folder = folder_of(spec)?;
    match trace(folder, run, cx).await? {
        None => return Ok(None),
        Some(files::Stage::Discarding { .. }) => drop(files::resume(folder, run, &spec.exclude, cx).await?),
        Some(_) => files::undo(folder, run, cx).await?,
    }
    let is_kept = trace(folder, run, cx).await?.is_some();
    Ok(is_kept.then(|| files::set_aside(folder, run).display().to_string()))
}

/// What the run has left in the folder.
pub async fn trace(folder: &Path, run: &str, cx: &Context) -> Result<Option<files::Stage>, DataError> {
    let runs = files::runs(folder, cx).await?;
    Ok(runs.into_iter().find(|one| one.run == run).map(|one| one.stage))
}

pub fn folder_of(spec: &VolumeSpec) -> Result<&Path, DataError> {
    spec.path.as_deref().ok_or_else(|| DataError::NeedsCluster { claim: spec.claim.clone().unwrap_or_default() })
}

/// The cache holds what `point` has of it: nothing is kept beside a cache.
pub async fn cache(home: &Home, data: &Name, point: &PointId, cx: &Context) -> Result<(), RestoreError> {
    let DataKind::Redis(spec) = kind(home, data)? else { return Ok(()) };
    let member = member(home, point, data, cx).await?;
    hand_over(home, spec, &member, cx).await
}

/// The data set's snapshot in a recovery point.
async fn member(home: &Home, point: &PointId, data: &Name, cx: &Context) -> Result<Member, RestoreError> {
    let points = load(&home.repository, &home.stack.name).await?;
    let point = points.find(&point.to_string(), cx.clock.now())?;
    let member = point.record()?.members.iter().find(|member| member.data == *data).cloned();
    member.ok_or_else(|| RestoreError::MemberMissing { name: data.clone(), point: point.id })
}

async fn hand_over(home: &Home, spec: &RedisSpec, member: &Member, cx: &Context) -> Result<(), RestoreError> {
    let failed = |source: redis::RedisError| of(&member.data)(source.into());
    let options = redis::RestoreOptions { allow_not_empty: true, acl: false };
    let prepared = redis::prepare(&home.repository, &member.tree, spec, &options, cx).await.map_err(failed)?;
    let restored = prepared.hand_over(cx).await.map_err(failed)?;
    for warning in redis::settle(spec, cx).await {
        tracing::warn!(data = %member.data, warning, "a cache is restored, but not on its disk");
    }
    match restored.comparison.differences.first() {
        None => Ok(()),
        Some(first) => Err(RestoreError::CacheDiffers { data: member.data.clone(), first: first.to_string() }),
    }
}

//! Brings a run to its end: forward where everything carries the live names, else back; also a finished one, when told
//! to. Recovery from a crash, a failure on the way and `--undo` are this one path; each step may be done again.

use std::time::{Duration, Instant};

use super::RestoreError;
use super::in_place::folder_of;
use super::kept::Ended;
use super::report::SetAside;
use crate::context::Context;
use crate::data::postgres::restore::{self as postgres, Promoted, Refusal};
use crate::data::{DataError, redis, volume};
use crate::point::{Home, Member, load};
use crate::run::in_place::{Event, Journal, SetRecord, Stage, Swapped};
use crate::stack::{DataKind, Name, PostgresSpec, RedisSpec, VolumeSpec};

/// How long the sessions of a process that died, or of a task that was ended, may still hold their locks.
const LOCKS_GO_WITHIN: Duration = Duration::from_secs(20);

/// To its end: forward where every database carries its live name, else back.
///
/// # Errors
/// The data set that could not be dealt with; the run stays open.
pub async fn resume(home: &Home, journal: &mut Journal, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    match journal.state().stage {
        Stage::Promoting if is_swapped(home, journal).await? => forward(home, journal, cx).await,
        Stage::Begun | Stage::Promoting | Stage::Undoing => back(home, journal, cx).await,
        Stage::Finished => Ok(all(journal, "restored")),
        Stage::Undone | Stage::Discarded => Ok(all(journal, "former")),
    }
}

fn all(journal: &Journal, live: &'static str) -> Vec<Ended> {
    let ended = |set: &SetRecord| Ended::new(&set.data, Some(live));
    journal.state().data.iter().map(ended).collect()
}

pub(super) fn kind<'a>(home: &'a Home, data: &Name) -> Result<&'a DataKind, RestoreError> {
    let found = home.stack.spec.data.iter().find(|set| set.name == *data);
    found.map(|set| &set.kind).ok_or_else(|| RestoreError::NotInStack { name: data.clone() })
}

fn of(data: &Name) -> impl Fn(DataError) -> RestoreError {
    |source| RestoreError::Mend { data: data.clone(), source: Box::new(source) }
}

/// The databases of `data` that carry live names since this run, by the journal or by their markers.
pub(super) async fn swapped(kind: &DataKind, journal: &Journal, data: &Name) -> Result<Vec<Swapped>, DataError> {
    match journal.state().swapped.get(data) {
        Some(known) => Ok(known.clone()),
        None => swapped_by_their_markers(kind, journal, data).await,
    }
}

/// What [`Event::Swapped`] says, before it is said. All databases of a data set are swapped in one transaction.
pub(super) async fn swapped_by_their_markers(
    kind: &DataKind,
    journal: &Journal,
    data: &Name,
) -> Result<Vec<Swapped>, DataError> {
    let DataKind::Postgres(spec) = kind else { return Ok(Vec::new()) };
    let left = postgres::unfinished(spec).await?;
    let set = journal.state().data.iter().find(|set| set.data == *data);
    let databases = || set.into_iter().flat_map(|set| &set.databases);
    // The server may hold other data sets of the run.
    let is_ours = |one: &&postgres::Unfinished| {
        one.run.as_deref() == Some(journal.run()) && databases().any(|known| known.database == one.database)
    };
    let ours = || left.iter().filter(is_ours);
    if ours().any(|one| matches!(one.stage, postgres::Stage::Filling | postgres::Stage::Swapping)) {
        return Ok(Vec::new()); // beside still
    }
    let replaced = ours().map(|one| Swapped { database: one.database.clone(), former: Some(one.name.clone()) });
    let new = databases().filter(|known| known.is_new);
    Ok(replaced.chain(new.map(|new| Swapped { database: new.database.clone(), former: None })).collect())
}

fn promoted(swapped: &[Swapped]) -> Vec<Promoted> {
    let one = |one: &Swapped| Promoted { database: one.database.clone(), former: one.former.clone() };
    swapped.iter().map(one).collect()
}

/// Every database of `data` in the run, and its former one where the journal knows it: where the store was away when they
/// were swapped it does not, and what was set aside then is found by the database's name.
pub(super) fn all_promoted(journal: &Journal, data: &Name) -> Vec<Promoted> {
    let swapped = promoted(journal.state().swapped.get(data).map_or(&[], Vec::as_slice));
    let set = journal.state().data.iter().find(|set| set.data == *data);
    let unknown = set.into_iter().flat_map(|set| &set.databases).filter_map(|known| {
        let is_known = swapped.iter().any(|one| one.database == known.database);
        (!is_known).then(|| Promoted { database: known.database.clone(), former: None })
    });
    unknown.chain(swapped.iter().cloned()).collect()
}

async fn is_swapped(home: &Home, journal: &Journal) -> Result<bool, RestoreError> {
    for set in &journal.state().data {
        let kind = kind(home, &set.data)?;
        let is_database = matches!(kind, DataKind::Postgres(_));
        if is_database && swapped(kind, journal, &set.data).await.map_err(of(&set.data))?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn forward(home: &Home, journal: &mut Journal, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    let sets = journal.state().data.clone();
    for SetRecord { data, .. } in &sets {
        match kind(home, data)? {
            DataKind::Volume(spec) => {
                if !complete_volume(spec, journal.run(), cx).await.map_err(of(data))? {
                    return back(home, journal, cx).await;
                }
            }
            DataKind::Postgres(spec) => {
                if !prove(spec, journal, data, cx).await? {
                    return back(home, journal, cx).await;
                }
            }
            DataKind::Redis(_) => {}
        }
    }
    for SetRecord { data, .. } in &sets {
        if let DataKind::Redis(spec) = kind(home, data)?
            && !journal.state().handed_over.contains(data)
        {
            journal.append(&Event::HandingOver { data: data.clone() }, cx.clock.now()).await?;
            let member = member(home, &journal.state().point, data, cx).await?;
            hand_over(home, spec, &member, cx).await?;
            journal.append(&Event::HandedOver { data: data.clone() }, cx.clock.now()).await?;
        }
    }
    journal.append(&Event::Finished {}, cx.clock.now()).await?;
    Ok(all(journal, "restored"))
}

/// False when the folder is on its way back, or back already: somebody could not write that down.
async fn complete_volume(spec: &VolumeSpec, run: &str, cx: &Context) -> Result<bool, DataError> {
    let folder = folder_of(spec)?;
    Ok(match trace(folder, run, cx).await? {
        Some(volume::Stage::Verified | volume::Stage::Exchanging | volume::Stage::Finished) => {
            volume::resume(folder, run, &spec.exclude, cx).await? == volume::Outcome::New
        }
        _ => false,
    })
}

/// Logs in to what was swapped. False when a login was refused and the former ones are back.
async fn prove(spec: &PostgresSpec, journal: &mut Journal, data: &Name, cx: &Context) -> Result<bool, RestoreError> {
    let failed = |source: postgres::RestoreError| of(data)(source.into());
    let databases = swapped(&DataKind::Postgres(spec.clone()), journal, data).await.map_err(of(data))?;
    if !journal.state().swapped.contains_key(data) {
        let event = Event::Swapped { data: data.clone(), databases: databases.clone() };
        journal.append(&event, cx.clock.now()).await?;
    }
    postgres::undo(spec).await.map_err(failed)?; // what was swapped and not proved yet is proved, or swapped back
    let kept = postgres::kept(spec, journal.run(), &promoted(&databases)).await.map_err(failed)?;
    Ok(databases.iter().filter_map(|one| one.former.as_ref()).all(|former| kept.contains(former)))
}

/// What was live before the run is live again. What had been restored and was live is set aside until told otherwise,
/// however short it was: applications may have written to it.
///
/// # Errors
/// The first data set that could not be brought back; the others were, and the run stays open.
pub async fn back(home: &Home, journal: &mut Journal, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    let had_begun = journal.state().stage != Stage::Begun;
    let (mut ended, mut failed) = (Vec::new(), None);
    if journal.state().stage != Stage::Undoing {
        // A store that is away does not keep live data from being whole again; the run stays open then.
        failed = journal.append(&Event::Undoing {}, cx.clock.now()).await.err().map(RestoreError::from);
    }
    for SetRecord { data, .. } in journal.state().data.clone() {
        match one_back(home, journal, &data, had_begun, cx).await {
            Ok(one) => ended.push(one),
            Err(error) => {
                tracing::error!(%error, %data, run = journal.run(), "a data set could not be brought back");
                failed = failed.or(Some(error));
            }
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    journal.append(&Event::Undone {}, cx.clock.now()).await?;
    Ok(ended)
}

async fn one_back(
    home: &Home,
    journal: &mut Journal,
    data: &Name,
    had_begun: bool,
    cx: &Context,
) -> Result<Ended, RestoreError> {
    let was_finished = journal.state().was_finished;
    let mut ended = Ended::new(data, Some("former"));
    match kind(home, data)? {
        DataKind::Postgres(spec) => {
            if had_begun && !journal.state().brought_back.contains(data) {
                databases_back(spec, journal, data, cx).await?;
            }
            // those that were never swapped, and a live one that was closed for it
            postgres::undo(spec).await.map_err(|error| of(data)(error.into()))?;
            let kept = postgres::kept(spec, journal.run(), &all_promoted(journal, data)).await;
            let kept = kept.map_err(|error| of(data)(error.into()))?;
            ended.set_aside = kept.into_iter().map(|name| SetAside::new(data, "database", name)).collect();
        }
        DataKind::Volume(spec) => {
            let kept = volume_back(spec, journal.run(), cx).await.map_err(of(data))?;
            ended.set_aside = kept.into_iter().map(|name| SetAside::new(data, "folder", name)).collect();
        }
        DataKind::Redis(spec) if journal.state().handing_over.contains(data) => {
            let safety_point = journal.state().safety_point.clone();
            if was_finished {
                ended.live = Some("restored");
                ended.note = Some(format!(
                    "a cache has no former beside it; what it held then: `drydock restore -f FILE --point \
                     {safety_point} --data {data} --in-place`"
                ));
            } else {
                let member = member(home, &safety_point, data, cx).await?;
                hand_over(home, spec, &member, cx).await?;
            }
        }
        DataKind::Redis(_) => {}
    }
    Ok(ended)
}

async fn databases_back(
    spec: &PostgresSpec,
    journal: &mut Journal,
    data: &Name,
    cx: &Context,
) -> Result<(), RestoreError> {
    let databases = swapped(&DataKind::Postgres(spec.clone()), journal, data).await.map_err(of(data))?;
    if databases.is_empty() {
        return Ok(()); // beside still
    }
    let mut written = Ok(());
    if !journal.state().swapped.contains_key(data) {
        let event = Event::Swapped { data: data.clone(), databases: databases.clone() };
        written = journal.append(&event, cx.clock.now()).await; // their markers go now
    }
    let begun = Instant::now();
    loop {
        match postgres::bring_back(spec, journal.run(), &promoted(&databases)).await {
            Ok(()) => break,
            Err(error) if is_locked(&error) && begun.elapsed() < LOCKS_GO_WITHIN => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(of(data)(error.into())),
        }
    }
    written?;
    Ok(journal.append(&Event::BroughtBack { data: data.clone() }, cx.clock.now()).await?)
}

fn is_locked(error: &postgres::RestoreError) -> bool {
    let under_way = |refusal: &Refusal| matches!(refusal, Refusal::UnderWay { .. });
    matches!(error, postgres::RestoreError::Refused(refusals) if refusals.iter().all(under_way))
}

/// The former content is live again; where what had been restored is kept.
async fn volume_back(spec: &VolumeSpec, run: &str, cx: &Context) -> Result<Option<String>, DataError> {
    let folder = folder_of(spec)?;
    let Some(trace) = trace(folder, run, cx).await? else { return Ok(None) };
    if matches!(trace, volume::Stage::Discarding { .. }) {
        volume::resume(folder, run, &spec.exclude, cx).await?;
    } else {
        volume::undo(folder, run, cx).await?;
    }
    let is_kept = trace_is_left(folder, run, cx).await?;
    Ok(is_kept.then(|| volume::set_aside(folder, run).display().to_string()))
}

async fn trace(folder: &std::path::Path, run: &str, cx: &Context) -> Result<Option<volume::Stage>, DataError> {
    let runs = volume::runs(folder, cx).await?;
    Ok(runs.into_iter().find(|one| one.run == run).map(|one| one.stage))
}

async fn trace_is_left(folder: &std::path::Path, run: &str, cx: &Context) -> Result<bool, DataError> {
    Ok(trace(folder, run, cx).await?.is_some())
}

/// The data set's snapshot in a recovery point.
async fn member(home: &Home, point: &str, data: &Name, cx: &Context) -> Result<Member, RestoreError> {
    let points = load(&home.repository, &home.stack.name).await?;
    let point = points.find(point, cx.clock.now())?;
    let member = point.record()?.members.iter().find(|member| member.data == *data).cloned();
    member.ok_or_else(|| RestoreError::MemberMissing { name: data.clone(), point: point.id })
}

async fn hand_over(home: &Home, spec: &RedisSpec, member: &Member, cx: &Context) -> Result<(), RestoreError> {
    let failed = |source: redis::RedisError| of(&member.data)(source.into());
    let options = redis::RestoreOptions { allow_not_empty: true, acl: false };
    let prepared = redis::prepare(&home.repository, &member.tree, spec, &options, cx).await.map_err(failed)?;
    let restored = prepared.hand_over(cx).await.map_err(failed)?;
    for warning in prepared.settle(cx).await {
        tracing::warn!(data = %member.data, warning, "a cache is restored, but not on its disk");
    }
    match restored.comparison.differences.first() {
        None => Ok(()),
        Some(first) => Err(RestoreError::CacheDiffers { data: member.data.clone(), first: first.to_string() }),
    }
}

/// What a finished or undone run has kept goes; there is no way back from that.
///
/// # Errors
/// `Unfinished` while the run is neither.
pub async fn discard(home: &Home, journal: &mut Journal, cx: &Context) -> Result<Vec<Ended>, RestoreError> {
    if journal.state().stage.is_unfinished() {
        return Err(RestoreError::Unfinished { run: journal.run().to_owned() });
    }
    let mut ended = Vec::new();
    for SetRecord { data, .. } in journal.state().data.clone() {
        match kind(home, &data)? {
            DataKind::Postgres(spec) => {
                let dropped = postgres::drop_kept(spec, journal.run(), &all_promoted(journal, &data)).await;
                dropped.map_err(|error| of(&data)(error.into()))?;
            }
            DataKind::Volume(spec) => {
                let folder = folder_of(spec).map_err(of(&data))?;
                if trace_is_left(folder, journal.run(), cx).await.map_err(of(&data))? {
                    let discarded = volume::discard_former(folder, journal.run(), cx).await;
                    discarded.map_err(|error| of(&data)(error.into()))?;
                }
            }
            DataKind::Redis(_) => continue, // it keeps nothing
        }
        ended.push(Ended::new(&data, None));
    }
    if journal.state().stage != Stage::Discarded {
        journal.append(&Event::Discarded {}, cx.clock.now()).await?;
    }
    Ok(ended)
}

//! `--in-place`: mend → safety point → rehearse, fill and verify beside → compare rows with files → promote → hand over. Until the pivot nothing
//! live has changed, and Ctrl-C is heard; from there on all of it becomes live, or none does, whatever fails: the run's
//! journal in the store, and what each data set keeps, tell whoever comes next what to do (`ending`). Caches have no
//! beside and come last; they are read and rehearsed elsewhere before anything else (`data/redis`).

use std::path::Path;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::error::Left;
use super::gate::{self, Filled, Waiting};
use super::plan::{Part, RestorePlan};
use super::references::{self, Look};
use super::report::{ComparedReference, Former, Report, RestoredSet, ms};
use super::{RestoreError, ending, mend, preview, root, safety};
use crate::context::Context;
use crate::data::{DataError, redis, volume};
use crate::point::{DataWord, Home};
use crate::run::RunError;
use crate::run::in_place::{DatabaseRecord, Event, Journal, SetRecord};
use crate::stack::{DataKind, Name, RedisSpec, VolumeSpec};

/// Replaces what is live by what the point holds. A data set that turns out other than recorded is no error: the report
/// says what differs, and nothing of the restore is live. The caller holds the exclusive lock: what is live is a mixture
/// for a moment, and nobody may take a recovery point of it.
pub async fn replace(home: &Home, plan: &RestorePlan, cx: &Context) -> Result<Report, RestoreError> {
    let mut report = plan.report();
    report.mended = mend::what_was_left(home, plan, cx).await?; // live data is whole again before it is saved
    let databases = preview::refuse_early(home, plan, cx).await?;
    let safety = safety::point(home, plan, cx).await?; // the way back
    report.safety_point = Some(safety.id);
    let begun = Event::Begun {
        point: plan.point.to_string(),
        safety_point: safety.id.to_string(),
        data: plan.parts.iter().map(|part| set_record(part, &databases)).collect(),
    };
    let mut journal = Journal::begin(&home.store, &plan.run, &begun, cx.clock.now()).await?;
    let mut beside = Beside::default();
    let filled = async {
        fill(home, plan, &mut beside, cx).await?;
        compare(&Look { home, plan, safety: &safety, databases: &databases }, cx).await
    };
    match filled.await {
        Ok(compared) => report.references = compared,
        Err(trouble) => {
            beside.discard().await;
            let left = ending::back(home, &mut journal, &unstoppable(cx)).await;
            let left = left.map_or_else(Left::open, |_| Left::Untouched);
            return trouble.told(report, plan, left);
        }
    }
    let caches = std::mem::take(&mut beside.caches);
    let deaf = unstoppable(cx); // the pivot: forward or back as a whole
    match promote(&mut journal, beside, &caches, &deaf).await {
        Ok(done) => report.data = done,
        Err(trouble) => {
            let left = ending::back(home, &mut journal, &deaf).await;
            let left = left.map_or_else(Left::open, |ended| Left::back(&plan.run, ended));
            return trouble.told(report, plan, left);
        }
    }
    for (part, prepared) in &caches {
        let warnings = prepared.settle(cx).await;
        report
            .data
            .iter_mut()
            .filter(|set| set.data == *part.name())
            .for_each(|set| set.warnings.clone_from(&warnings));
    }
    Ok(report)
}

fn set_record(part: &Part, databases: &[(Name, DatabaseRecord)]) -> SetRecord {
    let own = databases.iter().filter(|(data, _)| data == part.name()).map(|(_, database)| database.clone());
    SetRecord { data: part.name().clone(), databases: own.collect() }
}

/// All that waits, as recorded, beside what is live.
#[derive(Default)]
struct Beside<'p> {
    caches: Vec<(&'p Part, redis::Prepared)>,
    databases: Vec<Waiting>,
    volumes: Vec<(&'p Part, Instant, volume::Beside)>,
}

/// Why it did not come to its end.
enum Trouble {
    Differs(Box<RestoredSet>),
    /// Rows would point at files that are not there, which the point did not record.
    Gaps(Vec<ComparedReference>),
    References(references::Failed),
    Data {
        data: Name,
        source: Box<DataError>,
    },
    Journal(RunError),
}

impl From<RunError> for Trouble {
    fn from(error: RunError) -> Self {
        Self::Journal(error)
    }
}

impl Trouble {
    /// As the caller reads it, with what is `left`.
    fn told(self, mut report: Report, plan: &RestorePlan, left: Left) -> Result<Report, RestoreError> {
        let (run, safety_point) = (plan.run.clone(), report.safety_point);
        match (self, left) {
            (Self::Differs(restored), left @ Left::Open(_)) => {
                let what = format!("the data set `{}`", restored.data);
                Err(RestoreError::Differs { what, run, safety_point, left })
            }
            (Self::Gaps(_), left @ Left::Open(_)) => {
                let what = "what rows say of their files".to_owned();
                Err(RestoreError::Differs { what, run, safety_point, left })
            }
            (Self::Gaps(compared), _) => {
                report.references = compared;
                Ok(report)
            }
            (Self::References(failed), left) => Err(failed.told(run, safety_point, left)),
            (Self::Differs(restored), left) => {
                report.data.push(*restored);
                if let Left::Back { set_aside, .. } = left {
                    report.set_aside = set_aside;
                }
                Ok(report)
            }
            (Self::Data { data, source }, left) => Err(RestoreError::InPlace { data, run, safety_point, left, source }),
            (Self::Journal(source), left) => {
                Err(RestoreError::Journal { run, safety_point, left, source: Box::new(source) })
            }
        }
    }
}

fn of(part: &Part) -> impl Fn(DataError) -> Trouble {
    |source| Trouble::Data { data: part.name().clone(), source: Box::new(source) }
}

async fn fill<'p>(home: &Home, plan: &'p RestorePlan, beside: &mut Beside<'p>, cx: &Context) -> Result<(), Trouble> {
    for part in plan.of(DataWord::Redis) {
        beside.caches.push((part, rehearse(home, plan, part, cx).await.map_err(of(part))?));
    }
    for part in plan.of(DataWord::Postgres) {
        match gate::fill(home, plan, part, cx).await.map_err(of(part))? {
            Filled::Verified(waiting) => beside.databases.push(*waiting),
            Filled::Differs(restored) => return Err(Trouble::Differs(restored)),
        }
    }
    for part in plan.of(DataWord::Volume) {
        let begun = Instant::now();
        let filled = copy(home, plan, part, cx).await.map_err(of(part))?;
        beside.volumes.push((part, begun, filled));
    }
    Ok(())
}

/// Rows with files, and whether that keeps all of it from going live.
async fn compare(look: &Look<'_>, cx: &Context) -> Result<Vec<ComparedReference>, Trouble> {
    let compared = look.compare(cx).await.map_err(Trouble::References)?;
    match (cx.cancel.is_cancelled(), look.plan.parts.first()) {
        (true, Some(part)) => Err(of(part)(volume::VolumeError::Cancelled.into())),
        _ if look.plan.options.allow_gaps => Ok(compared),
        _ if compared.iter().all(|one| one.comparison.holds()) => Ok(compared),
        _ => Err(Trouble::Gaps(compared)),
    }
}

impl Beside<'_> {
    /// Removes the databases that wait; copies of volumes are `ending`'s to remove.
    async fn discard(self) {
        for waiting in self.databases {
            waiting.discard().await;
        }
    }
}

/// Volumes first, whose exchange can be undone to the byte; then databases; then caches, which nothing brings back but
/// their safety snapshot.
async fn promote(
    journal: &mut Journal,
    mut beside: Beside<'_>,
    caches: &[(&Part, redis::Prepared)],
    cx: &Context,
) -> Result<Vec<RestoredSet>, Trouble> {
    let exchanged = match exchange_all(journal, std::mem::take(&mut beside.volumes), cx).await {
        Ok(exchanged) => exchanged,
        Err(trouble) => {
            beside.discard().await;
            return Err(trouble);
        }
    };
    let mut done = swap_all(journal, beside.databases, cx).await?;
    done.extend(exchanged);
    for (part, prepared) in caches {
        let data = part.name().clone();
        journal.append(&Event::HandingOver { data: data.clone() }, cx.clock.now()).await?;
        let restored = as_recorded(hand_over(part, prepared, cx).await.map_err(of(part))?)?;
        journal.append(&Event::HandedOver { data }, cx.clock.now()).await?;
        done.push(restored);
    }
    journal.append(&Event::Finished {}, cx.clock.now()).await?;
    Ok(done)
}

async fn exchange_all(
    journal: &mut Journal,
    volumes: Vec<(&Part, Instant, volume::Beside)>,
    cx: &Context,
) -> Result<Vec<RestoredSet>, Trouble> {
    journal.append(&Event::Promoting {}, cx.clock.now()).await?;
    let mut exchanged = Vec::new();
    for (part, begun, volume) in volumes {
        exchanged.push(as_recorded(exchange(part, begun, volume, cx).await.map_err(of(part))?)?);
    }
    Ok(exchanged)
}

/// What is live and differs all the same (a folder's own metadata, a cache) is not left so.
fn as_recorded(restored: RestoredSet) -> Result<RestoredSet, Trouble> {
    if restored.comparison.holds() {
        return Ok(restored);
    }
    Err(Trouble::Differs(Box::new(RestoredSet { promoted: false, formers: Vec::new(), ..restored })))
}

/// Every data set's databases get the live names, and only then each is proved by a login.
async fn swap_all(journal: &mut Journal, databases: Vec<Waiting>, cx: &Context) -> Result<Vec<RestoredSet>, Trouble> {
    let mut databases = databases;
    let mut failed = None;
    for waiting in &mut databases {
        let part = waiting.part.clone();
        if let Err(trouble) = swap(journal, &part, waiting, cx).await {
            failed = Some(trouble);
            break;
        }
    }
    let mut done = Vec::new();
    for waiting in databases {
        let part = waiting.part.clone();
        if failed.is_some() {
            waiting.discard().await;
            continue;
        }
        match waiting.prove().await {
            Ok(restored) => done.push(restored),
            Err(error) => failed = Some(of(&part)(error)),
        }
    }
    failed.map_or(Ok(done), Err)
}

async fn swap(journal: &mut Journal, part: &Part, waiting: &mut Waiting, cx: &Context) -> Result<(), Trouble> {
    waiting.swap().await.map_err(of(part))?;
    let found = ending::swapped_by_their_markers(part.kind(), journal, part.name()).await.map_err(of(part))?;
    let swapped = Event::Swapped { data: part.name().clone(), databases: found };
    Ok(journal.append(&swapped, cx.clock.now()).await?)
}

async fn copy(home: &Home, plan: &RestorePlan, part: &Part, cx: &Context) -> Result<volume::Beside, DataError> {
    let root = root::of(home, &part.member).await?;
    let exclude = exclude_of(part).to_vec();
    let options = volume::RestoreOptions { root, exclude, ..volume::RestoreOptions::default() };
    Ok(volume::fill_beside(&home.repository, &part.member.tree, folder(part)?, &plan.run, &options, cx).await?)
}

async fn exchange(part: &Part, begun: Instant, volume: volume::Beside, cx: &Context) -> Result<RestoredSet, DataError> {
    let exchanged = volume.exchange(cx).await?;
    let former = Former { data: part.name().clone(), kind: "folder", name: exchanged.former.display().to_string() };
    Ok(RestoredSet {
        data: part.name().clone(),
        kind: DataWord::Volume,
        to: vec![folder(part)?.display().to_string()],
        comparison: exchanged.comparison,
        promoted: true,
        formers: vec![former],
        notes: Vec::new(),
        warnings: Vec::new(),
        took_ms: ms(begun.elapsed()),
    })
}

/// From the pivot on nobody stops it: it would be left half-way for nothing.
fn unstoppable(cx: &Context) -> Context {
    Context { cancel: CancellationToken::new(), ..cx.clone() }
}

pub(super) fn folder(part: &Part) -> Result<&Path, DataError> {
    match part.kind() {
        DataKind::Volume(spec) => folder_of(spec),
        DataKind::Postgres(_) | DataKind::Redis(_) => unreachable!("the plan put a volume here"),
    }
}

/// What captures of the part's volume leave out.
pub(super) fn exclude_of(part: &Part) -> &[String] {
    match part.kind() {
        DataKind::Volume(spec) => &spec.exclude,
        DataKind::Postgres(_) | DataKind::Redis(_) => &[],
    }
}

pub(super) fn folder_of(spec: &VolumeSpec) -> Result<&Path, DataError> {
    spec.path.as_deref().ok_or_else(|| DataError::NeedsCluster { claim: spec.claim.clone().unwrap_or_default() })
}

async fn rehearse(home: &Home, plan: &RestorePlan, part: &Part, cx: &Context) -> Result<redis::Prepared, DataError> {
    // It replaces what is there: that is what in place means, and the safety point is the way back.
    let options = redis::RestoreOptions { allow_not_empty: true, acl: plan.options.roles };
    Ok(redis::prepare(&home.repository, &part.member.tree, redis_spec(part), &options, cx).await?)
}

async fn hand_over(part: &Part, prepared: &redis::Prepared, cx: &Context) -> Result<RestoredSet, DataError> {
    let begun = Instant::now();
    let restored = prepared.hand_over(cx).await?;
    let spec = redis_spec(part);
    Ok(RestoredSet {
        data: part.name().clone(),
        kind: DataWord::Redis,
        to: vec![format!("Redis {}:{}", spec.host, spec.port)],
        promoted: true,
        comparison: restored.comparison,
        formers: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
        took_ms: ms(begun.elapsed()),
    })
}

fn redis_spec(part: &Part) -> &RedisSpec {
    match part.kind() {
        DataKind::Redis(spec) => spec,
        DataKind::Postgres(_) | DataKind::Volume(_) => unreachable!("the plan put a cache here"),
    }
}

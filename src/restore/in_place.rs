//! `--in-place`: mend → safety point → rehearse, fill and verify beside → promote. Until the first promotion nothing live
//! has changed; databases wait, verified, until the volumes are verified too. Caches have no beside and come last; they
//! are read and rehearsed elsewhere before anything else (`data/redis`).

use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::gate::{self, Filled, Waiting};
use super::plan::{Part, RestorePlan};
use super::report::{Former, Report, RestoredSet, ms};
use super::{RestoreError, mend, preview, references, root, safety};
use crate::context::Context;
use crate::data::{DataError, redis, volume};
use crate::point::{DataWord, Home};
use crate::stack::{DataKind, Name, RedisSpec, VolumeSpec};

/// Replaces what is live by what the point holds. A data set that turns out other than recorded is no error: the report
/// says what differs, and nothing of the restore is live.
pub async fn replace(home: &Home, plan: &RestorePlan, cx: &Context) -> Result<Report, RestoreError> {
    let mut report = plan.report();
    report.mended = mend::what_was_left(plan, cx).await?; // live data is whole again before it is saved
    preview::refuse_early(home, plan, cx).await?;
    let safety = safety::point(home, plan, cx).await?; // the way back
    report.safety_point = Some(safety.id);
    let mut state = State::default();
    let carried_out = carry_out(home, plan, &mut state, cx).await;
    if carried_out.is_err() {
        state.back_out(cx).await;
    }
    report.data = state.done;
    match carried_out {
        Ok(()) => {
            report.references = references::compare(home, plan, &safety, cx).await?;
            Ok(report)
        }
        Err(Trouble::Differs(restored)) => {
            report.data.push(*restored);
            Ok(report)
        }
        Err(Trouble::Data { data, source }) => {
            let done = report.data.into_iter().map(|set| set.data).collect();
            Err(RestoreError::Data { data, done, live: true, source })
        }
    }
}

/// What was begun: databases that wait, volumes that can be brought back, what is live for good.
#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    exchanged: Vec<Exchanged>,
    done: Vec<RestoredSet>,
}

struct Exchanged {
    folder: PathBuf,
    run: String,
    restored: RestoredSet,
}

/// Why it did not come to its end.
enum Trouble {
    Differs(Box<RestoredSet>),
    Data { data: Name, source: Box<DataError> },
}

fn of(part: &Part) -> impl Fn(DataError) -> Trouble {
    |source| Trouble::Data { data: part.name().clone(), source: Box::new(source) }
}

async fn carry_out(home: &Home, plan: &RestorePlan, state: &mut State, cx: &Context) -> Result<(), Trouble> {
    let mut caches = Vec::new();
    for part in plan.of(DataWord::Redis) {
        caches.push((part, rehearse(home, plan, part, cx).await.map_err(of(part))?));
    }
    for part in plan.of(DataWord::Postgres) {
        match gate::fill(home, plan, part, cx).await.map_err(of(part))? {
            Filled::Verified(waiting) => state.waiting.push(*waiting),
            Filled::Differs(restored) => return Err(Trouble::Differs(restored)),
        }
    }
    for part in plan.of(DataWord::Volume) {
        state.exchanged.push(exchange(home, plan, part, cx).await?);
    }
    while !state.waiting.is_empty() {
        let waiting = state.waiting.remove(0);
        let part = waiting.part.clone();
        state.done.push(waiting.promote().await.map_err(of(&part))?);
    }
    state.done.extend(state.exchanged.drain(..).map(|exchanged| exchanged.restored));
    for (part, prepared) in caches {
        state.done.push(hand_over(part, &prepared, cx).await.map_err(of(part))?);
    }
    Ok(())
}

async fn exchange(home: &Home, plan: &RestorePlan, part: &Part, cx: &Context) -> Result<Exchanged, Trouble> {
    let begun = Instant::now();
    let folder = folder(part).map_err(of(part))?;
    let root = root::of(home, &part.member).await.map_err(of(part))?;
    let options = volume::RestoreOptions { root, ..volume::RestoreOptions::default() };
    let tree = &part.member.tree;
    let exchanged = match volume::restore_in_place(&home.repository, tree, folder, &plan.run, &options, cx).await {
        Ok(exchanged) => exchanged,
        Err(error) => {
            bring_back(folder, &plan.run, cx).await;
            return Err(of(part)(error.into()));
        }
    };
    let former = Former { data: part.name().clone(), kind: "folder", name: exchanged.former.display().to_string() };
    let restored = RestoredSet {
        data: part.name().clone(),
        kind: DataWord::Volume,
        to: vec![folder.display().to_string()],
        comparison: exchanged.comparison,
        promoted: true,
        formers: vec![former],
        notes: Vec::new(),
        warnings: Vec::new(),
        took_ms: ms(begun.elapsed()),
    };
    Ok(Exchanged { folder: folder.to_owned(), run: plan.run.clone(), restored })
}

/// After a failure: the folder is whole again, the former content. What cannot be done now the next restore does first.
async fn bring_back(folder: &Path, run: &str, cx: &Context) {
    let cx = unstoppable(cx);
    let begun = match volume::unfinished(folder, &cx).await {
        Ok(left) => left.iter().any(|left| left.run == run),
        Err(_) => false, // the error that is reported is the one that made us give up
    };
    if begun && let Err(error) = volume::undo(folder, run, &cx).await {
        tracing::error!(%error, %run, "a volume is left half-restored; the next restore, or `drydock restore --undo`, mends it");
    }
}

/// Told to stop or not, what is half-done is brought back.
fn unstoppable(cx: &Context) -> Context {
    Context { cancel: CancellationToken::new(), ..cx.clone() }
}

pub(super) fn folder(part: &Part) -> Result<&Path, DataError> {
    match part.kind() {
        DataKind::Volume(VolumeSpec { path: Some(path), .. }) => Ok(path),
        DataKind::Volume(VolumeSpec { claim, .. }) => {
            Err(DataError::NeedsCluster { claim: claim.clone().unwrap_or_default() })
        }
        DataKind::Postgres(_) | DataKind::Redis(_) => unreachable!("the plan put a volume here"),
    }
}

async fn rehearse(home: &Home, plan: &RestorePlan, part: &Part, cx: &Context) -> Result<redis::Prepared, DataError> {
    // It replaces what is there: that is what in place means, and the safety point is the way back.
    let options = redis::RestoreOptions { allow_not_empty: true, acl: plan.options.roles };
    Ok(redis::prepare(&home.repository, &part.member.tree, redis_spec(part), &options, cx).await?)
}

async fn hand_over(part: &Part, prepared: &redis::Prepared, cx: &Context) -> Result<RestoredSet, DataError> {
    let begun = Instant::now();
    let restored = prepared.hand_over(cx).await?;
    let warnings = prepared.settle(cx).await;
    let spec = redis_spec(part);
    Ok(RestoredSet {
        data: part.name().clone(),
        kind: DataWord::Redis,
        to: vec![format!("Redis {}:{}", spec.host, spec.port)],
        promoted: true,
        comparison: restored.comparison,
        formers: Vec::new(),
        notes: Vec::new(),
        warnings,
        took_ms: ms(begun.elapsed()),
    })
}

fn redis_spec(part: &Part) -> &RedisSpec {
    match part.kind() {
        DataKind::Redis(spec) => spec,
        DataKind::Postgres(_) | DataKind::Volume(_) => unreachable!("the plan put a cache here"),
    }
}

impl State {
    /// Brings back what can be brought back: databases that only wait are dropped, exchanged volumes exchanged again.
    async fn back_out(&mut self, cx: &Context) {
        for waiting in self.waiting.drain(..) {
            waiting.discard().await;
        }
        let cx = unstoppable(cx);
        for Exchanged { folder, run, restored } in self.exchanged.drain(..).rev() {
            if let Err(error) = volume::undo(&folder, &run, &cx).await {
                let data = &restored.data;
                tracing::error!(%error, %data, %run, "a restored volume stays; `drydock restore --undo` brings the former back");
                self.done.push(restored);
            } else if let Err(error) = volume::discard_former(&folder, &run, &cx).await {
                tracing::warn!(%error, %run, "what was restored is kept beside the volume");
            }
        }
    }
}

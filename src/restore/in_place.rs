//! `--in-place`: mend → safety point → rehearse, fill and verify beside → compare rows with files → exchange → swap → prove
//! → hand over, as the steps of a run (`phases`, `work`). Until the first of these that goes live nothing live has changed,
//! and Ctrl-C is heard; from there on all of it becomes live, or none does, whatever fails: the run's journal in the
//! store, and what each data set keeps, tell whoever comes next what to do. Caches have no beside and come last; they are
//! read and rehearsed elsewhere before anything else (`data/redis`).

use std::path::Path;
use std::time::Instant;

use super::back::folder_of;
use super::phases::Told;
use super::plan::{Part, RestorePlan};
use super::report::{Former, RestoredSet, ms};
use super::{RestoreError, evidence, mend, preview, root};
use crate::context::Context;
use crate::data::{DataError, redis, volume};
use crate::point::{DataWord, Home, PointId};
use crate::run::Phase;
use crate::stack::{DataKind, RedisSpec};

/// What replacing what is live by what the point holds comes to, frozen for the run that does it. Everything that can be
/// known to speak against it is asked first; live data is whole when it is. The caller has the right to act on the stack:
/// nobody else may be at it.
///
/// # Errors
/// `Refused`, by the first data set that speaks against it.
pub async fn phases(home: &Home, plan: &RestorePlan, cx: &Context) -> Result<Vec<Phase>, RestoreError> {
    evidence::signer(&home.stack)?; // found out now, not when all is live
    let mended = mend::what_was_left(plan, cx).await?;
    let databases = preview::refuse_early(home, plan, cx).await?;
    Ok(Told::of(plan, &databases, PointId::random(), mended).phases(&home.stack))
}

pub(super) async fn copy(
    home: &Home,
    plan: &RestorePlan,
    part: &Part,
    cx: &Context,
) -> Result<volume::Beside, DataError> {
    let root = root::of(home, &part.member).await?;
    let exclude = exclude_of(part).to_vec();
    let options = volume::RestoreOptions { root, exclude, ..volume::RestoreOptions::default() };
    Ok(volume::fill_beside(&home.repository, &part.member.tree, folder(part)?, &plan.run, &options, cx).await?)
}

pub(super) async fn exchange(
    part: &Part,
    begun: Instant,
    volume: volume::Beside,
    cx: &Context,
) -> Result<RestoredSet, DataError> {
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

pub(super) async fn rehearsed(
    home: &Home,
    plan: &RestorePlan,
    part: &Part,
    cx: &Context,
) -> Result<redis::Prepared, DataError> {
    // It replaces what is there: that is what in place means, and the safety point is the way back.
    let options = redis::RestoreOptions { allow_not_empty: true, acl: plan.options.roles };
    Ok(redis::prepare(&home.repository, &part.member.tree, redis_spec(part), &options, cx).await?)
}

pub(super) async fn hand_over(part: &Part, prepared: &redis::Prepared, cx: &Context) -> Result<RestoredSet, DataError> {
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

//! Puts a snapshot into a running server without touching its disk: drydock plays the primary, the server full-syncs
//! from it and is promoted. Redis has no "beside", and a bad sync leaves it empty or dead, so the order is: read the
//! stored RDB → examine the target → rehearse in a scratch server → hand over → verify over the link → promote → settle.
//! Refuses clusters, Sentinels and what they watch, replicas, servers too old or too small.

mod acl;
mod link;
pub(super) mod primary;
mod rehearse;
mod sandbox;
mod scratch;
mod settle;
mod target;

use serde::Serialize;

use crate::context::Context;
use crate::data::Comparison;
use crate::data::tls::{self, Identity};
use crate::repository::{Repository, TreeId};
use crate::stack::RedisSpec;

use super::connection::Endpoint;
use super::error::RedisError;
use super::stored::{Record, Stored, compare};
use super::{receive, transfer};
use link::{Linked, Route, until_cancelled};
use rehearse::Rehearsal;
use target::{Target, Way};

pub use sandbox::{Sandbox, SandboxNeeds, sandbox_needs};
pub(super) use scratch::find as find_scratch_server;
pub(super) use target::examine;

/// What a restore may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Replace the keys that the target holds.
    pub allow_not_empty: bool,
    /// Also set the users that the server has already, but for the one that restores; otherwise only missing ones.
    pub acl: bool,
}

/// What a restore did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// What the target holds against what was recorded; unless it holds, the restore has failed.
    pub comparison: Comparison,
    /// Keys whose time to live had passed by the time of the comparison, and that were left out of it.
    pub expired_keys: u64,
    /// Users that were set.
    pub acl_users: u64,
    /// What a person must do something about although all is as recorded.
    pub warnings: Vec<String>,
}

/// What a restore would do; nothing has been changed for it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestorePreview {
    /// `10.0.0.5:6379 (redis 7.0.15)`.
    pub target: String,
    /// Keys that are there and would be replaced.
    pub replaced_keys: u64,
    pub keys: u64,
    pub rdb_bytes: u64,
    pub function_libraries: u64,
    /// Version of the server that would rehearse it.
    pub scratch_server: String,
    /// What is there stays until the new is whole; else it goes first.
    pub keeps_former_until_loaded: bool,
    /// Attached replicas: they follow, and lose their former data too.
    pub replicas: Vec<String>,
    pub notes: Vec<String>,
}

/// Says what [`restore`] would do and refuses what it would refuse, but for what only the rehearsal shows.
///
/// # Errors
/// As [`restore`].
pub async fn plan_restore(
    repository: &Repository,
    tree: &TreeId,
    spec: &RedisSpec,
    options: &RestoreOptions,
    cx: &Context,
) -> Result<RestorePreview, RedisError> {
    until_cancelled(cx, async {
        let stored = Stored::open(repository, tree).await?;
        let mut target = fit_target(spec, &stored, options).await?;
        let scratch = rehearse::can_load(&stored, spec.scratch_server.as_deref())?;
        let way = target.way(stored.manifest.used_memory_bytes)?;
        let mut notes = notes_of(&mut target, way);
        if !scratch.is_like(&target.version) {
            notes.push(format!("the rehearsal is by {scratch}, the target is {}", target.version));
        }
        Ok(RestorePreview {
            target: format!("{} ({})", target.address(), target.version),
            replaced_keys: target.info.keys(),
            keys: stored.manifest.keys(),
            rdb_bytes: stored.rdb_bytes,
            function_libraries: stored.manifest.functions.libraries,
            scratch_server: scratch.to_string(),
            keeps_former_until_loaded: way == Way::Beside,
            replicas: target.info.replicas().iter().map(|r| format!("{}:{}", r.host, r.port)).collect(),
            notes,
        })
    })
    .await
}

/// A restore that has passed everything that can be tried without the target: the stored RDB was read to its checksum and
/// rehearsed, the target looked at. Nothing of the target has changed.
#[derive(Debug)]
pub struct Prepared {
    stored: Stored,
    rehearsal: Rehearsal,
    repository: Repository,
    spec: RedisSpec,
    options: RestoreOptions,
}

/// Reads, examines and rehearses; what follows is [`Prepared::hand_over`]. Of several data sets this one can so be refused
/// before any of the others is replaced.
///
/// # Errors
/// What speaks against the snapshot, the target or this machine; the target is untouched.
pub async fn prepare(
    repository: &Repository,
    tree: &TreeId,
    spec: &RedisSpec,
    options: &RestoreOptions,
    cx: &Context,
) -> Result<Prepared, RedisError> {
    until_cancelled(cx, async {
        let stored = Stored::open(repository, tree).await?;
        as_recorded(&stored, repository, cx).await?;
        let target = fit_target(spec, &stored, options).await?;
        let rehearsal = rehearse::rehearse(&stored, repository, spec.scratch_server.as_deref(), cx).await?;
        target.way(rehearsal.data_bytes)?;
        let (repository, spec, options) = (repository.clone(), spec.clone(), *options);
        Ok(Prepared { stored, rehearsal, repository, spec, options })
    })
    .await
}

/// Replaces all that `spec`'s server holds with the snapshot `tree`, verified while no client can write to it:
/// [`prepare`], then [`Prepared::hand_over`].
///
/// # Errors
/// As both.
///
/// # Cancel safety
/// None when it is dropped: cancel by `cx`.
pub async fn restore(
    repository: &Repository,
    tree: &TreeId,
    spec: &RedisSpec,
    options: &RestoreOptions,
    cx: &Context,
) -> Result<Restored, RedisError> {
    let prepared = prepare(repository, tree, spec, options, cx).await?;
    let mut restored = prepared.hand_over(cx).await?;
    restored.warnings.extend(settle(spec, cx).await);
    Ok(restored)
}

impl Prepared {
    /// Replaces what the server holds. Until the link is up nothing of it has changed. From then on every way out,
    /// cancellation too, ends with `REPLICAOF NO ONE` and the former `repl-diskless-load`.
    ///
    /// # Errors
    /// [`RedisError::Target`] and others before the hand-over: the target is untouched. [`RedisError::Sync`] after it:
    /// what it holds is the former data (`swapdb`) or nothing. [`RedisError::StillReplica`] when even the undo failed.
    pub async fn hand_over(&self, cx: &Context) -> Result<Restored, RedisError> {
        let Self { stored, rehearsal, repository, spec, options } = self;
        let looked_again = until_cancelled(cx, async {
            let target = fit_target(spec, stored, options).await?; // it may have changed since it was prepared
            let way = target.way(rehearsal.data_bytes)?;
            Ok((target, way))
        });
        let (mut target, way) = looked_again.await?;
        let (mut comparison, expired_keys) = replace(&mut target, spec, stored, repository, way, cx).await?;
        comparison.notes.extend(notes_of(&mut target, way));
        comparison.notes.extend(difference_of_versions(rehearsal, &target));
        let mut connection = target.endpoint.connect().await?;
        let users = acl::set(&mut connection, &stored.users(repository).await?, options.acl).await?;
        if users.set > 0 {
            comparison.count("aclUsers", users.set);
        }
        comparison.notes.extend(users.notes);
        for (name, said) in users.refused {
            comparison.differs(format!("ACL user {name}"), "set", format!("refused: {said}"));
        }
        Ok(Restored { comparison, expired_keys, acl_users: users.set, warnings: Vec::new() })
    }
}

/// Waits until what was handed over lies on the server's own disk, as far as it keeps anything there; cancelled, it waits no
/// longer. Returns what a person must know: why a restart would bring the former data back.
pub async fn settle(spec: &RedisSpec, cx: &Context) -> Vec<String> {
    let look = async {
        let mut connection = Endpoint::new(spec)?.connect().await?;
        settle::on_disk(&mut connection).await
    };
    match until_cancelled(cx, look).await {
        Ok(warnings) => warnings,
        Err(error) => vec![format!(
            "it is not known whether the restored data lies on the server's disk ({error}): if not, a restart brings the \
             former data back; `BGSAVE`, or `BGREWRITEAOF` where it keeps an append-only file"
        )],
    }
}

/// Makes a primary again of a server that a killed restore has left as a replica of nobody; says so where it did. What
/// the server holds then is what it held when drydock died: the former data, the new, or none.
///
/// # Errors
/// As [`restore`], when the server cannot be asked or may not be restored into.
pub async fn undo(spec: &RedisSpec, cx: &Context) -> Result<Option<String>, RedisError> {
    until_cancelled(cx, async {
        let endpoint = Endpoint::new(spec)?;
        let mut target = target::examine(&endpoint, spec.listen_address).await?;
        if !target.leftover {
            return Ok(None);
        }
        target.connection.command(&["REPLICAOF", "NO", "ONE"]).await?;
        reset(&target, Way::Beside).await?;
        Ok(Some(format!("Redis {} was left a replica of nobody and is a primary again", target.address())))
    })
    .await
}

/// The stored RDB is read to its checksum and holds what the manifest says, before anything is begun.
async fn as_recorded(stored: &Stored, repository: &Repository, cx: &Context) -> Result<(), RedisError> {
    let task = cx.progress.task("read the stored RDB", stored.rdb_bytes, 0);
    let contents = stored.read(repository, None, &task).await?;
    task.finish();
    let comparison = compare(&Record::of(&stored.manifest), &Record::found(&contents));
    match comparison.differences.first() {
        None => Ok(()),
        Some(first) => {
            let difference = format!("{}: {} where {} was recorded", first.what, first.found, first.expected);
            Err(RedisError::NoSnapshot(format!("its RDB is not the one of its manifest ({difference})")))
        }
    }
}

async fn fit_target(spec: &RedisSpec, stored: &Stored, options: &RestoreOptions) -> Result<Target, RedisError> {
    let endpoint = Endpoint::new(spec)?;
    let mut target = target::examine(&endpoint, spec.listen_address).await?;
    target.refuse_unless_fit(&stored.manifest, options, spec.cert_file.is_some()).await?;
    Ok(target)
}

/// Hand-over, verification, promotion; whatever happens, the target is a primary afterwards, or the error says that
/// it is not.
async fn replace(
    target: &mut Target,
    spec: &RedisSpec,
    stored: &Stored,
    repository: &Repository,
    way: Way,
    cx: &Context,
) -> Result<(Comparison, u64), RedisError> {
    let route = route(target, spec)?;
    let outcome = until_cancelled(cx, async {
        load_beside_or_instead(target, way).await?;
        let task = cx.progress.task(format!("restore into Redis {}", target.address()), stored.rdb_bytes, 0);
        let linked = link::hand_over(&mut target.connection, route, stored, repository, task.clone()).await?;
        task.finish();
        let verified = verify(target, &linked, stored, repository, cx).await?;
        drop(linked);
        Ok(verified)
    })
    .await;
    let released = link::release(&target.endpoint).await;
    let reset = reset(target, way).await;
    match (outcome, released) {
        (Ok(verified), Ok(())) => reset.map(|()| verified),
        (Err(error), Ok(())) => Err(error),
        (Ok(_), Err(undo)) => Err(undo),
        (Err(first), Err(undo)) => {
            let (address, said) = (target.address(), undo.to_string());
            Err(RedisError::StillReplica { address, said, first: Box::new(first) })
        }
    }
}

fn route(target: &Target, spec: &RedisSpec) -> Result<Route, RedisError> {
    let problem = |source| RedisError::Tls { address: target.address(), source };
    let own = Identity::of(spec.cert_file.as_ref(), spec.key_file.as_ref()).map_err(problem)?;
    let tls = own.map(tls::server).transpose().map_err(problem)?;
    Ok(Route { listen: target.reaches_us_at, peers: target.peers.clone(), tls })
}

const DISKLESS_LOAD: &str = "repl-diskless-load";

async fn load_beside_or_instead(target: &mut Target, way: Way) -> Result<(), RedisError> {
    if target.leftover {
        target.connection.command(&["REPLICAOF", "NO", "ONE"]).await?;
    }
    if way == Way::Beside {
        target.connection.command(&["CONFIG", "SET", DISKLESS_LOAD, "swapdb"]).await?;
    }
    Ok(())
}

/// Gives the setting back its former value. A killed drydock has left `swapdb`; nobody knows what was before, so the
/// default is.
async fn reset(target: &Target, way: Way) -> Result<(), RedisError> {
    let Some(former) = target.diskless_load.as_deref().filter(|_| way == Way::Beside) else { return Ok(()) };
    let former = if target.leftover { "disabled" } else { former };
    let mut connection = target.endpoint.connect().await?;
    connection.command(&["CONFIG", "SET", DISKLESS_LOAD, former]).await?;
    Ok(())
}

/// Takes the target's data again while it is still our replica and refuses its clients' writes, and compares it with
/// what was recorded. Keys whose time has passed by the target's own clock, which stands still for no one, are left out
/// on both sides.
async fn verify(
    target: &mut Target,
    linked: &Linked,
    stored: &Stored,
    repository: &Repository,
    cx: &Context,
) -> Result<(Comparison, u64), RedisError> {
    let task = cx.progress.task(format!("verify Redis {}", target.address()), stored.rdb_bytes, 0);
    let transfer = transfer::begin(&target.endpoint).await?;
    // After the fork: what is alive now was alive then.
    let now_ms = target.connection.now_ms().await?;
    let settings = stored.manifest.settings(Some(now_ms));
    let (found, _) = receive::from_server(transfer, None, settings, &target.address(), &task).await?;
    if !linked.is_up() {
        let what = "it dropped the link before it was verified".to_owned();
        return Err(RedisError::Sync { address: target.address(), what });
    }
    let (expected, expired) = if stored.manifest.expires() {
        let contents = stored.read(repository, Some(now_ms), &task).await?;
        (Record::found(&contents), contents.passed_keys)
    } else {
        (Record::of(&stored.manifest), 0)
    };
    task.finish();
    let mut comparison = compare(&expected, &Record::found(&found));
    comparison.count("expiredKeys", expired);
    Ok((comparison, expired))
}

fn notes_of(target: &mut Target, way: Way) -> Vec<String> {
    let mut notes = Vec::new();
    if target.leftover {
        notes.push("a killed drydock had left the server as a replica of nobody; that was undone first".into());
    }
    if way == Way::Replace && target.info.keys() > 0 {
        notes.push(
            "the former keys go before the new ones are loaded: there is no memory for both, or no CONFIG".into(),
        );
    }
    let replicas = target.info.replicas();
    if !replicas.is_empty() {
        let names: Vec<String> = replicas.iter().map(|r| format!("{}:{}", r.host, r.port)).collect();
        notes.push(format!("attached replicas follow and are replaced too: {}", names.join(", ")));
    }
    notes
}

fn difference_of_versions(rehearsal: &Rehearsal, target: &Target) -> Option<String> {
    let note = format!("rehearsed in {}, which is not the target's version ({})", rehearsal.version, target.version);
    (!rehearsal.version.is_like(&target.version)).then_some(note)
}

//! Looks at a store the way a snapshot will use it, and says what would go wrong: now, or one day.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use super::probe::PROBES;
use super::{
    CreateIfAbsent, Created, LocalStore, Location, Menace, S3Store, StorageError, Store, StoreSpec,
    probe_create_if_absent,
};
use crate::context::Context;
use crate::failure::Failure;
use crate::finding::Finding;

const SUBJECT: &str = "repository";

/// restic calls a lock stale after 30 minutes; clocks that differ by a third of that already make two machines
/// disagree about whose lock is alive. S3 itself refuses past 15 minutes.
const SKEW_PROBLEM: SignedDuration = SignedDuration::from_mins(10);
const SKEW_WARNING: SignedDuration = SignedDuration::from_mins(1);

/// Below a tenth, or below this, a snapshot may fill the disk.
const LITTLE_SPACE: u64 = 2 << 30;

/// What a crash has left is no other process's work of this moment any more.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// Looks at everything; each finding that is not good says what to do. Leaves nothing behind.
pub async fn doctor(spec: &StoreSpec, cx: &Context) -> Vec<Finding> {
    match Location::parse(&spec.location) {
        Ok(Location::Folder(folder)) => match LocalStore::open(folder).await {
            Ok(store) => {
                let mut findings = use_it(&store, cx).await;
                findings.extend(look_at_folder(store.folder()));
                findings.extend(leftovers(store.leftovers(LEFTOVER_AGE).await, "temporary files"));
                findings
            }
            Err(error) => vec![problem("the folder cannot be opened", &error)],
        },
        Ok(Location::Bucket { bucket, prefix }) => {
            match S3Store::connect(&bucket, &prefix, &spec.s3, spec.limits).await {
                Ok(store) => {
                    let mut findings = use_it(&store, cx).await;
                    findings.extend(look_at_bucket(&store, spec).await);
                    findings
                }
                Err(error) => vec![problem("the bucket cannot be opened", &error)],
            }
        }
        Err(error) => vec![problem("the location cannot be understood", &error)],
    }
}

/// An error as a finding, with its own hint as the fix where it has one.
fn problem(what: &str, error: &StorageError) -> Finding {
    let fix = match error {
        StorageError::Denied { .. } => {
            "correct the credentials or the store's policy: get, put and list, and delete for `locks/` and `prune`"
                .into()
        }
        error => error.hint().unwrap_or_else(|| "correct what the message names and run `drydock doctor` again".into()),
    };
    Finding::problem(SUBJECT, format!("{what}: {error}"), fix)
}

/// Writes, reads, lists and deletes an object, as every command will.
async fn use_it(store: &dyn Store, cx: &Context) -> Vec<Finding> {
    let key = format!("{PROBES}object-{:032x}", rand::random::<u128>());
    let mut findings = match write_and_read(store, &key, cx).await {
        Ok(findings) => findings,
        Err(error) => {
            // It may be there all the same; that it is not to be deleted either is no news.
            store.delete(&key).await.ok();
            return vec![problem("a probe object could not be written and read", &error)];
        }
    };
    findings.push(create_if_absent(store, &key).await);
    match remove_probes(store, &key, cx).await {
        Ok(()) => {}
        Err(StorageError::Denied { .. }) => findings.push(Finding::warning(
            SUBJECT,
            format!("these credentials may not delete objects of {}: a probe object stays there", store.location()),
            "nothing for snapshots, if `repository/locks/` is excepted; `drydock prune` needs others",
        )),
        Err(error) => findings.push(problem("a probe object could not be deleted", &error)),
    }
    findings
}

/// Removes our probe, and those of doctors that were killed.
async fn remove_probes(store: &dyn Store, ours: &str, cx: &Context) -> Result<(), StorageError> {
    store.delete(ours).await?;
    for object in store.list(PROBES).await? {
        if cx.clock.now().duration_since(object.modified) > SignedDuration::from_hours(24) {
            store.delete(&object.key).await?;
        }
    }
    Ok(())
}

async fn write_and_read(store: &dyn Store, key: &str, cx: &Context) -> Result<Vec<Finding>, StorageError> {
    let location = store.location();
    // Random, so that no cache or compression on the way can answer for the store.
    let mut content = vec![0; 64 * 1024];
    rand::rng().fill_bytes(&mut content);
    let content = Bytes::from(content);
    let before = cx.clock.now();
    let start = std::time::Instant::now();
    store.put(key, vec![content.clone()]).await?;
    let written = start.elapsed();
    let after = cx.clock.now();
    let mut findings = Vec::new();
    if store.get(key).await? != content || store.get_range(key, 1000..2000).await? != content.slice(1000..2000) {
        findings.push(Finding::problem(
            SUBJECT,
            format!("{location} returns other bytes than were written"),
            "do not keep backups there: check the disk, the proxy or the store in between",
        ));
    }
    if !store.list(PROBES).await?.iter().any(|object| object.key == key && object.bytes == content.len() as u64) {
        findings.push(Finding::problem(
            SUBJECT,
            format!("{location} does not list an object that was just written"),
            "use a store whose listings are consistent (all of AWS, MinIO, Ceph and SeaweedFS are)",
        ));
    }
    if findings.is_empty() {
        let detail = format!("{location} is read and written ({} ms for a small object)", written.as_millis());
        findings.push(Finding::good(SUBJECT, detail));
    }
    findings.extend(store.stat(key).await?.map(|object| skew(&location, object.modified, before, after)));
    Ok(findings)
}

/// How far the store's clock is from this machine's, which wrote an object between `before` and `after`.
fn skew(location: &str, stored: Timestamp, before: Timestamp, after: Timestamp) -> Finding {
    // Stores keep whole seconds, cut off.
    let apart = if stored < before {
        before.duration_since(stored) - SignedDuration::from_secs(1)
    } else {
        after.duration_since(stored)
    };
    let apart = apart.max(SignedDuration::ZERO).max(stored.duration_since(after));
    let detail = format!("the clock of {location} and this machine's are {} s apart", apart.as_secs());
    let fix = "set both by NTP: locks, retention and signatures go by these clocks";
    if apart > SKEW_PROBLEM {
        Finding::problem(SUBJECT, detail, fix)
    } else if apart > SKEW_WARNING {
        Finding::warning(SUBJECT, detail, fix)
    } else {
        Finding::good(SUBJECT, format!("the clock of {location} agrees with this machine's"))
    }
}

async fn create_if_absent(store: &dyn Store, there: &str) -> Finding {
    let broken = |what: &str| {
        Finding::problem(
            SUBJECT,
            format!("{} {what}: no second drydock may work on this repository at the same time", store.location()),
            "use a store that honours `If-None-Match: *` (AWS, MinIO, Ceph 19, SeaweedFS from 4.48)",
        )
    };
    match look_for_create_if_absent(store, there).await {
        Ok(CreateIfAbsent::Honoured) => {
            Finding::good(SUBJECT, format!("{} creates an object only once", store.location()))
        }
        Ok(CreateIfAbsent::Ignored) => broken("overwrites an object that was to be created only if absent"),
        Ok(CreateIfAbsent::Races) => broken("lets two creations of one object win at the same time"),
        Ok(CreateIfAbsent::Refused) => broken("does not know how to create an object only if absent"),
        Err(error) => problem("whether objects are created only once could not be found out", &error),
    }
}

/// Races where their traces may be deleted; else by the object that is `there` alone.
async fn look_for_create_if_absent(store: &dyn Store, there: &str) -> Result<CreateIfAbsent, StorageError> {
    match probe_create_if_absent(store).await {
        Err(StorageError::Denied { action: "delete", .. }) => match store.create(there, Bytes::new()).await? {
            Created::Exists => Ok(CreateIfAbsent::Honoured),
            Created::New => Ok(CreateIfAbsent::Ignored),
        },
        seen => seen,
    }
}

fn look_at_folder(folder: &Path) -> Vec<Finding> {
    [permissions(folder), space(folder), kind_of_file_system(folder)].into_iter().flatten().collect()
}

/// Names, sizes and times of snapshots are seen by who may list the folder; the content is encrypted.
fn permissions(folder: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(folder).ok()?.mode();
    let (open, who) = (mode & 0o077, if mode & 0o007 == 0 { "its group" } else { "everybody on this machine" });
    (open != 0).then(|| {
        Finding::warning(
            SUBJECT,
            format!("{} is open to {who} (mode {:04o})", folder.display(), mode & 0o7777),
            format!("chmod 700 {}", folder.display()),
        )
    })
}

fn space(folder: &Path) -> Option<Finding> {
    let it = folder.display();
    let found = match rustix::fs::statvfs(folder) {
        Ok(found) => found,
        Err(error) => {
            let detail = format!("the free space of {it} could not be asked: {error}");
            return Some(Finding::warning(SUBJECT, detail, "look at it with `df`"));
        }
    };
    let (free, total) = (found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize));
    let detail = format!("{it} has {} of {} free", mebibytes(free), mebibytes(total));
    let fix = "free space or use a larger disk before the next snapshot; `drydock forget` and `prune` drop old ones";
    // Some file systems (btrfs) have no fixed number of inodes and say 0.
    if found.f_files > 0 && found.f_favail < 10_000 {
        let detail = format!("{it} has only {} file names (inodes) left", found.f_favail);
        return Some(Finding::warning(SUBJECT, detail, fix));
    }
    Some(if free < LITTLE_SPACE || free < total / 10 {
        Finding::warning(SUBJECT, detail, fix)
    } else {
        Finding::good(SUBJECT, detail)
    })
}

fn mebibytes(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

/// By statfs(2).
const TMPFS_MAGIC: u64 = 0x0102_1994;

fn kind_of_file_system(folder: &Path) -> Option<Finding> {
    let found = rustix::fs::statfs(folder).ok()?;
    (u64::try_from(found.f_type).ok()? == TMPFS_MAGIC).then(|| {
        Finding::problem(
            SUBJECT,
            format!("{} lies in memory (tmpfs) and is gone after a restart", folder.display()),
            "choose a folder on a disk, best of another machine",
        )
    })
}

async fn look_at_bucket(store: &S3Store, spec: &StoreSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(endpoint) = spec.s3.endpoint.as_deref().filter(|e| e.starts_with("http://") && !is_loopback(e)) {
        findings.push(Finding::warning(
            SUBJECT,
            format!(
                "{endpoint} is not encrypted: whoever sees the line sees names and sizes, and can withhold objects"
            ),
            "use an https:// endpoint; for a private authority set `s3.caFile`",
        ));
    }
    match store.menaces().await {
        Ok(menaces) if menaces.is_empty() => {
            findings.push(Finding::good(SUBJECT, "no lifecycle rule of the bucket touches the repository"));
        }
        Ok(menaces) => findings.extend(menaces.iter().map(lifecycle)),
        Err(error) => findings.push(Finding::warning(
            SUBJECT,
            format!("whether the bucket has rules that delete objects could not be found out: {error}"),
            "allow s3:GetLifecycleConfiguration, or make sure that nothing there expires",
        )),
    }
    findings.extend(leftovers(store.leftovers(LEFTOVER_AGE).await, "uploads"));
    findings
}

/// What crashed writes have left: no danger, but it takes space and shows in no listing.
fn leftovers(found: Result<usize, StorageError>, what: &str) -> Option<Finding> {
    match found {
        Ok(0) => None,
        Ok(found) => Some(Finding::warning(
            SUBJECT,
            format!("{found} {what} were left by writes that never ended"),
            "run `drydock prune`, which removes them",
        )),
        Err(error) => Some(problem("what crashed writes have left could not be looked for", &error)),
    }
}

fn lifecycle(menace: &Menace) -> Finding {
    match menace {
        Menace::Expires { rule, when } => Finding::problem(
            SUBJECT,
            format!("the bucket's lifecycle rule {rule} deletes the repository's objects {when}"),
            "remove the rule or give it another prefix; drydock's own retention decides what goes",
        ),
        Menace::ExpiresFormer { rule, when } => Finding::warning(
            SUBJECT,
            format!(
                "the bucket's lifecycle rule {rule} deletes former versions {when}: that is how long an attacker's or a mistaken deletion can be undone"
            ),
            "make it longer than it takes you to notice",
        ),
        Menace::Archives { rule, class } => Finding::problem(
            SUBJECT,
            format!(
                "the bucket's lifecycle rule {rule} moves the repository's objects to {class}, where they cannot be read at once"
            ),
            "remove the rule or give it another prefix",
        ),
    }
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let host =
        host.strip_prefix('[').and_then(|h| h.split(']').next()).or_else(|| host.split(':').next()).unwrap_or(host);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

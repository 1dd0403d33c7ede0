//! Packs: are they there, of the right size, and what is in them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc};

use super::super::index::NO_PANIC;
use super::super::pack::{PackedBlob, packed_size};
use super::super::{BlobId, FileKind, PackId, PackVerdict, Repository, RepositoryError};
use super::files::next;
use super::report::{Findings, Object};
use super::{CheckOptions, ReadData};
use crate::context::Context;

/// Packs that are read or verified at the same time: two cores are kept busy while a third pack is on its way.
const PACKS: usize = 3;

/// Bytes of packs in memory; restic can be told to make packs of 128 MiB, then it is one at a time.
const BUDGET: u64 = 64 << 20;

/// A pack that the index names, held against the store's listing.
struct Held {
    id: PackId,
    blobs: u64,
    expected: u64,
    found: Option<u64>,
    /// The blobs that lie behind its end.
    cut: Vec<BlobId>,
}

/// Compares what the index files name with what the store lists. Returns the packs that are there, with their sizes.
pub async fn check_structure(
    repository: &Repository,
    findings: &mut Findings,
) -> Result<Vec<(PackId, u64)>, RepositoryError> {
    let listed = repository.list_files(FileKind::Pack).await?;
    let listed: HashMap<PackId, u64> = listed.into_iter().map(|file| (PackId(file.id), file.bytes)).collect();
    repository.index().await?;
    let there = repository.clone();
    let compared = tokio::task::spawn_blocking(move || compare(&there, listed));
    let (held, duplicates, unused) = compared.await.map_err(|_| RepositoryError::WorkerLost)?;
    findings.report.duplicate_blobs = duplicates;
    findings.report.unused_packs = unused.len() as u64;
    findings.report.unused_bytes = unused.values().sum();
    let stored = held.iter().filter_map(|pack| Some((pack.id, pack.found?))).collect();
    held.into_iter().for_each(|pack| note_structure(pack, findings));
    Ok(stored)
}

fn note_structure(pack: Held, findings: &mut Findings) {
    let Held { id, blobs, expected, found, cut } = pack;
    findings.report.packs += 1;
    findings.report.blobs += blobs;
    findings.report.pack_bytes += found.unwrap_or(0);
    match found {
        None => {
            findings.damage(Object::Pack(id), format!("it is not in the store, and {blobs} blobs with it"));
            findings.pack_is_gone(id);
        }
        Some(found) if found != expected => {
            findings.damage(Object::Pack(id), format!("it has {found} bytes where the index says {expected}"));
            cut.into_iter().for_each(|blob| findings.blob_is_lost(id, blob));
        }
        Some(_) => {}
    }
}

/// Every pack of the index; how many blobs are further copies of others; what the store has beside.
fn compare(repository: &Repository, mut listed: HashMap<PackId, u64>) -> (Vec<Held>, u64, HashMap<PackId, u64>) {
    let index = repository.index_cell().get().expect("it was read before").read().expect(NO_PANIC);
    let mut hold = |(id, blobs): (PackId, Vec<PackedBlob>)| {
        let found = listed.remove(&id);
        let behind = |blob: &&PackedBlob| found.is_some_and(|f| u64::from(blob.offset) + u64::from(blob.length) > f);
        Held {
            id,
            blobs: blobs.len() as u64,
            expected: packed_size(&blobs),
            found,
            cut: blobs.iter().filter(behind).map(|blob| blob.id).collect(),
        }
    };
    let held = index.by_pack().map(&mut hold).collect();
    let first = index.iter().filter(|at| index.find(at.blob.kind, &at.blob.id).next() == Some(*at)).count();
    (held, (index.len() - first) as u64, listed)
}

/// Reads and verifies the packs that `options` chooses among `stored`.
pub async fn read(
    repository: &Repository,
    stored: &[(PackId, u64)],
    options: &CheckOptions,
    findings: &mut Findings,
    cx: &Context,
) -> Result<(), RepositoryError> {
    if options.read_data == ReadData::None {
        return Ok(());
    }
    let chosen: HashMap<PackId, u64> = options.read_data.choose(stored.to_vec(), options.seed).into_iter().collect();
    let task = cx.progress.task("read packs", chosen.values().sum(), chosen.len() as u64);
    let mut verdicts = std::pin::pin!(verdicts(repository, &chosen));
    while let Some((id, blobs, verdict)) = next(&mut verdicts, cx).await? {
        task.add_bytes(chosen[&id]);
        task.add_items(1);
        match verdict {
            Ok(verdict) => note(id, blobs, verdict, findings),
            Err(error) => findings.take(Object::Pack(id), error)?,
        }
    }
    task.finish();
    Ok(())
}

/// Reads the chosen packs, whose sizes are given, and says of each how many blobs the index lists in it and what is wrong.
/// The index must have been read.
pub fn verdicts(
    repository: &Repository,
    chosen: &HashMap<PackId, u64>,
) -> impl Stream<Item = (PackId, u64, Result<PackVerdict, RepositoryError>)> {
    let budget = Arc::new(Semaphore::new(BUDGET as usize));
    let packs = in_order(repository, chosen.keys().copied().collect());
    let packs = futures_util::stream::unfold(packs, |mut packs| async { Some((packs.recv().await?, packs)) });
    packs
        .map(move |(id, blobs)| {
            let (count, bytes) = (blobs.len() as u64, chosen[&id]);
            let budget = Arc::clone(&budget);
            async move {
                let room = u32::try_from(bytes.min(BUDGET)).expect("the budget is below 4 GiB");
                let _room = budget.acquire_many(room).await.expect("nobody closes the budget");
                (id, count, repository.verify_pack(&id, blobs).await)
            }
        })
        .buffer_unordered(PACKS)
}

fn note(id: PackId, blobs: u64, verdict: PackVerdict, findings: &mut Findings) {
    findings.report.packs_read += 1;
    findings.report.bytes_read += verdict.bytes;
    findings.report.blobs_read += blobs;
    for blob in verdict.lost {
        findings.blob_is_lost(id, blob.id);
    }
    for problem in verdict.problems {
        findings.damage(Object::Pack(id), problem);
    }
}

/// The chosen packs with what the index lists in them, handed out as they are asked for: all at once would be another
/// copy of the index.
fn in_order(repository: &Repository, chosen: HashSet<PackId>) -> mpsc::Receiver<(PackId, Vec<PackedBlob>)> {
    let (packs, receiver) = mpsc::channel(1);
    let repository = repository.clone();
    tokio::task::spawn_blocking(move || {
        let index = repository.index_cell().get().expect("the structure was checked with it").read().expect(NO_PANIC);
        for pack in index.by_pack().filter(|(id, _)| chosen.contains(id)) {
            if packs.blocking_send(pack).is_err() {
                return; // cancelled
            }
        }
    });
    receiver
}

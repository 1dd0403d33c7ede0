//! Takes out of damaged packs what can still be read, and the rest out of the index: what the index no longer lists the
//! next snapshot stores again, and earlier snapshots that need the same have it back. Owns the order copy → index of the
//! copies → index without the damaged packs → old index files go (`docs/ordering.md`, R15); refuses to remove a pack:
//! `prune` does, as it removes whatever no index names.

#[cfg(test)]
#[path = "packs_tests.rs"]
mod tests;

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;
use serde::Serialize;

use super::super::check::verdicts;
use super::super::index::NO_PANIC;
use super::super::prune::go_on;
use super::super::prune::rewrite::index_without;
use super::super::{BlobId, BlobKind, FileKind, Lock, LockKind, PackId, Repository, RepositoryError, WriterOptions};
use super::Bad;
use crate::context::Context;
use crate::failure::{Category, Failure};

/// What was found and done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackRepair {
    pub packs_read: u64,
    /// Packs that are in no index any more.
    pub damaged: Vec<Salvaged>,
    /// Blobs of which there is no copy any more.
    pub lost_blobs: u64,
    /// Packs that could not be read this time; nothing was done about them.
    pub unread_packs: Vec<Bad>,
}

/// A damaged pack and what could be had from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Salvaged {
    pub pack: PackId,
    /// The first of what is wrong with it.
    pub why: String,
    /// Blobs that lie elsewhere now or did already.
    pub saved_blobs: u64,
    pub lost_blobs: u64,
}

impl PackRepair {
    /// What is left to worry about: blobs that are lost, or packs that another attempt may read.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        match (self.lost_blobs, self.unread_packs.is_empty()) {
            (1.., _) => Some(Category::Integrity),
            (0, false) => Some(Category::Unavailable),
            (0, true) => None,
        }
    }
}

type Blob = (BlobKind, BlobId);

/// A damaged pack while it is worked on.
struct Damaged {
    why: String,
    lost: HashSet<Blob>,
}

impl Repository {
    /// Reads the packs that `chosen` names (a list of none means all), and repairs those that are damaged. Interrupted at
    /// any instant it leaves no less than there was; the next run finishes.
    ///
    /// # Errors
    /// `NotExclusive` without an exclusive lock; `Damaged` when an index file cannot be read: repair that first.
    pub async fn repair_packs(
        &self,
        chosen: &[PackId],
        lock: &Lock,
        cx: &Context,
    ) -> Result<PackRepair, RepositoryError> {
        if lock.kind() != LockKind::Exclusive {
            return Err(RepositoryError::NotExclusive);
        }
        let repository = self.with_index(self.read_index().await?);
        let mut report = PackRepair::default();
        let damaged = repository.find_damaged(chosen, &mut report, lock, cx).await?;
        if !damaged.is_empty() {
            let saved = repository.save_what_is_left(&damaged, lock, cx).await?;
            repository.tell(damaged.iter(), &saved, &mut report).await?;
            index_without(&repository, &damaged.keys().copied().collect(), lock, cx).await?;
        }
        if self.index_cell().initialized() {
            self.reload_index().await?;
        }
        Ok(report)
    }

    async fn find_damaged(
        &self,
        chosen: &[PackId],
        report: &mut PackRepair,
        lock: &Lock,
        cx: &Context,
    ) -> Result<HashMap<PackId, Damaged>, RepositoryError> {
        let listed = self.list_files(FileKind::Pack).await?;
        let stored: HashMap<PackId, u64> = listed.into_iter().map(|file| (PackId(file.id), file.bytes)).collect();
        let wanted = match chosen {
            [] => self.index().await?.read().expect(NO_PANIC).packs().to_vec(),
            some => some.to_vec(),
        };
        let wanted: HashMap<PackId, u64> =
            wanted.into_iter().map(|pack| (pack, stored.get(&pack).copied().unwrap_or(0))).collect();
        let task = cx.progress.task("read packs", wanted.values().sum(), wanted.len() as u64);
        let mut damaged = HashMap::new();
        let mut verdicts = std::pin::pin!(verdicts(self, &wanted));
        while let Some((pack, _, verdict)) = go_on(verdicts.next(), lock, cx).await? {
            task.add_bytes(wanted[&pack]);
            task.add_items(1);
            let verdict = match verdict {
                Ok(verdict) => verdict,
                Err(error @ RepositoryError::WorkerLost) => return Err(error),
                Err(error) => {
                    report.unread_packs.push(Bad { what: FileKind::Pack.name(&pack.0), why: error.to_string() });
                    continue;
                }
            };
            report.packs_read += 1;
            // A pack that is as it was written and gives all that the index lists is sound, whatever else it holds.
            if verdict.lost.is_empty() && verdict.as_named {
                continue;
            }
            let why = verdict.problems.into_iter().next().unwrap_or_default();
            let lost = verdict.lost.iter().map(|blob| (blob.kind, blob.id)).collect();
            damaged.insert(pack, Damaged { why, lost });
        }
        task.finish();
        report.unread_packs.sort_unstable_by(|a, b| a.what.cmp(&b.what));
        Ok(damaged)
    }

    /// Stores once more what lies in damaged packs only and can be read; returns that.
    async fn save_what_is_left(
        &self,
        damaged: &HashMap<PackId, Damaged>,
        lock: &Lock,
        cx: &Context,
    ) -> Result<HashSet<Blob>, RepositoryError> {
        let writer = self.writer(WriterOptions::default());
        let mut saved = HashSet::new();
        for kind in [BlobKind::Data, BlobKind::Tree] {
            let wanted = {
                let index = self.index().await?.read().expect(NO_PANIC);
                let readable = |at: &super::super::index::Location| {
                    at.blob.kind == kind && damaged.get(&at.pack).is_some_and(|d| !d.lost.contains(&(kind, at.blob.id)))
                };
                let alone = |id: &BlobId| index.find(kind, id).all(|copy| damaged.contains_key(&copy.pack));
                index.iter().filter(readable).map(|at| at.blob.id).filter(alone).collect::<Vec<_>>()
            };
            let mut blobs = std::pin::pin!(self.fetch_each(kind, wanted).await?);
            while let Some((id, bytes)) = go_on(blobs.next(), lock, cx).await? {
                match bytes {
                    Ok(bytes) => {
                        writer.store_again(kind, id, bytes.into()).await?;
                        saved.insert((kind, id));
                    }
                    Err(error) if error.category() == Category::Integrity => {} // it has been damaged since
                    Err(error) => return Err(error),
                }
            }
        }
        writer.finish().await?;
        Ok(saved)
    }

    /// Fills the report: of each damaged pack's blobs, which are somewhere else.
    async fn tell(
        &self,
        damaged: impl ExactSizeIterator<Item = (&PackId, &Damaged)>,
        saved: &HashSet<Blob>,
        report: &mut PackRepair,
    ) -> Result<(), RepositoryError> {
        let damaged: HashMap<&PackId, &Damaged> = damaged.collect();
        let index = self.index().await?.read().expect(NO_PANIC);
        let mut lost = HashSet::new();
        for (pack, blobs) in index.by_pack() {
            let Some(one) = damaged.get(&pack) else { continue };
            let is_elsewhere = |kind, id: &BlobId| {
                saved.contains(&(kind, *id)) || index.find(kind, id).any(|copy| !damaged.contains_key(&copy.pack))
            };
            let gone: Vec<Blob> =
                blobs.iter().filter(|b| !is_elsewhere(b.kind, &b.id)).map(|b| (b.kind, b.id)).collect();
            report.damaged.push(Salvaged {
                pack,
                why: one.why.clone(),
                saved_blobs: (blobs.len() - gone.len()) as u64,
                lost_blobs: gone.len() as u64,
            });
            lost.extend(gone);
        }
        report.damaged.sort_unstable_by_key(|salvaged| salvaged.pack);
        report.lost_blobs = lost.len() as u64;
        Ok(())
    }
}

//! Brings back an index that is lost, damaged or wrong, from what the packs' own headers say. Owns the order: new index
//! files first, then the bad ones go (`docs/ordering.md`, R13). Refuses to touch a pack: what no header vouches for is
//! reported and stays. [`packs`] takes what is left out of damaged packs.

mod packs;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::index::{IndexFile, IndexPack, NewIndex};
use super::pack::packed_size;
use super::{FileKind, IndexId, Lock, LockKind, PackId, Repository, RepositoryError};
use crate::context::Context;
use crate::failure::{Category, Failure};

pub use packs::{PackRepair, Salvaged};

/// Headers that are asked for at the same time: two small requests each.
const HEADERS: usize = 8;

/// Which index files are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Believe {
    /// What can be read and agrees with the packs' sizes.
    #[default]
    Sound,
    /// None, while a pack's own header can be read.
    Nothing,
}

/// What was found and done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairReport {
    pub packs: u64,
    /// Packs that are in the index now by their own headers.
    pub read_packs: u64,
    pub kept_index_files: u64,
    /// Index files that were replaced, and why.
    pub replaced_index_files: Vec<Bad>,
    /// Packs that an index named and the store does not have.
    pub missing_packs: Vec<PackId>,
    /// Packs that have no sound header: what is in them is found only where an index file still says it. They stay
    /// where they are.
    pub damaged_packs: Vec<Bad>,
    /// Packs that could not be read this time.
    pub unread_packs: Vec<Bad>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bad {
    pub what: String,
    pub why: String,
}

impl RepairReport {
    /// What is left to worry about: damage, or packs that another attempt may read.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        match (self.damaged_packs.is_empty() && self.missing_packs.is_empty(), self.unread_packs.is_empty()) {
            (false, _) => Some(Category::Integrity),
            (true, false) => Some(Category::Unavailable),
            (true, true) => None,
        }
    }
}

impl Repository {
    /// Makes the index name every pack that is there with all its blobs, and nothing else. Interrupted at any instant it
    /// leaves no less than there was; the next run finishes.
    ///
    /// # Errors
    /// `NotExclusive` without an exclusive lock: a pack that somebody is just writing would be listed too early.
    pub async fn repair_index(
        &self,
        believe: Believe,
        lock: &Lock,
        cx: &Context,
    ) -> Result<RepairReport, RepositoryError> {
        if lock.kind() != LockKind::Exclusive {
            return Err(RepositoryError::NotExclusive);
        }
        let listed = self.list_files(FileKind::Pack).await?;
        let stored: HashMap<PackId, u64> = listed.into_iter().map(|file| (PackId(file.id), file.bytes)).collect();
        let mut report = RepairReport { packs: stored.len() as u64, ..RepairReport::default() };
        let sorted = self.sort_indexes(believe, &stored, &mut report, cx).await?;
        let mut new = NewIndex::new(self);
        let mut covered = sorted.covered;
        if believe == Believe::Sound {
            self.take_from_files(&sorted.in_part, &stored, &mut covered, &mut new).await?;
        }
        let unknown = stored.iter().filter(|(id, _)| !covered.contains(id)).map(|(id, bytes)| (*id, *bytes)).collect();
        covered.extend(self.take_from_headers(unknown, &mut new, &mut report, cx).await?);
        // Where a header is damaged or could not be read, an index that fits is better than none.
        self.take_from_files(&sorted.in_part, &stored, &mut covered, &mut new).await?;
        let replaced: Vec<IndexId> = sorted.in_part.into_iter().chain(sorted.useless).collect();
        new.finish(replaced.clone()).await?;
        for id in &replaced {
            if cx.cancel.is_cancelled() {
                return Err(RepositoryError::Cancelled);
            }
            self.remove_file(FileKind::Index, &id.0).await?;
        }
        if self.index_cell().initialized() {
            self.reload_index().await?;
        }
        Ok(report)
    }

    /// Lists packs as bad index files have them, if they are in the store and not listed yet.
    async fn take_from_files(
        &self,
        files: &[IndexId],
        stored: &HashMap<PackId, u64>,
        covered: &mut HashSet<PackId>,
        new: &mut NewIndex<'_>,
    ) -> Result<(), RepositoryError> {
        for id in files {
            for pack in self.load_index_file(id).await?.packs {
                if fits(&pack, stored) && covered.insert(pack.id) {
                    new.push(pack).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads every index file once.
    async fn sort_indexes(
        &self,
        believe: Believe,
        stored: &HashMap<PackId, u64>,
        report: &mut RepairReport,
        cx: &Context,
    ) -> Result<Sorted, RepositoryError> {
        let files = self.list_files(FileKind::Index).await?;
        let task = cx.progress.task("read indexes", 0, files.len() as u64);
        let mut sorted = Sorted::default();
        let mut missing = HashSet::new();
        for meta in files {
            if cx.cancel.is_cancelled() {
                return Err(RepositoryError::Cancelled);
            }
            let id = IndexId(meta.id);
            let why = match self.load_index_file(&id).await {
                Err(RepositoryError::Damaged { how, .. }) => {
                    sorted.useless.push(id);
                    how
                }
                Err(error) => return Err(error),
                Ok(file) => {
                    missing.extend(file.packs.iter().map(|pack| pack.id).filter(|id| !stored.contains_key(id)));
                    match sorted.judge(id, &file, believe, stored) {
                        None => continue,
                        Some(why) => why,
                    }
                }
            };
            report.replaced_index_files.push(Bad { what: FileKind::Index.name(&id.0), why });
            task.add_items(1);
        }
        task.finish();
        report.kept_index_files = sorted.kept;
        report.missing_packs = missing.into_iter().collect();
        report.missing_packs.sort_unstable();
        Ok(sorted)
    }

    /// Lists packs by their own headers; returns those that have a sound one.
    async fn take_from_headers(
        &self,
        packs: Vec<(PackId, u64)>,
        new: &mut NewIndex<'_>,
        report: &mut RepairReport,
        cx: &Context,
    ) -> Result<Vec<PackId>, RepositoryError> {
        let task = cx.progress.task("read packs' headers", 0, packs.len() as u64);
        let mut sound = Vec::new();
        let read = |(id, bytes): (PackId, u64)| async move { (id, self.read_pack_header(&id, bytes).await) };
        let mut headers = std::pin::pin!(stream::iter(packs).map(read).buffer_unordered(HEADERS));
        while let Some((id, header)) = headers.next().await {
            if cx.cancel.is_cancelled() {
                return Err(RepositoryError::Cancelled);
            }
            task.add_items(1);
            let what = FileKind::Pack.name(&id.0);
            match header {
                Ok(blobs) => {
                    report.read_packs += 1;
                    sound.push(id);
                    new.push(IndexPack { id, blobs }).await?;
                }
                Err(RepositoryError::Damaged { how, .. }) => report.damaged_packs.push(Bad { what, why: how }),
                Err(error) if error.category() == Category::Integrity => {
                    report.damaged_packs.push(Bad { what, why: error.to_string() });
                }
                Err(error) => report.unread_packs.push(Bad { what, why: error.to_string() }),
            }
        }
        report.damaged_packs.sort_unstable_by(|a, b| a.what.cmp(&b.what));
        report.unread_packs.sort_unstable_by(|a, b| a.what.cmp(&b.what));
        task.finish();
        Ok(sound)
    }
}

/// The index files by what they are good for.
#[derive(Debug, Default)]
struct Sorted {
    kept: u64,
    /// Packs that a kept file lists.
    covered: HashSet<PackId>,
    /// Some of their packs are right.
    in_part: Vec<IndexId>,
    useless: Vec<IndexId>,
}

impl Sorted {
    /// Why a file cannot stay; `None` = it can.
    fn judge(
        &mut self,
        id: IndexId,
        file: &IndexFile,
        believe: Believe,
        stored: &HashMap<PackId, u64>,
    ) -> Option<String> {
        if believe == Believe::Nothing {
            self.in_part.push(id);
            return Some("every pack's own header was asked".into());
        }
        let wrong = file.packs.iter().filter(|pack| !fits(pack, stored)).count();
        if wrong == 0 {
            self.kept += 1;
            self.covered.extend(file.packs.iter().map(|pack| pack.id));
            return None;
        }
        self.in_part.push(id);
        Some(format!("{wrong} of its packs are not in the store as it says"))
    }
}

fn fits(pack: &IndexPack, stored: &HashMap<PackId, u64>) -> bool {
    stored.get(&pack.id) == Some(&packed_size(&pack.blobs))
}

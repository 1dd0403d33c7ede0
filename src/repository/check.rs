//! Is everything there that a restore would need, and is it what was stored? Owns the finding of damage and of what it
//! touches; refuses to repair anything, and to stop at the first damage.

mod files;
mod packs;
mod report;
mod subset;
#[cfg(test)]
mod tests;
mod trees;

use super::{Repository, RepositoryError, Snapshot, SnapshotId};
use crate::context::Context;
pub(super) use packs::verdicts;
use report::Findings;

pub use report::{CheckReport, Damage, Object, Unread};
pub use subset::{InvalidReadData, ReadData};

/// How much of a repository is read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CheckOptions {
    pub read_data: ReadData,
    /// Where a random sample begins: the same seed takes the same packs of the same repository.
    pub seed: u64,
}

impl Repository {
    /// Checks the structure (every index, snapshot and key can be read; every pack that an index names is there with the
    /// right size; every tree that a snapshot reaches is whole and names only blobs that are there) and, as `options`
    /// says, reads packs: name, header against index, and every blob decrypted, decompressed and hashed.
    ///
    /// Needs a shared lock, or what others write meanwhile may look like damage. Memory: 60 bytes a blob, and a few
    /// packs.
    ///
    /// # Errors
    /// `Cancelled`, or when the store cannot even be listed. Damage and what could not be read are in the report.
    pub async fn check(&self, options: &CheckOptions, cx: &Context) -> Result<CheckReport, RepositoryError> {
        let mut findings = Findings::default();
        files::check_config(self, &mut findings).await?;
        files::check_keys(self, &mut findings).await?;
        let index = files::load_indexes(self, &mut findings, cx).await?;
        let repository = self.with_index(index);
        let snapshots: Vec<(SnapshotId, Snapshot)> = files::load_snapshots(self, &mut findings, cx).await?;
        let stored = packs::check_structure(&repository, &mut findings).await?;
        packs::read(&repository, &stored, options, &mut findings, cx).await?;
        trees::check(&repository, &snapshots, &mut findings, cx).await?;
        Ok(findings.into_report())
    }
}

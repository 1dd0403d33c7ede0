//! Gives back the space of what no snapshot reaches. Owns the order in which nothing is ever missing:
//! pack without index → copy what is needed elsewhere → its index → index without the old packs → old index → old packs.
//! A crash between any two leaves what the next run finishes (`docs/ordering.md`, R8 to R12); refuses a repository
//! in which anything that a snapshot needs is missing, because then its idea of "not needed" is not to be trusted.

mod gather;
mod plan;
pub(super) mod rewrite;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::lock::Kept;
use super::{BlobKind, FileKind, Lock, LockKind, PackId, Repository, RepositoryError, WriterOptions};
use crate::context::Context;
use gather::Needed;
use plan::Decision;

pub use plan::{InvalidMaxUnused, MaxUnused, PruneSummary};

/// Deletions under way: hides a store's latency.
const DELETES: usize = 8;

/// What is to be done, found under a lock and good for as long as it is held; cannot be executed twice.
#[derive(Debug)]
pub struct PrunePlan {
    /// For people: `--dry-run`.
    pub summary: PruneSummary,
    decision: Decision,
    needed: Needed,
    /// A handle of its own: the numbers in `needed` are those of its index.
    repository: Repository,
    lock: Arc<Kept>,
}

impl Repository {
    /// Finds what prune would do. Changes nothing; a shared lock will do to look, executing needs an exclusive one.
    ///
    /// # Errors
    /// `Damaged` or `BlobMissing` where something is missing that a snapshot needs, or an index or tree cannot be read.
    pub async fn plan_prune(
        &self,
        lock: &Lock,
        max_unused: MaxUnused,
        cx: &Context,
    ) -> Result<PrunePlan, RepositoryError> {
        let repository = self.with_index(self.read_index().await?);
        let listed = repository.list_files(FileKind::Pack).await?;
        let listed = listed.into_iter().map(|file| (PackId(file.id), file.bytes)).collect();
        let mut needed = gather::needed(&repository, cx).await?;
        let (packs, unindexed) = gather::facts(&repository, &mut needed, listed).await?;
        let (decision, summary) = plan::decide(packs, unindexed, max_unused)
            .map_err(|how| RepositoryError::Damaged { what: "what snapshots need".into(), how })?;
        Ok(PrunePlan { summary, decision, needed, repository, lock: lock.identity() })
    }

    /// Does what the plan says. Interrupted at any instant it leaves every snapshot whole, and the next run finishes.
    ///
    /// # Errors
    /// `NotExclusive` unless `lock` is exclusive and the one that the plan was made under; `LockLost`, `Cancelled`;
    /// `Denied` from the store, before anything has changed, when these credentials may not delete.
    pub async fn prune(&self, plan: PrunePlan, lock: &Lock, cx: &Context) -> Result<PruneSummary, RepositoryError> {
        if lock.kind() != LockKind::Exclusive || !Arc::ptr_eq(&plan.lock, &lock.identity()) {
            return Err(RepositoryError::NotExclusive);
        }
        let PrunePlan { summary, decision, needed, repository, .. } = plan;
        repository.may_delete().await?;
        repository.delete_packs("remove packs that no index names", &decision.unindexed, lock, cx).await?;
        repository.copy_needed(&decision, &needed, lock, cx).await?;
        let gone = decision.gone();
        needed.must_be_outside(&repository, &gone).await?;
        rewrite::index_without(&repository, &gone, lock, cx).await?;
        let packs: Vec<PackId> = decision.remove.iter().chain(&decision.repack).copied().collect();
        repository.delete_packs("remove packs", &packs, lock, cx).await?;
        if self.index_cell().initialized() {
            self.reload_index().await?;
        }
        Ok(summary)
    }

    /// Asks for the deletion of files that are not there: a store that refuses that would refuse the others, too, after
    /// everything was copied.
    async fn may_delete(&self) -> Result<(), RepositoryError> {
        let nobody = rand::random();
        self.remove_file(FileKind::Index, &nobody).await?;
        self.remove_file(FileKind::Pack, &nobody).await
    }

    /// Stores what is needed of the packs that go once more, and the index that says where.
    async fn copy_needed(
        &self,
        decision: &Decision,
        needed: &Needed,
        lock: &Lock,
        cx: &Context,
    ) -> Result<(), RepositoryError> {
        if decision.repack.is_empty() {
            return Ok(());
        }
        let task = cx.progress.task("repack", decision.repack_bytes, 0);
        let writer = self.writer(WriterOptions::default());
        for kind in [BlobKind::Data, BlobKind::Tree] {
            let wanted = needed.copied(self, kind, &decision.repack).await?;
            let mut blobs = std::pin::pin!(self.fetch_each(kind, wanted).await?);
            while let Some((id, bytes)) = go_on(blobs.next(), lock, cx).await? {
                let bytes = bytes?;
                task.add_bytes(bytes.len() as u64);
                writer.store_again(kind, id, bytes.into()).await?;
            }
        }
        writer.finish().await?;
        task.finish();
        Ok(())
    }

    async fn delete_packs(
        &self,
        what: &str,
        packs: &[PackId],
        lock: &Lock,
        cx: &Context,
    ) -> Result<(), RepositoryError> {
        let task = cx.progress.task(what, 0, packs.len() as u64);
        let delete = |pack: &PackId| {
            let id = pack.0;
            let task = &task;
            async move {
                go_on(std::future::ready(()), lock, cx).await?;
                self.remove_file(FileKind::Pack, &id).await?;
                task.add_items(1);
                Ok::<_, RepositoryError>(())
            }
        };
        stream::iter(packs).map(delete).buffer_unordered(DELETES).try_collect::<()>().await?;
        task.finish();
        Ok(())
    }
}

/// What comes next, unless the lock is lost or the operation cancelled.
pub(super) async fn go_on<T>(next: impl Future<Output = T>, lock: &Lock, cx: &Context) -> Result<T, RepositoryError> {
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(match lock.lost() {
            Some(reason) => RepositoryError::LockLost { reason },
            None => RepositoryError::Cancelled,
        }),
        next = next => Ok(next),
    }
}

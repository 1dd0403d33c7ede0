use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::check::{CheckOptions, CheckReport, ReadData};
use super::super::testing::{Death, Files, MemoryStore, Story, files, noise, open, restore};
use super::super::{BlobId, IndexId, Snapshot, SnapshotId, TreeId};
use super::*;
use crate::failure::{Category, Failure};

const NOTHING_UNUSED: MaxUnused = MaxUnused::Bytes(0);

/// As the command does it: lock, plan, execute.
async fn prune(store: &Arc<MemoryStore>, max_unused: MaxUnused) -> Result<PruneSummary, RepositoryError> {
    let cx = Context::default();
    let repository = open(store).await;
    let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await?;
    let plan = repository.plan_prune(&lock, max_unused, &cx).await?;
    let summary = repository.prune(plan, &lock, &cx).await?;
    lock.release().await?;
    Ok(summary)
}

async fn check(store: &Arc<MemoryStore>) -> CheckReport {
    let options = CheckOptions { read_data: ReadData::All, seed: 0 };
    open(store).await.check(&options, &Context::default()).await.unwrap()
}

/// Every snapshot is there and holds what it held; nothing is damaged.
async fn whole(store: &Arc<MemoryStore>, snapshots: &BTreeMap<SnapshotId, Files>) -> CheckReport {
    let repository = open(store).await;
    let listed: Vec<SnapshotId> = repository.snapshots().await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(listed.len(), snapshots.len());
    for (id, files) in snapshots {
        assert_eq!(&restore(&repository, id).await.unwrap(), files);
    }
    let report = check(store).await;
    assert_eq!(report.category(), None, "{:?}", report.damage);
    report
}

/// Snapshots that share and overlap, some of them forgotten: packs that are needed whole, in part and not at all, a
/// blob that is there twice, a pack that no index names and one that is named and gone.
async fn used_repository() -> Story {
    let mut story = Story::begin().await;
    let part = |n: u64| noise(n, 2000);
    let mut forgotten = Vec::new();
    for n in 0..6_u64 {
        let [own, shared, all] = [part(n), part(100 + n / 2), part(200)];
        let id = story.snapshot(files([("own/data", &own), ("shared", &shared), ("all/of/them", &all)])).await;
        if n % 2 == 0 {
            forgotten.push(id);
        }
    }
    let twice = BlobId(
        sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), part(200))).into(),
    );
    let writer = story.repository.writer(WriterOptions::default());
    writer.store_again(BlobKind::Data, twice, part(200)).await.unwrap();
    writer.finish().await.unwrap();
    for id in forgotten {
        story.forget(id).await;
    }
    // What interrupted writers leave: a pack whose index was never written, and (of another tool) the other way round.
    for n in [900, 901] {
        let before = story.store.keys("repository/");
        let gone = story.snapshot(files([("gone", &part(n))])).await;
        story.forget(gone).await;
        let new = |prefix: &str| {
            let keys = story.store.keys(prefix);
            keys.into_iter().find(|key| !before.contains(key)).unwrap()
        };
        story.store.lose(&new(if n == 900 { "repository/index/" } else { "repository/data/" }));
    }
    story
}

#[tokio::test]
async fn what_no_snapshot_needs_goes_and_the_rest_is_as_before() {
    let story = used_repository().await;
    let before = whole_but_for_the_unneeded(&story).await;
    let cx = Context::default();
    let repository = open(&story.store).await;
    let lock = repository.lock(LockKind::Shared, Duration::ZERO, &cx).await.unwrap();
    let stored = story.store.keys("repository/data/").len();
    let plan = repository.plan_prune(&lock, NOTHING_UNUSED, &cx).await.unwrap();
    let planned = plan.summary;
    lock.release().await.unwrap();
    assert_eq!(story.store.keys("repository/data/").len(), stored, "a plan changes nothing");

    let done = prune(&story.store, NOTHING_UNUSED).await.unwrap();
    assert_eq!(done, planned);
    assert_eq!((done.unindexed_packs, done.missing_packs), (2, 1));
    assert!(done.repacked_packs > 0 && done.removed_packs > 0, "{done:?}");
    let after = whole(&story.store, &story.snapshots).await;
    assert_eq!((after.unused_packs, after.duplicate_blobs, after.index_files), (0, 0, 1));
    assert_eq!(after.blobs, done.used_blobs);
    assert!(after.pack_bytes < before.pack_bytes);
    // Nothing is left to do, and doing it changes nothing.
    let keys = story.store.keys("repository/");
    let again = prune(&story.store, NOTHING_UNUSED).await.unwrap();
    assert_eq!((again.freed_bytes, again.unused_bytes, again.repacked_packs), (0, 0, 0));
    assert_eq!(story.store.keys("repository/"), keys);
}

/// The pack that is named and gone is the only damage, and touches nothing.
async fn whole_but_for_the_unneeded(story: &Story) -> CheckReport {
    let report = check(&story.store).await;
    assert_eq!((report.damage_count, report.damaged_snapshots.len()), (1, 0));
    report
}

/// The process dies before or after each of prune's writes and deletions in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_instant_loses_nothing_and_the_next_run_finishes() {
    let story = used_repository().await;
    let reference = story.store.copy();
    prune(&reference, NOTHING_UNUSED).await.unwrap();
    let finished = whole(&reference, &story.snapshots).await;
    let known: Vec<_> = check(&story.store).await.damage.into_iter().map(|damage| damage.object).collect();
    let mut deaths = 0;
    for write in 0.. {
        let mut survived = false;
        for after in [false, true] {
            let store = story.store.copy();
            survived = !dies_at(&store, Death { write, after }).await;
            // What the dead process had under way must not go on: a copy is what it leaves.
            let store = store.copy();
            for key in store.keys("repository/locks/") {
                store.lose(&key);
            }
            for (id, files) in &story.snapshots {
                assert_eq!(&restore(&open(&store).await, id).await.unwrap(), files, "write {write}, after: {after}");
            }
            // Nor does an index name a pack that is gone: another program would call that damage.
            let report = check(&store).await;
            let new = report.damage.iter().find(|damage| !known.contains(&damage.object));
            assert_eq!(new, None, "write {write}, after: {after}");
            prune(&store, NOTHING_UNUSED).await.unwrap();
            let report = whole(&store, &story.snapshots).await;
            assert_eq!((report.unused_packs, report.duplicate_blobs), (0, 0), "write {write}, after: {after}");
            assert_eq!(report.blobs, finished.blobs);
            deaths += u32::from(!survived);
        }
        if survived {
            break;
        }
    }
    assert!(deaths >= 20, "{deaths} deaths");
}

/// Whether it did die, which it does not when it has fewer writes.
async fn dies_at(store: &Arc<MemoryStore>, death: Death) -> bool {
    let cx = Context::default();
    let repository = open(store).await;
    let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
    store.die(Some(death));
    let plan = repository.plan_prune(&lock, NOTHING_UNUSED, &cx).await.unwrap();
    let result = repository.prune(plan, &lock, &cx).await;
    if let Err(error) = &result {
        assert_eq!(error.category(), Category::Unavailable, "{error}");
    }
    result.is_err()
}

#[tokio::test]
async fn a_little_unused_space_is_left_alone() {
    let story = used_repository().await;
    let all = prune(&story.store.copy(), NOTHING_UNUSED).await.unwrap();
    let summary = prune(&story.store, MaxUnused::Unlimited).await.unwrap();
    assert!(summary.repacked_packs < all.repacked_packs, "only packs of trees: {summary:?}");
    let report = whole(&story.store, &story.snapshots).await;
    assert!(report.duplicate_blobs > 0 || summary.unused_after_bytes > 0);
    assert_eq!(report.unused_packs, 0);
}

#[tokio::test]
async fn nothing_is_pruned_while_something_is_missing() {
    let story = used_repository().await;
    let id = *story.snapshots.keys().next().unwrap();
    let files = story.snapshots[&id].clone();
    let refused = |store: Arc<MemoryStore>| async move {
        let before = store.keys("repository/data/");
        let error = prune(&store, NOTHING_UNUSED).await.unwrap_err();
        assert_eq!(error.category(), Category::Integrity, "{error}");
        assert_eq!(store.keys("repository/data/"), before);
        error.to_string()
    };
    // A pack that a snapshot needs.
    let store = story.store.copy();
    let blob = BlobId(<sha2::Sha256 as sha2::Digest>::digest(&files["own/data"]).into());
    let pack = open(&store).await.read_index().await.unwrap().find(BlobKind::Data, &blob).next().unwrap().pack;
    store.lose(&FileKind::Pack.key(&pack.0));
    let error = refused(store).await;
    assert!(error.starts_with(&format!("what snapshots need is damaged: pack {pack} is not in the store")), "{error}");
    // An index, and so what only it names.
    let store = story.store.copy();
    let key = store.keys("repository/index/").remove(0);
    store.tamper(&key, &b"torn"[..]);
    refused(store).await;
    // A snapshot that cannot be read: what it needs is not known.
    let store = story.store.copy();
    store.tamper(&FileKind::Snapshot.key(&id.0), &b"torn"[..]);
    refused(store).await;
    // A tree that nobody has.
    story.repository.save_snapshot(&Snapshot::new(jiff::Timestamp::UNIX_EPOCH, TreeId([7; 32]))).await.unwrap();
    assert_eq!(refused(story.store.clone()).await, format!("Tree blob {} is in no index", TreeId([7; 32])));
}

#[tokio::test]
async fn credentials_that_may_not_delete_are_told_before_anything_changes() {
    let story = used_repository().await;
    for folder in ["repository/data/", "repository/index/"] {
        let store = story.store.copy();
        store.undeletable.lock().unwrap().push(folder.into());
        let before = store.keys("repository/");
        let error = prune(&store, NOTHING_UNUSED).await.unwrap_err();
        assert!(error.to_string().contains("these credentials may not"), "{error}");
        let now: Vec<String> = store.keys("repository/").into_iter().filter(|key| !key.contains("/locks/")).collect();
        assert_eq!(now, before);
    }
}

#[tokio::test]
async fn a_plan_needs_the_exclusive_lock_under_which_it_was_made() {
    let story = used_repository().await;
    let cx = Context::default();
    let lock = story.repository.lock(LockKind::Shared, Duration::ZERO, &cx).await.unwrap();
    let plan = story.repository.plan_prune(&lock, NOTHING_UNUSED, &cx).await.unwrap();
    let error = story.repository.prune(plan, &lock, &cx).await.unwrap_err();
    assert!(matches!(error, RepositoryError::NotExclusive));
    let plan = story.repository.plan_prune(&lock, NOTHING_UNUSED, &cx).await.unwrap();
    lock.release().await.unwrap();
    let later = story.repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
    let error = story.repository.prune(plan, &later, &cx).await.unwrap_err();
    assert!(matches!(error, RepositoryError::NotExclusive), "meanwhile others may have written");
    later.release().await.unwrap();
}

#[tokio::test]
async fn an_open_repository_goes_on_after_a_prune() {
    let mut story = used_repository().await;
    let cx = Context::default();
    story.repository.reload_index().await.unwrap();
    let lock = story.repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
    let plan = story.repository.plan_prune(&lock, NOTHING_UNUSED, &cx).await.unwrap();
    story.repository.prune(plan, &lock, &cx).await.unwrap();
    lock.release().await.unwrap();
    // Among others what was only in packs that are gone: it must be stored again and not be taken for known.
    story.snapshot(files([("again", &noise(1, 2000)), ("new", b"new")])).await;
    let report = whole(&story.store, &story.snapshots).await;
    assert_eq!(report.duplicate_blobs, 0);
}

#[tokio::test]
async fn cancelling_leaves_everything_whole() {
    let story = used_repository().await;
    let cx = Context::default();
    let repository = open(&story.store).await;
    let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
    let plan = repository.plan_prune(&lock, NOTHING_UNUSED, &cx).await.unwrap();
    cx.cancel.cancel();
    let error = repository.prune(plan, &lock, &cx).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Cancelled));
    lock.release().await.unwrap();
    assert_eq!(check(&story.store).await.damaged_snapshots.len(), 0);
    prune(&story.store, NOTHING_UNUSED).await.unwrap();
    whole(&story.store, &story.snapshots).await;
}

#[tokio::test]
async fn every_snapshot_leaves_an_index_and_prune_makes_them_one() {
    let mut story = Story::begin().await;
    for n in 0..4 {
        story.snapshot(files([("f", &noise(n, 500))])).await;
    }
    let old = story.store.keys("repository/index/");
    assert_eq!(old.len(), 4);
    prune(&story.store, MaxUnused::default()).await.unwrap();
    let [new] = &story.store.keys("repository/index/")[..] else { panic!() };
    let id = IndexId(hex::decode(new.rsplit('/').next().unwrap()).unwrap().try_into().unwrap());
    let mut supersedes = story.repository.load_index_file(&id).await.unwrap().supersedes;
    supersedes.sort();
    let names: Vec<String> = supersedes.iter().map(|id| FileKind::Index.key(&id.0)).collect();
    assert_eq!(names, old);
    whole(&story.store, &story.snapshots).await;
}

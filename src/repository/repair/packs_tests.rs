use std::sync::Arc;
use std::time::Duration;

use super::super::super::check::{CheckOptions, CheckReport, ReadData};
use super::super::super::prune::MaxUnused;
use super::super::super::testing::{Death, MemoryStore, Story, files, noise, open, restore};
use super::*;

/// Three snapshots; the data of the first, several blobs, lie in one pack.
async fn story() -> Story {
    let mut story = Story::begin().await;
    story.snapshot(files([("a", &noise(1, 900)), ("b", &noise(2, 900)), ("c", &noise(3, 900))])).await;
    story.snapshot(files([("b", &noise(2, 900)), ("own", &noise(4, 900))])).await;
    story.snapshot(files([("alone", b"alone")])).await;
    story
}

fn location_of(repository: &Repository, content: &[u8]) -> (PackId, usize) {
    use sha2::Digest;
    let id = BlobId(sha2::Sha256::digest(content).into());
    let index = repository.index_cell().get().unwrap().read().unwrap();
    let at = index.find(BlobKind::Data, &id).next().unwrap();
    (at.pack, at.blob.offset as usize)
}

fn pack_of(repository: &Repository, content: &[u8]) -> PackId {
    location_of(repository, content).0
}

/// Flips a bit in the blob that holds `content`.
fn damage(story: &Story, content: &[u8]) -> PackId {
    let (pack, offset) = location_of(&story.repository, content);
    let key = FileKind::Pack.key(&pack.0);
    let mut bytes = story.store.bytes(&key).to_vec();
    bytes[offset + 20] ^= 1;
    story.store.tamper(&key, bytes);
    pack
}

async fn repair(store: &Arc<MemoryStore>, chosen: &[PackId]) -> PackRepair {
    let cx = Context::default();
    let repository = open(store).await;
    let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
    let report = repository.repair_packs(chosen, &lock, &cx).await.unwrap();
    lock.release().await.unwrap();
    report
}

async fn check(store: &Arc<MemoryStore>) -> CheckReport {
    let options = CheckOptions { read_data: ReadData::All, seed: 0 };
    open(store).await.check(&options, &Context::default()).await.unwrap()
}

#[tokio::test]
async fn what_is_left_is_saved_and_the_next_snapshot_makes_good_what_is_lost() {
    for named in [false, true] {
        let mut story = story().await;
        let pack = damage(&story, &noise(1, 900));
        let report = repair(&story.store, if named { &[] } else { std::slice::from_ref(&pack) }).await;
        let [salvaged] = &report.damaged[..] else { panic!("{report:?}") };
        assert_eq!((salvaged.pack, salvaged.saved_blobs, salvaged.lost_blobs, report.lost_blobs), (pack, 2, 1, 1));
        assert_eq!(report.category(), Some(Category::Integrity));
        let broken = check(&story.store).await;
        let (first, rest): (Vec<_>, Vec<_>) =
            story.snapshots.keys().partition(|id| broken.damaged_snapshots.contains(*id));
        assert_eq!((first.len(), rest.len()), (1, 2), "the blobs beside it are there again");

        // The same data once more, as a snapshot of what is live would store it.
        let lost = story.snapshots[first[0]].clone();
        story.repository = open(&story.store).await;
        story.snapshot(lost).await;
        let whole = check(&story.store).await;
        assert_eq!((whole.category(), whole.unused_packs), (None, 1), "{:?}", whole.damage);
        for (id, files) in &story.snapshots {
            assert_eq!(&restore(&open(&story.store).await, id).await.unwrap(), files);
        }
        assert_eq!(repair(&story.store, &[]).await.damaged, [], "there is nothing left to do");
        prune(&story.store).await;
        assert!(!story.store.keys("repository/data/").contains(&FileKind::Pack.key(&pack.0)));
    }
}

async fn prune(store: &Arc<MemoryStore>) {
    let cx = Context::default();
    let repository = open(store).await;
    let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
    let plan = repository.plan_prune(&lock, MaxUnused::Unlimited, &cx).await.unwrap();
    repository.prune(plan, &lock, &cx).await.unwrap();
    lock.release().await.unwrap();
}

#[tokio::test]
async fn a_pack_that_is_gone_leaves_the_index_and_a_damaged_header_loses_nothing() {
    let story = story().await;
    let gone = pack_of(&story.repository, b"alone");
    story.store.lose(&FileKind::Pack.key(&gone.0));
    let header = pack_of(&story.repository, &noise(1, 900));
    let key = FileKind::Pack.key(&header.0);
    let mut bytes = story.store.bytes(&key).to_vec();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    story.store.tamper(&key, bytes);
    let report = repair(&story.store, &[]).await;
    let mut found: Vec<_> = report.damaged.iter().map(|s| (s.pack, s.saved_blobs, s.lost_blobs)).collect();
    let mut expected = vec![(gone, 0, 1), (header, 3, 0)];
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let packs = open(&story.store).await.indexed_packs().await.unwrap();
    assert!(!packs.contains(&gone) && !packs.contains(&header));
}

#[tokio::test]
async fn a_crash_at_any_instant_loses_nothing_and_the_next_run_finishes() {
    let story = story().await;
    damage(&story, &noise(1, 900));
    let lost = check(&story.store).await.damaged_snapshots;
    assert_eq!(lost.len(), 1);
    let mut deaths = 0;
    for write in 0.. {
        let mut died = false;
        for after in [false, true] {
            let store = story.store.copy();
            let cx = Context::default();
            let repository = open(&store).await;
            let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
            store.die(Some(Death { write, after }));
            died = repository.repair_packs(&[], &lock, &cx).await.is_err();
            deaths += u32::from(died);
            let store = store.copy();
            store.keys("repository/locks/").iter().for_each(|key| store.lose(key));
            assert_eq!(check(&store).await.damaged_snapshots, lost);
            repair(&store, &[]).await;
            assert_eq!(check(&store).await.damaged_snapshots, lost);
            for (id, files) in story.snapshots.iter().filter(|(id, _)| !lost.contains(id)) {
                assert_eq!(&restore(&open(&store).await, id).await.unwrap(), files);
            }
        }
        if !died {
            break;
        }
    }
    assert!(deaths >= 4, "{deaths} deaths");
}

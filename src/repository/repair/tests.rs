use std::sync::Arc;
use std::time::Duration;

use super::super::check::{CheckOptions, CheckReport, ReadData};
use super::super::testing::{Death, MemoryStore, Story, files, noise, open, restore};
use super::super::{BlobId, BlobKind, SnapshotId};
use super::*;

async fn story() -> Story {
    let mut story = Story::begin().await;
    for n in 0..4_u64 {
        story.snapshot(files([("own", &noise(n, 700)), ("shared", &noise(9, 700)), ("folder/x", b"x")])).await;
    }
    story
}

async fn repair(store: &Arc<MemoryStore>, believe: Believe) -> Result<RepairReport, RepositoryError> {
    let cx = Context::default();
    let repository = open(store).await;
    let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await?;
    let report = repository.repair_index(believe, &lock, &cx).await;
    lock.release().await?;
    report
}

async fn check(store: &Arc<MemoryStore>) -> CheckReport {
    let options = CheckOptions { read_data: ReadData::All, seed: 0 };
    open(store).await.check(&options, &Context::default()).await.unwrap()
}

async fn whole(story: &Story, store: &Arc<MemoryStore>) {
    let report = check(store).await;
    assert_eq!((report.category(), report.unused_packs), (None, 0), "{:?}", report.damage);
    for (id, files) in &story.snapshots {
        assert_eq!(&restore(&open(store).await, id).await.unwrap(), files);
    }
}

fn indexes(store: &MemoryStore) -> Vec<String> {
    store.keys("repository/index/")
}

#[tokio::test]
async fn an_index_that_is_lost_comes_back_from_the_packs() {
    let story = story().await;
    for key in indexes(&story.store) {
        story.store.lose(&key);
    }
    assert!(!check(&story.store).await.damaged_snapshots.is_empty());
    let report = repair(&story.store, Believe::Sound).await.unwrap();
    assert_eq!((report.category(), report.read_packs), (None, report.packs));
    whole(&story, &story.store).await;
}

#[tokio::test]
async fn only_what_is_bad_is_replaced() {
    let story = story().await;
    let keys = indexes(&story.store);
    story.store.tamper(&keys[1], &b"torn"[..]);
    let report = repair(&story.store, Believe::Sound).await.unwrap();
    assert_eq!(report.kept_index_files, 3);
    let name = FileKind::Index.name(&hex::decode(keys[1].rsplit('/').next().unwrap()).unwrap().try_into().unwrap());
    assert_eq!(report.replaced_index_files, [Bad { what: name, why: "its bytes do not hash to its name".into() }]);
    assert!(report.read_packs < report.packs);
    let now = indexes(&story.store);
    assert!([0, 2, 3].iter().all(|n| now.contains(&keys[*n])) && !now.contains(&keys[1]) && now.len() == 4);
    whole(&story, &story.store).await;
    // There is nothing left to do.
    assert_eq!(repair(&story.store, Believe::Sound).await.unwrap().replaced_index_files, []);
    assert_eq!(indexes(&story.store), now);
}

#[tokio::test]
async fn believing_nothing_ends_with_the_same_index() {
    let story = story().await;
    let locations = |index: &super::super::index::Index| {
        let mut all: Vec<_> =
            index.iter().map(|at| (at.pack, at.blob.offset, at.blob.id, at.blob.uncompressed)).collect();
        all.sort_unstable();
        all
    };
    let before = locations(&open(&story.store).await.read_index().await.unwrap());
    let report = repair(&story.store, Believe::Nothing).await.unwrap();
    assert_eq!((report.kept_index_files, report.read_packs), (0, report.packs));
    assert_eq!(locations(&open(&story.store).await.read_index().await.unwrap()), before);
    whole(&story, &story.store).await;
}

#[tokio::test]
async fn packs_that_are_gone_are_forgotten_and_named() {
    let story = story().await;
    let own = BlobId(<sha2::Sha256 as sha2::Digest>::digest(noise(2, 700)).into());
    let pack = open(&story.store).await.read_index().await.unwrap().find(BlobKind::Data, &own).next().unwrap().pack;
    story.store.lose(&FileKind::Pack.key(&pack.0));
    let report = repair(&story.store, Believe::Sound).await.unwrap();
    assert_eq!((report.category(), &report.missing_packs), (Some(Category::Integrity), &vec![pack]));
    let touched: Vec<SnapshotId> = check(&story.store).await.damaged_snapshots.into_iter().collect();
    let [touched] = touched[..] else { panic!("{touched:?}") };
    for (id, files) in &story.snapshots {
        match restore(&open(&story.store).await, id).await {
            Ok(restored) => assert_eq!(&restored, files),
            Err(RepositoryError::BlobMissing { id: missing, .. }) => assert_eq!((*id, missing), (touched, own)),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_pack_whose_header_is_damaged_is_reported_and_stays() {
    let story = story().await;
    let own = BlobId(<sha2::Sha256 as sha2::Digest>::digest(noise(2, 700)).into());
    let pack = open(&story.store).await.read_index().await.unwrap().find(BlobKind::Data, &own).next().unwrap().pack;
    let key = FileKind::Pack.key(&pack.0);
    let mut bytes = story.store.bytes(&key).to_vec();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    story.store.tamper(&key, bytes);
    let report = repair(&story.store, Believe::Nothing).await.unwrap();
    let expected = Bad { what: format!("pack {pack}"), why: "the MAC of its header does not fit".into() };
    assert_eq!((report.category(), report.damaged_packs), (Some(Category::Integrity), vec![expected]));
    assert!(story.store.keys("repository/data/").contains(&key));
    // What an index file said is kept: its blobs can be read all the same.
    for (id, files) in &story.snapshots {
        assert_eq!(&restore(&open(&story.store).await, id).await.unwrap(), files);
    }
}

#[tokio::test]
async fn what_cannot_be_read_now_is_no_damage() {
    let story = story().await;
    story.store.lose(&indexes(&story.store)[0]);
    let keys = story.store.keys("repository/data/");
    keys.iter().for_each(|key| story.store.refuse_to_read(key));
    let report = repair(&story.store, Believe::Sound).await.unwrap();
    assert_eq!(report.category(), Some(Category::Unavailable));
    assert_eq!((report.damaged_packs.len(), report.read_packs), (0, 0));
    // Nothing that was known is forgotten meanwhile.
    let known = open(&story.store).await.read_index().await.unwrap().len();
    let report = repair(&story.store, Believe::Nothing).await.unwrap();
    assert_eq!((report.read_packs, report.unread_packs.len() as u64), (0, report.packs));
    assert_eq!(open(&story.store).await.read_index().await.unwrap().len(), known);
}

#[tokio::test]
async fn a_shared_lock_does_not_do() {
    let story = story().await;
    let cx = Context::default();
    let lock = story.repository.lock(LockKind::Shared, Duration::ZERO, &cx).await.unwrap();
    let result = story.repository.repair_index(Believe::Sound, &lock, &cx).await;
    assert!(matches!(result, Err(RepositoryError::NotExclusive)));
    lock.release().await.unwrap();
}

#[tokio::test]
async fn a_crash_at_any_instant_loses_nothing_and_the_next_run_finishes() {
    let mut story = story().await;
    // One that is right in part: its first pack is there and its second is not needed and gone.
    let before = story.store.keys("repository/data/");
    let gone = story.snapshot(files([("gone", &noise(77, 700))])).await;
    story.forget(gone).await;
    let new: Vec<String> = story.store.keys("repository/data/").into_iter().filter(|k| !before.contains(k)).collect();
    story.store.lose(&new[0]);
    story.store.tamper(&indexes(&story.store)[0], &b"torn"[..]);
    let mut deaths = 0;
    for write in 0.. {
        let mut died = false;
        for after in [false, true] {
            let store = story.store.copy();
            let cx = Context::default();
            let repository = open(&store).await;
            let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
            store.die(Some(Death { write, after }));
            died = repository.repair_index(Believe::Sound, &lock, &cx).await.is_err();
            deaths += u32::from(died);
            let store = store.copy();
            store.keys("repository/locks/").iter().for_each(|key| store.lose(key));
            repair(&store, Believe::Sound).await.unwrap();
            whole(&story, &store).await;
        }
        if !died {
            break;
        }
    }
    assert!(deaths >= 4, "{deaths} deaths");
}

//! Retries and limits by a paused clock: what is tried again, how often, how long it waits, how fast it goes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drydock::storage::fault::{Effect, Fault, Operation, corrupt_at_rest};
use drydock::storage::{
    Created, Faulty, Limited, Limits, LocalStore, RateLimiter, Retry, RetryPolicy, SharedStore, StorageError, Store,
};
use futures_util::future::join_all;
use tokio::time::Instant;

const POLICY: RetryPolicy = RetryPolicy {
    attempts: 5,
    first_contact: 3,
    first_delay: Duration::from_secs(1),
    longest_delay: Duration::from_secs(4),
};

async fn faulty(folder: &tempfile::TempDir) -> Arc<Faulty> {
    Faulty::new(Arc::new(LocalStore::open(folder.path()).await.unwrap()))
}

#[tokio::test(start_paused = true)]
async fn what_is_unavailable_is_tried_again_with_doubling_waits() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = faulty(&folder).await;
    let store = Retry::with_jitter(faulty.clone(), POLICY, || 1.0);
    store.put("a", vec![Bytes::from("a")]).await.unwrap();
    faulty.inject(Fault::new(Effect::FailBefore).on(Operation::Get).times(4));
    let start = Instant::now();
    assert_eq!(store.get("a").await.unwrap(), "a");
    assert_eq!(start.elapsed().as_secs(), 1 + 2 + 4 + 4);
    faulty.inject(Fault::new(Effect::FailBefore).on(Operation::Get).times(5));
    let error = store.get("a").await.unwrap_err();
    assert!(matches!(&error, StorageError::Unavailable { reason, .. } if reason == "injected fault"), "{error}");
    assert_eq!(store.get("a").await.unwrap(), "a", "five tries were made, no sixth");
}

#[tokio::test(start_paused = true)]
async fn jitter_leaves_out_up_to_half_of_a_wait() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = faulty(&folder).await;
    let store = Retry::with_jitter(faulty.clone(), POLICY, || 0.0);
    faulty.inject(Fault::new(Effect::FailBefore).times(2));
    let start = Instant::now();
    store.put("a", vec![]).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 500 + 1000);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answered_is_given_up_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = faulty(&folder).await;
    let store = Retry::with_jitter(faulty.clone(), POLICY, || 1.0);
    faulty.inject(Fault::new(Effect::FailBefore));
    let start = Instant::now();
    store.stat("a").await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 1 + 2, "three tries");
    faulty.heal();
    assert_eq!(store.stat("a").await.unwrap(), None);
    faulty.inject(Fault::new(Effect::FailBefore));
    let start = Instant::now();
    store.stat("a").await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 1 + 2 + 4 + 4, "five tries of one that is known to live");
}

#[tokio::test(start_paused = true)]
async fn answers_are_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = faulty(&folder).await;
    let store = Retry::with_jitter(faulty.clone(), POLICY, || 1.0);
    let start = Instant::now();
    assert!(matches!(store.get("none").await, Err(StorageError::NotFound { .. })));
    faulty.inject(Fault::new(Effect::NoSpace).on(Operation::Put));
    assert!(matches!(store.put("a", vec![]).await, Err(StorageError::NoSpace { .. })));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_was_lost_recognises_itself() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = faulty(&folder).await;
    let store = Retry::with_jitter(faulty.clone(), POLICY, || 1.0);
    faulty.inject(Fault::new(Effect::FailAfter).on(Operation::Create).times(1));
    assert_eq!(store.create("lease/1", "mine".into()).await.unwrap(), Created::New);
    // Somebody else's is not taken for ours, whether the try arrived or not.
    faulty.inject(Fault::new(Effect::FailAfter).on(Operation::Create).times(1));
    assert_eq!(store.create("lease/1", "other".into()).await.unwrap(), Created::Exists);
    faulty.inject(Fault::new(Effect::FailBefore).on(Operation::Create).times(1));
    assert_eq!(store.create("lease/1", "other".into()).await.unwrap(), Created::Exists);
    assert_eq!(store.get("lease/1").await.unwrap(), "mine");
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let store = faulty(&folder).await;
    store.inject(Fault::new(Effect::Tear(3)).on(Operation::Put).key("data/").after(1).times(1));
    store.put("data/a", vec![Bytes::from("whole")]).await.unwrap();
    store.put("data/b", vec![Bytes::from("to"), Bytes::from("rn")]).await.unwrap_err();
    assert_eq!(store.get("data/b").await.unwrap(), "tor");
    store.inject(Fault::new(Effect::Corrupt(1)).on(Operation::Get).times(1));
    assert_eq!(store.get("data/a").await.unwrap(), "w(ole");
    assert_eq!(store.get("data/a").await.unwrap(), "whole");
    corrupt_at_rest(&*store, "data/a", 6).await.unwrap();
    assert_eq!(store.get("data/a").await.unwrap(), "w(ole");
    store.inject(Fault::new(Effect::FailAfter).on(Operation::Delete).times(1));
    store.delete("data/a").await.unwrap_err();
    assert_eq!(store.stat("data/a").await.unwrap(), None);
    store.inject(Fault::new(Effect::Stall(Duration::from_millis(80))).on(Operation::List).times(1));
    let start = std::time::Instant::now();
    assert_eq!(store.list("data/").await.unwrap().len(), 1);
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_in_both_directions_and_not_across() {
    let folder = tempfile::tempdir().unwrap();
    let local = Arc::new(LocalStore::open(folder.path()).await.unwrap());
    let limits = Limits { upload: Some(50_000), download: Some(200_000), concurrency: 8 };
    let store: SharedStore = Limited::new(local, limits);
    let start = Instant::now();
    let puts = (0..11).map(|n| {
        let store = Arc::clone(&store);
        async move { store.put(&format!("data/{n}"), vec![Bytes::from(vec![0; 100_000])]).await.unwrap() }
    });
    join_all(puts).await;
    let took = start.elapsed().as_secs_f64();
    assert!((20.0..20.1).contains(&took), "1.1 MB at 50 kB a second, the first object at once: {took} s");
    // Twenty seconds of silence are not saved up for a burst: the line was taken until second 22.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let start = Instant::now();
    for n in 0..11 {
        store.get(&format!("data/{n}")).await.unwrap();
    }
    let took = start.elapsed().as_secs_f64();
    assert!((5.0..5.1).contains(&took), "1.1 MB at 200 kB a second: {took} s");
}

/// A lease that is not renewed in a minute is lost, and its renewal is a word beside packs.
#[tokio::test(start_paused = true)]
async fn a_word_does_not_wait_behind_data() {
    let folder = tempfile::tempdir().unwrap();
    let local = Arc::new(LocalStore::open(folder.path()).await.unwrap());
    let limits = Limits { upload: Some(50_000), download: None, concurrency: 2 };
    let store: SharedStore = Limited::new(local, limits);
    let packs = (0..6).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.put(&format!("data/{n}"), vec![Bytes::from(vec![0; 1_000_000])]).await })
    });
    let packs: Vec<_> = packs.collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    store.put("lease/1", vec![Bytes::from_static(b"renewed")]).await.unwrap();
    store.create("runs/1/0", Bytes::from_static(b"intended")).await.unwrap();
    assert!(store.stat("lease/1").await.unwrap().is_some());
    store.delete("lease/1").await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for pack in packs {
        pack.await.unwrap().unwrap();
    }
    assert!(start.elapsed() >= Duration::from_secs(98), "data keeps to the rate: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_saved_up() {
    let limiter = RateLimiter::new(1_000);
    limiter.wait(1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let start = Instant::now();
    for _ in 0..4 {
        limiter.wait(1_000).await;
    }
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_allowed_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = faulty(&folder).await;
    faulty.inject(Fault::new(Effect::Stall(Duration::from_secs(1))));
    let store = Limited::new(faulty, Limits { concurrency: 2, ..Limits::default() });
    let start = Instant::now();
    join_all((0..10).map(|_| store.stat("a"))).await;
    assert_eq!(start.elapsed().as_secs(), 5);
}

use std::ops::Range;

use async_trait::async_trait;
use jiff::SignedDuration;

use super::*;
use crate::failure::{Category, Failure};
use crate::repository::testing::{Death, MemoryStore, TestClock};
use crate::storage::{ObjectMeta, Store, Swept};

struct World {
    memory: Arc<MemoryStore>,
    store: SharedStore,
    cx: Context,
}

fn world() -> World {
    let memory = MemoryStore::new();
    let clock: Arc<TestClock> = memory.clock.clone();
    World { store: memory.clone(), memory, cx: Context { clock, ..Context::default() } }
}

impl World {
    async fn acquire(&self, run: &str, wait: Duration) -> Result<Lease, RunError> {
        Lease::acquire(&self.store, Scope::Act, run, wait, &self.cx, |_| ()).await
    }

    /// A lease of a machine that nobody can ask.
    async fn foreign(&self, token: u64) -> Document {
        let document = Document {
            process: "elsewhere/drydock-0-1-2-3".into(),
            ..Document::new(token, "theirs", self.cx.clock.now())
        };
        self.store.put(&key(Scope::Act, token), vec![document.json()]).await.unwrap();
        document
    }
}

#[tokio::test(start_paused = true)]
async fn one_acts_at_a_time_and_tokens_only_grow() {
    let world = world();
    let first = world.acquire("snapshot-shop-1", Duration::ZERO).await.unwrap();
    assert_eq!(first.token(), 1);
    let refused = world.acquire("prune-shop-2", Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("{} is at the run snapshot-shop-1", first.holder()));
    assert_eq!(refused.category(), Category::Locked);
    first.release().await.unwrap();
    let second = world.acquire("prune-shop-2", Duration::ZERO).await.unwrap();
    assert_eq!(second.token(), 2);
    assert!(world.store.stat(&key(Scope::Act, 1)).await.unwrap().is_none(), "former tokens are tidied away");
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_of_the_holder_once_and_goes_on_when_it_is_released() {
    let world = world();
    let first = world.acquire("snapshot-shop-1", Duration::ZERO).await.unwrap();
    let holder = first.holder().to_owned();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(200)).await;
        first.release().await.unwrap();
    });
    let mut heard = Vec::new();
    let begun = Instant::now();
    let second = Lease::acquire(&world.store, Scope::Act, "b", Duration::from_secs(600), &world.cx, |held| {
        heard.push(held.clone())
    })
    .await;
    assert_eq!(second.unwrap().token(), 2);
    assert_eq!(heard, [Held { holder, run: "snapshot-shop-1".into() }]);
    assert!((200..205).contains(&begun.elapsed().as_secs()), "a renewed lease holds: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn another_machines_lease_is_anybodys_once_it_was_not_renewed_by_the_stores_clock() {
    let world = world();
    world.foreign(7).await;
    let begun = Instant::now();
    let own = world.acquire("a", Duration::from_secs(600)).await.unwrap();
    assert_eq!(own.token(), 8);
    assert!(begun.elapsed() >= TTL && begun.elapsed() < TTL + PAUSE * 2, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_of_this_machine_is_known_at_once() {
    let world = world();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let dead = Document { pid: i64::from(child.id()), ..Document::new(3, "theirs", world.cx.clock.now()) };
    world.store.put(&key(Scope::Act, 3), vec![dead.json()]).await.unwrap();
    assert_eq!(world.acquire("a", Duration::ZERO).await.unwrap().token(), 4);
}

#[tokio::test(start_paused = true)]
async fn of_many_that_want_it_one_gets_it() {
    let world = world();
    let all = futures_util::future::join_all((0..8).map(|n| {
        let (store, cx) = (world.store.clone(), world.cx.clone());
        async move { Lease::acquire(&store, Scope::Act, &format!("run-{n}"), Duration::ZERO, &cx, |_| ()).await }
    }));
    let all = all.await;
    assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
    assert!(all.iter().flatten().all(|lease| lease.token() == 1));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_before_another_may_begin() {
    let world = world();
    let lease = world.acquire("a", Duration::ZERO).await.unwrap();
    let begun = Instant::now();
    world.memory.die(Some(Death { write: 0, after: false }));
    lease.lost.cancelled().await;
    assert!(begun.elapsed() <= TTL - MARGIN, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_or_was_overtaken_knows_when_it_wakes() {
    let world = world();
    let slept = world.acquire("a", Duration::ZERO).await.unwrap();
    world.memory.clock.jump(SignedDuration::from_mins(5)); // tokio's timers stood still meanwhile
    let woke = Instant::now();
    slept.lost.cancelled().await;
    assert!(woke.elapsed() <= RENEW);
    slept.release().await.unwrap();
    let overtaken = world.acquire("b", Duration::ZERO).await.unwrap();
    world.foreign(overtaken.token() + 1).await;
    overtaken.lost.cancelled().await;
}

#[tokio::test]
async fn credentials_that_may_not_delete_can_still_act() {
    let world = world();
    world.memory.undeletable.lock().unwrap().push("lease/".into());
    for token in 1..5 {
        let lease = world.acquire("a", Duration::ZERO).await.unwrap();
        assert_eq!(lease.token(), token);
        lease.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn runs_that_are_not_over_are_handed_from_holder_to_holder() {
    let world = world();
    let first = world.acquire("snapshot-shop-1", Duration::ZERO).await.unwrap();
    first.release().await.unwrap(); // it was not over: a person has to look
    let second = world.acquire("prune-shop-2", Duration::ZERO).await.unwrap();
    assert_eq!(second.former(), ["snapshot-shop-1"]);
    drop(second); // as in a crash
    tokio::time::sleep(TTL * 2).await;
    let third = world.acquire("prune-shop-2", Duration::ZERO).await.unwrap();
    assert_eq!(third.former(), ["snapshot-shop-1"], "the run that is taken up is its own");
    third.over("snapshot-shop-1").await.unwrap();
    third.over("prune-shop-2").await.unwrap();
    third.release().await.unwrap();
    let fourth = world.acquire("check-shop-3", Duration::ZERO).await.unwrap();
    assert!(fourth.former().is_empty(), "{:?}", fourth.former());
}

#[tokio::test(start_paused = true)]
async fn a_check_and_a_snapshot_do_not_wait_for_each_other() {
    let world = world();
    let _snapshot = world.acquire("snapshot-shop-1", Duration::ZERO).await.unwrap();
    for scope in [Scope::Check, Scope::Drill] {
        let own = Lease::acquire(&world.store, scope, "beside", Duration::ZERO, &world.cx, |_| ()).await.unwrap();
        let refused = Lease::acquire(&world.store, scope, "another", Duration::ZERO, &world.cx, |_| ()).await;
        assert_eq!(refused.unwrap_err().category(), Category::Locked);
        own.release().await.unwrap();
    }
}

/// While the first listing is on its way to whoever asked, two others come and go.
#[derive(Debug)]
struct Overtaking {
    inner: Arc<MemoryStore>,
    cx: Context,
    overtaken: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Store for Overtaking {
    fn location(&self) -> String {
        self.inner.location()
    }
    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        self.inner.get(key).await
    }
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.get_range(key, range).await
    }
    async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        self.inner.put(key, parts).await
    }
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
        if !self.overtaken.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let store: SharedStore = self.inner.clone();
            for run in ["drill-shop-2", "drill-shop-3"] {
                let other = Lease::acquire(&store, Scope::Act, run, Duration::ZERO, &self.cx, |_| ()).await.unwrap();
                other.release().await.unwrap();
            }
        }
        self.inner.create(key, bytes).await
    }
    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.inner.delete(key).await
    }
    async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        self.inner.stat(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        self.inner.list(prefix).await
    }
    async fn sweep(&self, age: Duration) -> Result<Swept, StorageError> {
        self.inner.sweep(age).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_used_and_tidied_away_meanwhile_gives_no_right_and_loses_no_open_run() {
    let world = world();
    let first = world.acquire("drill-shop-1", Duration::ZERO).await.unwrap();
    first.release().await.unwrap();
    let (inner, cx) = (world.memory.clone(), world.cx.clone());
    let store: SharedStore = Arc::new(Overtaking { inner, cx, overtaken: false.into() });
    let own = Lease::acquire(&store, Scope::Act, "drill-shop-4", Duration::ZERO, &world.cx, |_| ()).await.unwrap();
    assert_eq!(own.token(), 4, "after those who came meanwhile");
    assert_eq!(own.former(), ["drill-shop-1", "drill-shop-2", "drill-shop-3"]);
    assert_eq!(world.memory.keys("lease/0"), [key(Scope::Act, 4)]);
}

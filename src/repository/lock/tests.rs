use std::time::Duration;

use jiff::SignedDuration;

use super::super::testing::{Death, MemoryStore, TestClock, context, open, repository};
use super::*;
use crate::clock::Clock;

const LOCKS: &str = "repository/locks/";
const AT_ONCE: Duration = Duration::ZERO;

fn minutes(n: u64) -> Duration {
    Duration::from_mins(n)
}

/// A lock file as somebody else would leave it.
async fn plant(repository: &Repository, hostname: &str, exclusive: bool) -> LockId {
    let json = format!(
        r#"{{"time":"2026-06-15T12:00:00Z","exclusive":{exclusive},"hostname":"{hostname}","username":"u","pid":1}}"#
    );
    LockId(repository.save_file(FileKind::Lock, json.as_bytes()).await.unwrap())
}

fn locked_by(result: Result<Lock, RepositoryError>) -> String {
    match result {
        Err(RepositoryError::Locked { holder }) => holder,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn shared_locks_live_together_and_an_exclusive_one_alone() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = Context::default();
    let one = repository.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap();
    let two = open(&store).await.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap();
    let holder = locked_by(repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await);
    assert!(holder.starts_with(&format!("PID {} on ", std::process::id())), "{holder}");
    assert_eq!(store.keys(LOCKS).len(), 2, "the one that failed has left nothing");
    one.release().await.unwrap();
    two.release().await.unwrap();
    let alone = repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await.unwrap();
    assert!(locked_by(repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await).contains(", exclusively"));
    assert!(locked_by(repository.lock(LockKind::Shared, AT_ONCE, &cx).await).contains(", exclusively"));
    alone.release().await.unwrap();
    assert_eq!(store.keys(LOCKS), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn of_many_that_race_for_it_each_has_it_once_and_never_two_at_a_time() {
    let store = MemoryStore::new();
    repository(&store).await;
    let held = Arc::new(tokio::sync::Semaphore::new(1));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (repository, held) = (open(&store).await, held.clone());
        tasks.spawn(async move {
            let lock = repository.lock(LockKind::Exclusive, minutes(60), &Context::default()).await.unwrap();
            let alone = held.try_acquire().expect("nobody else holds it");
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(alone);
            lock.release().await.unwrap();
        });
    }
    assert_eq!(tasks.join_all().await.len(), 8);
    assert_eq!(store.keys(LOCKS), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_gets_it_when_the_holder_is_done_or_is_told_who_holds_it() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = Context::default();
    let other = plant(&repository, "elsewhere", true).await;
    let begun = Instant::now();
    let holder = locked_by(repository.lock(LockKind::Shared, minutes(2), &cx).await);
    assert_eq!(
        holder,
        format!("PID 1 on elsewhere by u since 2026-06-15T12:00:00Z, exclusively (lock {})", other.short())
    );
    assert_eq!(begun.elapsed().as_secs(), 120);
    let waiting = tokio::spawn({
        let repository = repository.clone();
        async move { repository.lock(LockKind::Shared, minutes(20), &Context::default()).await }
    });
    tokio::time::sleep(minutes(1)).await;
    assert_eq!(store.keys(LOCKS).len(), 1, "one who waits writes no lock");
    repository.remove_file(FileKind::Lock, &other.0).await.unwrap();
    waiting.await.unwrap().unwrap().release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_wait() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    plant(&repository, "elsewhere", true).await;
    let cx = Context::default();
    let cancel = cx.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(minutes(1)).await;
        cancel.cancel();
    });
    let result = repository.lock(LockKind::Shared, minutes(60), &cx).await;
    assert!(matches!(result, Err(RepositoryError::Cancelled)), "{result:?}");
    assert_eq!(store.keys(LOCKS).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_held_lock_is_never_older_than_five_minutes_and_never_missing() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = context(&store.clock);
    let lock = repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await.unwrap();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..240 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        let seen = repository.survey().await.unwrap();
        assert!(!seen.is_empty());
        let newest = seen.iter().map(|s| s.document.as_ref().unwrap().time).max().unwrap();
        assert!(cx.clock.now().duration_since(newest) <= SignedDuration::from_secs(302));
        names.extend(store.keys(LOCKS));
    }
    assert_eq!(names.len(), 12, "an hour has twelve refreshes, with the first file before them");
    assert_eq!(lock.lost(), None);
    lock.release().await.unwrap();
    assert_eq!(store.keys(LOCKS), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_somebody_removes_stops_the_work() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = context(&store.clock);
    let lock = repository.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap();
    store.lose(&store.keys(LOCKS)[0]);
    tokio::time::sleep(minutes(4)).await;
    assert!(!cx.cancel.is_cancelled());
    tokio::time::sleep(minutes(2)).await;
    assert!(cx.cancel.is_cancelled());
    assert_eq!(lock.lost().as_deref(), Some("somebody removed it"));
    let error = lock.release().await.unwrap_err();
    assert_eq!(error.to_string(), "the lock of the repository was lost: somebody removed it");
    assert_eq!(error.category().exit_code(), 31);
    assert_eq!(store.keys(LOCKS), Vec::<String>::new(), "what the last refresh wrote is gone again");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_but_not_until_the_lock_is_stale() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = context(&store.clock);
    let dead = Some(Death { write: 0, after: false });
    let lock = repository.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap();
    store.die(dead);
    tokio::time::sleep(minutes(20)).await;
    store.die(None);
    tokio::time::sleep(minutes(10)).await;
    assert!(!cx.cancel.is_cancelled(), "it came back in time");
    assert_eq!(store.keys(LOCKS).len(), 1);
    store.die(dead);
    // The last refresh was up to five minutes before.
    tokio::time::sleep(minutes(17)).await;
    assert!(!cx.cancel.is_cancelled());
    tokio::time::sleep(minutes(6)).await;
    assert!(cx.cancel.is_cancelled());
    let lost = lock.lost().unwrap();
    assert!(
        lost.starts_with("it could not be refreshed for 22 minutes: cannot write memory/repository/locks/"),
        "{lost}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_too_long_stops_before_it_does_more() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let wall = TestClock::new();
    let cx = context(&wall);
    let lock = repository.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap();
    // Timers stand still while a machine sleeps, the wall clock does not. Nobody took the lock for dead: go on.
    wall.jump(SignedDuration::from_hours(2));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!cx.cancel.is_cancelled());
    // This time somebody did.
    wall.jump(SignedDuration::from_hours(2));
    for key in store.keys(LOCKS) {
        store.lose(&key);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(cx.cancel.is_cancelled());
    lock.release().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_ours_that_is_wrong_or_jumps_makes_no_live_lock_stale() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let wall = TestClock::new();
    let cx = context(&wall);
    let other = plant(&repository, "elsewhere", true).await;
    for hours in [48, -96, 48] {
        wall.jump(SignedDuration::from_hours(hours));
        let holder = locked_by(repository.lock(LockKind::Shared, AT_ONCE, &cx).await);
        assert!(holder.starts_with("PID 1 on elsewhere"), "{holder}");
        assert_eq!(repository.unlock(false, &cx).await.unwrap(), []);
    }
    assert_eq!(store.keys(LOCKS), [FileKind::Lock.key(&other.0)]);
}

#[tokio::test(start_paused = true)]
async fn restic_elsewhere_sees_the_stores_time_in_our_lock_whatever_our_clock_says() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let wall = TestClock::new();
    wall.jump(SignedDuration::from_hours(-3));
    let cx = context(&wall);
    let lock = repository.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap();
    for hours in [0, 5, -7] {
        wall.jump(SignedDuration::from_hours(hours));
        tokio::time::sleep(minutes(6)).await;
        let seen = repository.survey().await.unwrap();
        let [seen] = &seen[..] else { panic!("{seen:?}") };
        let off = store.clock.now().duration_since(seen.document.as_ref().unwrap().time);
        assert!(off.abs() < SignedDuration::from_mins(7), "{off}");
    }
    assert!(!cx.cancel.is_cancelled());
    lock.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_thirty_minutes_by_the_stores_clock_a_lock_is_dead() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = context(&store.clock);
    plant(&repository, "elsewhere", true).await;
    tokio::time::sleep(minutes(30)).await;
    locked_by(repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await);
    tokio::time::sleep(minutes(1)).await;
    let lock = repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await.unwrap();
    assert_eq!(store.keys(LOCKS).len(), 1, "the stale one is gone");
    lock.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn our_own_locks_are_never_stale_while_their_process_lives_and_dead_at_once_when_it_does_not() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = context(&store.clock);
    // A lock of this very process that nobody refreshes, as of one whose clock jumped ahead by a day.
    let mut document = Document::of(Process::this(), true);
    let live = repository.save_file(FileKind::Lock, &document.to_json()).await.unwrap();
    store.clock.jump(SignedDuration::from_hours(24));
    locked_by(repository.lock(LockKind::Shared, AT_ONCE, &cx).await);
    assert_eq!(repository.unlock(false, &cx).await.unwrap(), []);
    repository.remove_file(FileKind::Lock, &live).await.unwrap();

    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    document.pid = i64::from(child.id());
    repository.save_file(FileKind::Lock, &document.to_json()).await.unwrap();
    let lock = repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await.unwrap();
    assert_eq!(store.keys(LOCKS).len(), 1);
    lock.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_cannot_be_read_counts_as_exclusive_until_it_is_old() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = context(&store.clock);
    let id = plant(&repository, "elsewhere", false).await;
    store.tamper(&store.keys(LOCKS)[0], &b"torn"[..]);
    assert_eq!(
        locked_by(repository.lock(LockKind::Shared, AT_ONCE, &cx).await),
        format!("a lock that cannot be read ({})", id.short())
    );
    tokio::time::sleep(minutes(31)).await;
    repository.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap().release().await.unwrap();
    assert_eq!(store.keys(LOCKS), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lock_is_removed_too() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    drop(repository.lock(LockKind::Shared, AT_ONCE, &Context::default()).await.unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.keys(LOCKS), Vec::<String>::new());
}

/// Unlock is needed most when the disk is full.
#[tokio::test(start_paused = true)]
async fn where_the_store_takes_no_lock_unlock_still_works_by_our_clock() {
    use crate::storage::fault::{Effect, Fault, Operation};
    let store = MemoryStore::new();
    let cx = context(&store.clock);
    let old = plant(&repository(&store).await, "old-host", true).await;
    tokio::time::sleep(minutes(31)).await;
    let young = plant(&open(&store).await, "young-host", true).await;
    let full = crate::storage::Faulty::new(store.clone());
    let repository = Repository::open(full.clone(), &"password".into()).await.unwrap();
    full.inject(Fault::new(Effect::NoSpace).on(Operation::Put));
    let removed = repository.unlock(false, &cx).await.unwrap();
    assert_eq!(removed.iter().map(|l| l.id).collect::<Vec<_>>(), [old]);
    assert_eq!(store.keys(LOCKS), [FileKind::Lock.key(&young.0)]);
}

/// The store's clock was years ahead when it was written, and was set right since.
#[tokio::test(start_paused = true)]
async fn a_lock_that_is_dated_in_the_future_is_named_and_left_to_a_person() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = context(&store.clock);
    store.clock.jump(SignedDuration::from_hours(24 * 3_000));
    plant(&repository, "elsewhere", true).await;
    store.clock.jump(SignedDuration::from_hours(-24 * 3_000));
    let holder = locked_by(repository.lock(LockKind::Shared, AT_ONCE, &cx).await);
    assert!(holder.contains("which is dated in the future (2034-"), "{holder}");
    assert_eq!(repository.unlock(false, &cx).await.unwrap(), []);
    assert_eq!(repository.locks(&cx).await.unwrap()[0].state, LockState::Ahead);
    assert_eq!(repository.unlock(true, &cx).await.unwrap().len(), 1);
    repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await.unwrap().release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn unlock_removes_the_stale_and_with_all_everything() {
    let store = MemoryStore::new();
    let repository = repository(&store).await;
    let cx = context(&store.clock);
    let old = plant(&repository, "old-host", true).await;
    tokio::time::sleep(minutes(31)).await;
    let young = plant(&repository, "young-host", false).await;
    let mut listed: Vec<_> =
        repository.locks(&cx).await.unwrap().into_iter().map(|l| (l.id, l.age_seconds / 60, l.state)).collect();
    listed.sort_by_key(|(_, age, _)| *age);
    assert_eq!(listed, [(young, 0, LockState::Live), (old, 31, LockState::Stale)]);
    let removed = repository.unlock(false, &cx).await.unwrap();
    assert_eq!(removed.iter().map(|l| l.id).collect::<Vec<_>>(), [old]);
    assert_eq!(store.keys(LOCKS), [FileKind::Lock.key(&young.0)]);
    let removed = repository.unlock(true, &cx).await.unwrap();
    assert_eq!(
        serde_json::to_value(&removed).unwrap(),
        serde_json::json!([{"id": young.to_string(), "holder": format!("PID 1 on young-host by u since 2026-06-15T12:00:00Z (lock {})", young.short()),
            "exclusive": false, "ageSeconds": 0, "state": "live"}])
    );
    assert_eq!(store.keys(LOCKS), Vec::<String>::new());
}

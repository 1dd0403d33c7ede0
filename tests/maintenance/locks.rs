//! Both tools honour each other's locks.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drydock::context::Context;
use drydock::repository::{Lock, LockKind, LockState, RepositoryError};

use super::Place;
use super::support::wait_until;

const AT_ONCE: Duration = Duration::ZERO;

/// Runs to failure and returns what it said.
fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn holder(result: Result<Lock, RepositoryError>) -> String {
    match result {
        Err(RepositoryError::Locked { holder }) => holder,
        other => panic!("{other:?}"),
    }
}

/// A restic that holds its lock for as long as it is fed.
struct Backup(Child);

impl Backup {
    fn start(place: &Place) -> Self {
        let mut command = place.restic().command(&["backup", "--stdin"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        wait_until("restic's lock", Duration::from_secs(30), || place.files("locks").len() == 1);
        Self(child)
    }

    fn finish(mut self) {
        self.0.stdin.take().unwrap().write_all(b"enough").unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_honours_our_locks_and_leaves_a_live_one_alone() {
    let place = Place::new("ours").await;
    let cx = Context::default();
    std::fs::write(place.path("file"), "content").unwrap();
    let backup = ["backup", &place.text("file")];

    let exclusive = place.repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await.unwrap();
    let said = fails(&mut place.restic().command(&backup));
    assert!(said.contains("repository is already locked exclusively by PID"), "{said}");
    assert!(said.contains(&format!("PID {}", std::process::id())), "{said}");
    let ours = place.files("locks");
    place.restic().run(&["unlock"]);
    assert_eq!(place.files("locks"), ours, "it is not stale, and restic sees that");
    exclusive.release().await.unwrap();

    let shared = place.repository.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap();
    place.restic().run(&backup);
    let said = fails(&mut place.restic().command(&["prune"]));
    assert!(said.contains("repository is already locked by PID"), "{said}");
    shared.release().await.unwrap();
    place.restic().run(&["prune"]);
    assert_eq!(place.files("locks"), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn we_honour_restics_locks_and_wait_for_them() {
    let place = Place::new("theirs").await;
    let cx = Context::default();
    let backup = Backup::start(&place);
    let held_by = holder(place.repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await);
    assert!(held_by.starts_with(&format!("PID {} on ", backup.0.id())), "{held_by}");
    // Shared beside shared is no conflict.
    place.repository.lock(LockKind::Shared, AT_ONCE, &cx).await.unwrap().release().await.unwrap();
    assert_eq!(place.repository.unlock(false, &cx).await.unwrap(), [], "it lives");

    let repository = place.open().await;
    let waiting = tokio::spawn(async move {
        repository.lock(LockKind::Exclusive, Duration::from_secs(60), &Context::default()).await
    });
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!waiting.is_finished());
    assert_eq!(place.files("locks").len(), 1, "one who waits does not get in restic's way");
    tokio::task::block_in_place(|| backup.finish());
    let lock = waiting.await.unwrap().unwrap();
    let said = fails(place.restic().command(&["backup", "--stdin"]).stdin(Stdio::null()));
    assert!(said.contains("locked exclusively"), "{said}");
    lock.release().await.unwrap();
    place.sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_a_restic_that_was_killed_goes_when_a_person_says_so() {
    let place = Place::new("killed").await;
    let cx = Context::default();
    drop(Backup::start(&place));
    assert_eq!(place.files("locks").len(), 1);
    // The same host's name proves no machine: for us alone it must grow old.
    holder(place.repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await);
    let removed = place.repository.unlock(false, &cx).await.unwrap();
    assert_eq!(
        removed.iter().map(|lock| (lock.state, lock.exclusive)).collect::<Vec<_>>(),
        [(LockState::Dead, Some(false))]
    );
    place.repository.lock(LockKind::Exclusive, AT_ONCE, &cx).await.unwrap().release().await.unwrap();
}

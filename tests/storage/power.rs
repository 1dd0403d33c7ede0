//! A process on the disk that forgets is killed: what it acknowledged is there, what it had not synced is not.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use drydock::storage::disk::Disk;
use drydock::storage::{Forgetful, LocalStore, Store};

const FOLDER: &str = "DRYDOCK_TEST_POWER_FOLDER";

fn content(n: u32) -> Bytes {
    vec![n as u8; 10_000 + n as usize].into()
}

#[tokio::test]
async fn a_kill_is_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "power::child_that_never_stops", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let last = said.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u32>().ok()).find(|n| *n >= 40);
    child.kill().unwrap();
    child.wait().unwrap();
    let last = last.unwrap();

    // Its folder was synced when the store made `data`, so it has a name; its content was in the page cache alone.
    assert_eq!(std::fs::read_to_string(folder.path().join("not-synced")).unwrap(), "");
    let store = LocalStore::open(folder.path()).await.unwrap();
    for n in 0..=last {
        assert!(store.get(&format!("data/{}/{n}", n % 7)).await.unwrap() == content(n), "object {n}");
    }
    // It may have come further than it could say; nothing of that is half.
    for object in store.list("data/").await.unwrap() {
        let n = object.key.rsplit('/').next().unwrap().parse().unwrap();
        assert!(store.get(&object.key).await.unwrap() == content(n), "object {n}");
    }
}

#[tokio::test]
#[ignore = "run and killed by `a_kill_is_a_power_cut`"]
async fn child_that_never_stops() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let disk = Forgetful::new();
    disk.write_new(&folder.join("not-synced"), &["lost".into()]).unwrap();
    let store = LocalStore::open_on(Arc::new(disk), &folder).await.unwrap();
    for n in 0.. {
        store.put(&format!("data/{}/{n}", n % 7), vec![content(n)]).await.unwrap();
        println!("acknowledged {n}");
    }
}

//! A disk that is full, read-only, or no longer there. Real mounts of a small tmpfs, which need root.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use drydock::failure::{Category, Failure};
use drydock::storage::{LocalStore, StorageError, Store};

use crate::support::{Folder, is_root, run};

/// A mounted tmpfs; unmounted on drop.
pub struct SmallDisk(Folder);

impl SmallDisk {
    /// `None`, said loudly, where mounting is not allowed.
    pub fn mount(size: &str) -> Option<Self> {
        let folder = Folder::new("small-disk");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "drydock-test"]).arg(folder.path());
        if !is_root() || !mount.output().unwrap().status.success() {
            eprintln!("SKIPPED: this test mounts a small disk, which is not allowed here (needs root)");
            return None;
        }
        Some(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, option: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.path()));
    }

    fn unmount(&self) {
        Command::new("umount").arg(self.path()).output().unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[tokio::test]
async fn a_full_disk_keeps_what_it_has_and_takes_more_once_there_is_space() {
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let store = LocalStore::open(disk.path()).await.unwrap();
    let megabyte = Bytes::from(vec![3; 1 << 20]);
    store.put("data/kept", vec![megabyte.clone(), megabyte.slice(..10)]).await.unwrap();
    store.put("config", vec![Bytes::from("former")]).await.unwrap();
    let error = store.put("config", vec![megabyte.clone(); 4]).await.unwrap_err();
    assert!(matches!(error, StorageError::NoSpace { .. }), "{error}");
    assert_eq!(error.to_string(), format!("{} has no space left for config", disk.path().display()));
    assert_eq!(error.category(), Category::Unavailable);
    assert_eq!(store.get("config").await.unwrap(), "former", "a failed overwrite changes nothing");
    let error = store.create("lease/1", vec![0; 4 << 20].into()).await.unwrap_err();
    assert!(matches!(error, StorageError::NoSpace { .. }), "{error}");
    assert_eq!(store.stat("lease/1").await.unwrap(), None);
    let mut listed: Vec<_> = store.list("").await.unwrap().into_iter().map(|o| (o.key, o.bytes)).collect();
    listed.sort();
    assert_eq!(listed, [("config".to_owned(), 6), ("data/kept".to_owned(), (1 << 20) + 10)]);
    assert_eq!(store.leftovers(Duration::ZERO).await.unwrap(), 0, "the halves are gone");
    // What the failed writes took is free again.
    store.put("data/more", vec![megabyte.clone(); 2]).await.unwrap();
    store.delete("data/kept").await.unwrap();
    store.put("data/yet-more", vec![megabyte.clone()]).await.unwrap();
    assert!(store.get("data/yet-more").await.unwrap() == megabyte);
}

#[tokio::test]
async fn a_read_only_disk_says_so() {
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let store = LocalStore::open(disk.path()).await.unwrap();
    store.put("a", vec![Bytes::from("a")]).await.unwrap();
    disk.remount("ro");
    assert_eq!(store.get("a").await.unwrap(), "a");
    for (error, action) in
        [(store.put("a", vec![]).await.unwrap_err(), "write"), (store.delete("a").await.unwrap_err(), "delete")]
    {
        let expected = format!("{} refuses {action} of a: Read-only file system (os error 30)", disk.path().display());
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_disk_that_was_unmounted_is_not_an_empty_store() {
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let store = LocalStore::open(disk.path()).await.unwrap();
    store.put("repository/config", vec![Bytes::from("a")]).await.unwrap();
    disk.unmount();
    let error = store.stat("repository/config").await.unwrap_err();
    let expected =
        format!("cannot stat {}/repository/config: another disk is mounted there than before", disk.path().display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(store.get("repository/config").await.unwrap_err().category(), Category::Unavailable);
    assert!(store.list("repository/").await.is_err());
}

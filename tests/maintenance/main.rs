//! Locks, forget, check, prune and repair against stock restic on the same repositories.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod both;
mod locks;
mod retention;
#[path = "../support/mod.rs"]
mod support;
mod trees;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drydock::context::Context;
use drydock::repository::check::{CheckOptions, CheckReport, ReadData};
use drydock::repository::prune::{MaxUnused, PruneSummary};
use drydock::repository::{KeyCost, LockKind, Repository};
use drydock::stack::Secret;
use drydock::storage::LocalStore;
use support::Folder;
use support::restic::Restic;

const PASSWORD: &str = "correct horse battery staple";

/// A repository of ours with a cheap key, which restic opens too, and room for sources and restores beside it.
struct Place {
    folder: Folder,
    repository: Repository,
}

impl Place {
    async fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        let store = LocalStore::create(folder.path().join("store")).await.unwrap();
        let repository = Repository::create(Arc::new(store), &Secret::from(PASSWORD.to_owned()), KeyCost::negligible())
            .await
            .unwrap();
        Self { folder, repository }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn restic(&self) -> Restic {
        Restic::new(self.text("store/repository"), &self.path("password"))
    }

    /// As another process, which has read nothing yet.
    async fn open(&self) -> Repository {
        open(&self.path("store")).await
    }

    async fn check(&self) -> CheckReport {
        let options = CheckOptions { read_data: ReadData::All, seed: 0 };
        self.open().await.check(&options, &Context::default()).await.unwrap()
    }

    /// Both find nothing wrong.
    async fn sound(&self) -> CheckReport {
        self.restic().run(&["check", "--read-data"]);
        let report = self.check().await;
        assert_eq!(report.category(), None, "{:?}", report.damage);
        report
    }

    async fn prune(&self, max_unused: MaxUnused) -> PruneSummary {
        let cx = Context::default();
        let repository = self.open().await;
        let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
        let plan = repository.plan_prune(&lock, max_unused, &cx).await.unwrap();
        let summary = repository.prune(plan, &lock, &cx).await.unwrap();
        lock.release().await.unwrap();
        summary
    }

    /// Files named by an id; not what is just being written under another name.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("store/repository").join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap().len() == 64 {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

async fn open(store: &Path) -> Repository {
    let store = LocalStore::open(store).await.unwrap();
    Repository::open(Arc::new(store), &Secret::from(PASSWORD.to_owned())).await.unwrap()
}

//! A folder into the repository and back, judged by tools that are not drydock's.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod capture;
mod in_place;
mod restore;
mod round_trip;
mod without_root;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drydock::context::Context;
use drydock::data::volume::{
    CaptureOptions, CompareOptions, RestoreOptions, VolumeError, capture, compare, restore_to,
};
use drydock::data::{Captured, Comparison};
use drydock::repository::{KeyCost, Node, NodeKind, Repository, Snapshot, Tree, WriterOptions};
use drydock::stack::{Secret, VolumeSpec};
use drydock::storage::LocalStore;
use support::Folder;
use support::restic::Restic;

/// A repository beside a source folder.
struct Fixture {
    folder: Folder,
    /// Where it is not `source`.
    source: Option<PathBuf>,
    repository: Repository,
    cx: Context,
}

impl Fixture {
    async fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        fs::write(folder.path().join("password"), "correct horse battery staple").unwrap();
        fs::create_dir(folder.path().join("source")).unwrap();
        let store = LocalStore::create(folder.path().join("store")).await.unwrap();
        let password = Secret::from("correct horse battery staple".to_owned());
        let repository = Repository::create(Arc::new(store), &password, KeyCost::negligible()).await.unwrap();
        Self { folder, source: None, repository, cx: Context::default() }
    }

    /// The repository of another process' fixture.
    async fn open(folder: PathBuf) -> Self {
        let store = LocalStore::open(folder.join("store")).await.unwrap();
        let password = Secret::from("correct horse battery staple".to_owned());
        let repository = Repository::open(Arc::new(store), &password).await.unwrap();
        Self { folder: Folder::new("opened"), source: None, repository, cx: Context::default() }
    }

    /// The same with nothing of the repository in memory.
    async fn reopened(mut self) -> Self {
        let store = LocalStore::open(self.path("store")).await.unwrap();
        let password = Secret::from("correct horse battery staple".to_owned());
        self.repository = Repository::open(Arc::new(store), &password).await.unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn source(&self) -> PathBuf {
        self.source.clone().unwrap_or_else(|| self.path("source"))
    }

    async fn capture(&self) -> Captured {
        self.capture_with(&spec(&[]), None, &CaptureOptions::default()).await.unwrap()
    }

    async fn capture_with(
        &self,
        spec: &VolumeSpec,
        parent: Option<&Captured>,
        options: &CaptureOptions,
    ) -> Result<Captured, VolumeError> {
        let writer = self.repository.writer(WriterOptions::default());
        let parent = parent.map(|captured| captured.tree);
        let captured =
            capture(&self.source(), spec, &self.repository, &writer, parent.as_ref(), options, &self.cx).await?;
        writer.finish().await.unwrap();
        Ok(captured)
    }

    async fn restore(&self, captured: &Captured, target: &str) -> Comparison {
        self.restore_with(captured, target, RestoreOptions::default()).await.unwrap()
    }

    async fn restore_with(
        &self,
        captured: &Captured,
        target: &str,
        options: RestoreOptions,
    ) -> Result<Comparison, VolumeError> {
        let options = RestoreOptions { root: captured.root.clone(), ..options };
        restore_to(&self.repository, &captured.tree, &self.path(target), &options, &self.cx).await
    }

    async fn compare(&self, captured: &Captured, folder: &str) -> Comparison {
        let options = CompareOptions { root: captured.root.clone(), ..CompareOptions::default() };
        compare(&self.repository, &captured.tree, &self.path(folder), &options, &self.cx).await.unwrap()
    }

    /// Lists the captured folder as restic sees it: below `/data`.
    async fn save(&self, captured: &Captured) {
        let root = captured.root.clone().unwrap();
        let node = Node { name: b"data".to_vec(), kind: NodeKind::Dir { subtree: captured.tree }, ..root };
        let writer = self.repository.writer(WriterOptions::default());
        let tree = writer.tree(&Tree { nodes: vec![node] }).await.unwrap();
        writer.finish().await.unwrap();
        let snapshot = Snapshot {
            time: captured.instant,
            parent: None,
            tree,
            paths: vec!["/data".into()],
            hostname: "test".into(),
            username: "root".into(),
            uid: 0,
            gid: 0,
            tags: vec![],
            original: None,
            other: Default::default(),
        };
        self.repository.save_snapshot(&snapshot).await.unwrap();
    }

    /// Path and node of everything in the tree.
    async fn nodes(&self, captured: &Captured) -> BTreeMap<String, Node> {
        let mut nodes = BTreeMap::new();
        let mut folders = vec![(String::new(), captured.tree)];
        while let Some((path, tree)) = folders.pop() {
            for node in self.repository.tree(&tree).await.unwrap().nodes {
                let path = format!("{path}/{}", String::from_utf8_lossy(&node.name));
                if let NodeKind::Dir { subtree } = node.kind {
                    folders.push((path.clone(), subtree));
                }
                nodes.insert(path, node);
            }
        }
        nodes
    }

    fn restic(&self) -> Restic {
        Restic::new(self.path("store/repository").display().to_string(), &self.path("password"))
    }
}

fn spec(exclude: &[&str]) -> VolumeSpec {
    VolumeSpec {
        path: None,
        claim: None,
        exclude: exclude.iter().map(|p| (*p).to_owned()).collect(),
        one_file_system: false,
    }
}

fn differences(comparison: &Comparison) -> Vec<String> {
    let shown =
        comparison.differences.iter().map(|d| format!("{}: {} where {} was recorded", d.what, d.found, d.expected));
    shown.collect()
}

/// Somebody else at work in a folder: does the same again and again until it is dropped.
struct Meddler {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Meddler {
    fn start(mut work: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                work();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn sh(folder: &Path, script: &str) {
    support::run(Command::new("bash").args(["-euc", script]).current_dir(folder));
}

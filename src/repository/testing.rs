//! What the tests of this folder stand on: a store in memory whose clock can be set and which can die at any write,
//! and repositories with a key that costs nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    KeyCost, Node, NodeKind, Repository, RepositoryError, Snapshot, SnapshotId, Tree, TreeId, Writer, WriterOptions,
};
use crate::clock::Clock;
use crate::context::Context;
use crate::storage::{Created, ObjectMeta, StorageError, Store, Swept};

/// Goes with tokio's time, which tests may pause, and jumps when told to.
#[derive(Debug)]
pub struct TestClock {
    start: Instant,
    now: Mutex<Timestamp>,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), now: Mutex::new("2026-06-15T12:00:00Z".parse().unwrap()) })
    }

    pub fn jump(&self, by: SignedDuration) {
        *self.now.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap() + self.start.elapsed()
    }
}

/// When the process that uses the store dies: at its `write`th put, create or delete, before or after that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    pub write: u64,
    pub after: bool,
}

#[derive(Debug)]
pub struct MemoryStore {
    pub clock: Arc<TestClock>,
    objects: Mutex<BTreeMap<String, (Bytes, Timestamp)>>,
    death: Mutex<Option<Death>>,
    writes: Mutex<u64>,
    /// Key prefixes whose deletion is refused, as by credentials that may not.
    pub undeletable: Mutex<Vec<String>>,
    unreadable: Mutex<Vec<String>>,
}

impl MemoryStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: TestClock::new(),
            objects: Mutex::default(),
            death: Mutex::default(),
            writes: Mutex::default(),
            undeletable: Mutex::default(),
            unreadable: Mutex::default(),
        })
    }

    /// Another store with the same objects and nothing else in common.
    pub fn copy(&self) -> Arc<Self> {
        let copy = Self::new();
        *copy.objects.lock().unwrap() = self.objects.lock().unwrap().clone();
        copy
    }

    pub fn die(&self, death: Option<Death>) {
        *self.writes.lock().unwrap() = 0;
        *self.death.lock().unwrap() = death;
    }

    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.objects.lock().unwrap().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    pub fn bytes(&self, key: &str) -> Bytes {
        self.objects.lock().unwrap()[key].0.clone()
    }

    /// From now on this object cannot be had, as when the store is ill.
    pub fn refuse_to_read(&self, key: &str) {
        self.unreadable.lock().unwrap().push(key.into());
    }

    /// Behind everybody's back.
    pub fn tamper(&self, key: &str, bytes: impl Into<Bytes>) {
        self.objects.lock().unwrap().get_mut(key).unwrap().0 = bytes.into();
    }

    pub fn lose(&self, key: &str) {
        self.objects.lock().unwrap().remove(key).unwrap();
    }

    fn unavailable(key: &str, action: &'static str) -> StorageError {
        StorageError::Unavailable {
            location: "memory".into(),
            key: key.into(),
            action,
            reason: "the process is dead".into(),
        }
    }

    fn alive(&self, key: &str, action: &'static str) -> Result<(), StorageError> {
        let death = *self.death.lock().unwrap();
        if death.is_some_and(|d| *self.writes.lock().unwrap() > d.write) {
            return Err(Self::unavailable(key, action));
        }
        Ok(())
    }

    fn write<T>(
        &self,
        key: &str,
        action: &'static str,
        write: impl FnOnce(&mut BTreeMap<String, (Bytes, Timestamp)>) -> T,
    ) -> Result<T, StorageError> {
        self.alive(key, action)?;
        let number = {
            let mut writes = self.writes.lock().unwrap();
            *writes += 1;
            *writes - 1
        };
        let death = *self.death.lock().unwrap();
        if death == Some(Death { write: number, after: false }) {
            return Err(Self::unavailable(key, action));
        }
        let done = write(&mut self.objects.lock().unwrap());
        if death == Some(Death { write: number, after: true }) {
            return Err(Self::unavailable(key, action));
        }
        Ok(done)
    }

    fn not_found(key: &str) -> StorageError {
        StorageError::NotFound { location: "memory".into(), key: key.into() }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory".into()
    }

    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        self.alive(key, "read")?;
        if self.unreadable.lock().unwrap().iter().any(|unreadable| unreadable == key) {
            return Err(Self::unavailable(key, "read"));
        }
        self.objects.lock().unwrap().get(key).map(|(bytes, _)| bytes.clone()).ok_or_else(|| Self::not_found(key))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let bytes = self.get(key).await?;
        let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
        if end > bytes.len() {
            let found = bytes.len().saturating_sub(start) as u64;
            let (location, expected) = ("memory".into(), range.end - range.start);
            return Err(StorageError::Truncated { location, key: key.into(), expected, found });
        }
        Ok(bytes.slice(start..end))
    }

    async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        let now = self.clock.now();
        self.write(key, "write", |objects| objects.insert(key.into(), (parts.concat().into(), now)))?;
        Ok(())
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
        let now = self.clock.now();
        self.write(key, "create", |objects| {
            if objects.contains_key(key) {
                return Created::Exists;
            }
            objects.insert(key.into(), (bytes, now));
            Created::New
        })
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        if self.undeletable.lock().unwrap().iter().any(|prefix| key.starts_with(prefix)) {
            let (location, reason) = ("memory".into(), "these credentials may not".into());
            return Err(StorageError::Denied { location, key: key.into(), action: "removal", reason });
        }
        self.write(key, "remove", |objects| objects.remove(key))?;
        Ok(())
    }

    async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        self.alive(key, "look at")?;
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(key).map(|(bytes, modified)| ObjectMeta {
            key: key.into(),
            bytes: bytes.len() as u64,
            modified: *modified,
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        self.alive(prefix, "list")?;
        let objects = self.objects.lock().unwrap();
        let meta = |(key, (bytes, modified)): (&String, &(Bytes, Timestamp))| ObjectMeta {
            key: key.clone(),
            bytes: bytes.len() as u64,
            modified: *modified,
        };
        Ok(objects.iter().filter(|(key, _)| key.starts_with(prefix)).map(meta).collect())
    }

    async fn sweep(&self, _: Duration) -> Result<Swept, StorageError> {
        Ok(Swept::default())
    }
}

/// scrypt's smallest.
pub const CHEAP: KeyCost = KeyCost { log_n: 1, r: 1, p: 1 };

pub async fn repository(store: &Arc<MemoryStore>) -> Repository {
    Repository::create(store.clone(), &"password".into(), CHEAP).await.unwrap()
}

pub async fn open(store: &Arc<MemoryStore>) -> Repository {
    Repository::open(store.clone(), &"password".into()).await.unwrap()
}

/// What a snapshot holds: path and content.
pub type Files = BTreeMap<String, Vec<u8>>;

pub fn files<const N: usize>(files: [(&str, &[u8]); N]) -> Files {
    files.into_iter().map(|(path, content)| (path.to_owned(), content.to_vec())).collect()
}

/// A repository with what its snapshots must hold.
pub struct Story {
    pub store: Arc<MemoryStore>,
    pub repository: Repository,
    pub snapshots: BTreeMap<SnapshotId, Files>,
}

impl Story {
    pub async fn begin() -> Self {
        let store = MemoryStore::new();
        let repository = repository(&store).await;
        Self { store, repository, snapshots: BTreeMap::new() }
    }

    /// Stores a snapshot of these files, in a writer of its own.
    pub async fn snapshot(&mut self, files: Files) -> SnapshotId {
        let writer = self.repository.writer(WriterOptions { workers: 1, ..WriterOptions::default() });
        let tree = store_folder(&writer, &files, "").await;
        writer.finish().await.unwrap();
        // The time is what tells snapshots of the same files apart.
        let time = self.store.clock.now() + Duration::from_secs(self.snapshots.len() as u64);
        let id = self.repository.save_snapshot(&Snapshot::new(time, tree)).await.unwrap();
        self.snapshots.insert(id, files);
        id
    }

    pub async fn forget(&mut self, id: SnapshotId) {
        self.repository.remove_snapshot(&id).await.unwrap();
        self.snapshots.remove(&id).unwrap();
    }
}

fn store_folder<'a>(
    writer: &'a Writer,
    files: &'a Files,
    prefix: &'a str,
) -> std::pin::Pin<Box<dyn Future<Output = TreeId> + 'a>> {
    Box::pin(async move {
        let below = files.iter().filter_map(|(path, content)| Some((path.strip_prefix(prefix)?, content)));
        let mut nodes: BTreeMap<&str, NodeKind> = BTreeMap::new();
        for (path, content) in below {
            let kind = match path.split_once('/') {
                Some((folder, _)) if nodes.contains_key(folder) => continue,
                Some((folder, _)) => {
                    NodeKind::Dir { subtree: store_folder(writer, files, &format!("{prefix}{folder}/")).await }
                }
                None => {
                    let stored = writer.bytes(content.clone().into()).await.unwrap();
                    NodeKind::File { content: stored.blobs, bytes: stored.bytes }
                }
            };
            nodes.insert(path.split('/').next().unwrap(), kind);
        }
        let nodes = nodes.into_iter().map(|(name, kind)| node(name, kind)).collect();
        writer.tree(&Tree { nodes }).await.unwrap()
    })
}

fn node(name: &str, kind: NodeKind) -> Node {
    Node {
        name: name.into(),
        kind,
        mode: 0o644,
        mtime_ns: 0,
        atime_ns: 0,
        ctime_ns: 0,
        uid: 0,
        gid: 0,
        user: String::new(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 1,
        extended_attributes: Vec::new(),
    }
}

/// Every file of a snapshot, read as a restore reads it.
pub async fn restore(repository: &Repository, id: &SnapshotId) -> Result<Files, RepositoryError> {
    let mut files = Files::new();
    let mut open = vec![(String::new(), repository.snapshot(id).await?.tree)];
    while let Some((prefix, tree)) = open.pop() {
        for node in repository.tree(&tree).await?.nodes {
            let path = format!("{prefix}{}", String::from_utf8(node.name).unwrap());
            match node.kind {
                NodeKind::Dir { subtree } => open.push((path + "/", subtree)),
                NodeKind::File { content, .. } => {
                    let bytes: Vec<Bytes> = repository.stream(content).try_collect().await?;
                    files.insert(path, bytes.concat());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    Ok(files)
}

/// Bytes that do not compress, always the same for a seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::Rng::fill_bytes(&mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed), &mut bytes);
    bytes
}

/// A context whose clock is the test's.
pub fn context(clock: &Arc<TestClock>) -> Context {
    Context { clock: clock.clone(), ..Context::default() }
}

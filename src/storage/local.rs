//! Objects as files of a local folder. An object appears whole and durable, or not at all: temporary name, fsync of
//! the file, rename, fsync of the folder (and of the parents of folders that are new).

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::disk::{Disk, Entry, EntryKind, RealDisk};
use super::{Created, ObjectMeta, StorageError, Store, Swept, check_key};

/// How the names of half-written files begin. They lie beside the object that they become, so that the rename never
/// leaves the file system; no listing shows them, and [`Store::sweep`] removes those that a crash has left.
const TEMPORARY: &str = ".drydock-tmp-";

/// restic's layout is three folders deep; what is deeper than this is a loop of symbolic links.
const DEEPEST: usize = 32;

/// A store in a local folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// The file system that held `root` when it was opened.
    device: u64,
    disk: Arc<dyn Disk>,
    /// Folders below `root` whose own names are durable.
    durable: Mutex<HashSet<PathBuf>>,
}

impl LocalStore {
    /// Opens the folder.
    ///
    /// # Errors
    /// [`StorageError::Missing`] where it does not exist; `Denied` where it may not be looked at.
    pub async fn open(root: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::open_on(Arc::new(RealDisk), root).await
    }

    /// Makes the folder, with parents, unless it is there; then opens it.
    ///
    /// # Errors
    /// Where it cannot be made durable.
    pub async fn create(root: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::create_on(Arc::new(RealDisk), root).await
    }

    /// As [`Self::open`], on a disk of the caller's choice.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_on(disk: Arc<dyn Disk>, root: impl AsRef<Path>) -> Result<Self, StorageError> {
        let root = absolute(root.as_ref())?;
        blocking(move || Inner::open(disk, root)).await
    }

    /// As [`Self::create`], on a disk of the caller's choice.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_on(disk: Arc<dyn Disk>, root: impl AsRef<Path>) -> Result<Self, StorageError> {
        let root = absolute(root.as_ref())?;
        blocking(move || {
            make_with_parents(&*disk, &root).map_err(|error| classify(&root, "", "create", &error))?;
            Inner::open(disk, root)
        })
        .await
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.root
    }

    /// How many temporary files of that age crashes have left.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub async fn leftovers(&self, older_than: Duration) -> Result<usize, StorageError> {
        self.run(move |inner| inner.leftovers(older_than).map(|found| found.len())).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner)).await
    }
}

#[async_trait]
impl Store for LocalStore {
    fn location(&self) -> String {
        self.inner.root.display().to_string()
    }

    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        let key = checked(key)?;
        self.run(move |inner| inner.disk.read(&inner.path(&key)).map_err(|e| inner.failed(&key, "read", &e))).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let key = checked(key)?;
        self.run(move |inner| inner.get_range(&key, range)).await
    }

    async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        let key = checked(key)?;
        self.run(move |inner| inner.put(&key, &parts).map_err(|e| inner.failed(&key, "write", &e))).await
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
        let key = checked(key)?;
        self.run(move |inner| inner.create(&key, bytes).map_err(|e| inner.failed(&key, "create", &e))).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let key = checked(key)?;
        self.run(move |inner| inner.delete(&key)).await
    }

    async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        let key = checked(key)?;
        self.run(move |inner| inner.stat(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        let prefix = prefix.to_owned();
        self.run(move |inner| inner.list(&prefix)).await
    }

    async fn sweep(&self, older_than: Duration) -> Result<Swept, StorageError> {
        self.run(move |inner| inner.sweep(older_than)).await
    }
}

impl Inner {
    fn open(disk: Arc<dyn Disk>, root: PathBuf) -> Result<LocalStore, StorageError> {
        let failed = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => StorageError::Missing { location: root.display().to_string() },
            _ => classify(&root, "", "open", error),
        };
        if disk.entry(&root).map_err(|e| failed(&e))?.kind != EntryKind::Folder {
            return Err(StorageError::Misconfigured(format!("{} is not a folder", root.display())));
        }
        let device = disk.device(&root).map_err(|e| failed(&e))?;
        Ok(LocalStore { inner: Arc::new(Self { root, device, disk, durable: Mutex::default() }) })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = usize::try_from(range.end - range.start)
            .map_err(|_| StorageError::Misconfigured(format!("a range of {key} is larger than memory")))?;
        let (bytes, size) = self
            .disk
            .read_at(&self.path(key), range.start, wanted)
            .map_err(|error| self.failed(key, "read", &error))?;
        if bytes.len() < wanted {
            let (location, key) = (self.root.display().to_string(), key.to_owned());
            return Err(StorageError::Truncated { location, key, expected: range.end, found: size });
        }
        Ok(bytes)
    }

    fn put(&self, key: &str, parts: &[Bytes]) -> io::Result<()> {
        let path = self.path(key);
        let folder = self.write_beside(&path, parts, |temporary| self.disk.rename(temporary, &path))?;
        self.disk.sync_folder(&folder)
    }

    fn create(&self, key: &str, bytes: Bytes) -> io::Result<Created> {
        let path = self.path(key);
        let created = match self.write_beside(&path, &[bytes], |temporary| self.disk.rename_new(temporary, &path)) {
            Ok(_) => Created::New,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Created::Exists,
            Err(error) => return Err(error),
        };
        // The loser syncs too: what it goes on to rely on may be the winner's name of a moment ago.
        self.disk.sync_folder(path.parent().unwrap_or(&self.root))?;
        Ok(created)
    }

    /// Writes a durable file under a temporary name, lets `publish` give it its own, and returns the folder. Nothing
    /// is left behind when any of it fails.
    fn write_beside(
        &self,
        path: &Path,
        parts: &[Bytes],
        publish: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        let temporary = folder.join(format!("{TEMPORARY}{:032x}", rand::random::<u128>()));
        self.make_durable_folder(&folder)?;
        let written = match self.disk.write_new(&temporary, parts) {
            // Somebody removed the folder since we made it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.durable().clear();
                self.make_durable_folder(&folder)?;
                self.disk.write_new(&temporary, parts)
            }
            written => written,
        };
        let published = written.and_then(|mut file| file.sync()).and_then(|()| publish(&temporary));
        if let Err(error) = published {
            self.drop_temporary(&temporary);
            return Err(error);
        }
        Ok(folder)
    }

    fn drop_temporary(&self, temporary: &Path) {
        match self.disk.remove(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %temporary.display(), %error, "a temporary file could not be removed");
            }
            _ => {}
        }
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `folder` below the root and syncs its parents, once in this store's life: a folder that another task
    /// made a moment ago may not be durable yet, and what is acknowledged inside it would go with it.
    fn make_durable_folder(&self, folder: &Path) -> io::Result<()> {
        if folder == self.root || self.durable().contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().unwrap_or(&self.root);
        self.make_durable_folder(parent)?;
        match self.disk.make_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // One sync is good for all that are there now: restic's 256 data folders need one, not 256.
        let siblings = self.disk.entries(parent)?;
        self.disk.sync_folder(parent)?;
        let folders = siblings.into_iter().filter(|e| e.kind == EntryKind::Folder).map(|e| e.path);
        self.durable().extend(folders.chain([folder.to_owned()]));
        Ok(())
    }

    /// Durable too: `prune` deletes the index before the packs it names, and a power cut must not turn that round.
    fn delete(&self, key: &str) -> Result<(), StorageError> {
        let path = self.path(key);
        let removed = self.disk.remove(&path).and_then(|()| self.disk.sync_folder(path.parent().unwrap_or(&self.root)));
        match removed.map_err(|error| self.failed(key, "delete", &error)) {
            Err(StorageError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    fn stat(&self, key: String) -> Result<Option<ObjectMeta>, StorageError> {
        match self.disk.entry(&self.path(&key)) {
            Ok(Entry { kind: EntryKind::File { bytes, modified }, .. }) => {
                Ok(Some(ObjectMeta { modified: timestamp(modified), key, bytes }))
            }
            Ok(_) => Ok(None),
            Err(error) => match self.failed(&key, "stat", &error) {
                StorageError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        let start = match prefix.rsplit_once('/') {
            Some((folder, _)) => self.path(&checked(folder)?),
            None => self.root.clone(),
        };
        let mut found = Vec::new();
        self.walk(&start, 0, &mut |key, bytes, modified| {
            if key.starts_with(prefix) && !is_temporary(key) {
                found.push(ObjectMeta { key: key.to_owned(), bytes, modified: timestamp(modified) });
            }
        })
        .map_err(|error| self.failed(prefix, "list", &error))
        .or_else(|error| if matches!(error, StorageError::NotFound { .. }) { Ok(()) } else { Err(error) })?;
        Ok(found)
    }

    fn sweep(&self, older_than: Duration) -> Result<Swept, StorageError> {
        let mut swept = Swept::default();
        for (key, bytes) in self.leftovers(older_than)? {
            self.delete(&key)?;
            swept.objects += 1;
            swept.bytes += bytes;
        }
        Ok(swept)
    }

    /// Keys and sizes of temporary files of that age.
    fn leftovers(&self, older_than: Duration) -> Result<Vec<(String, u64)>, StorageError> {
        let mut found = Vec::new();
        let now = SystemTime::now();
        self.walk(&self.root, 0, &mut |key, bytes, modified| {
            let age = now.duration_since(modified).unwrap_or_default();
            if is_temporary(key) && age >= older_than {
                found.push((key.to_owned(), bytes));
            }
        })
        .map_err(|error| self.failed("", "list", &error))?;
        Ok(found)
    }

    /// Calls `visit(key, bytes, modified)` for every file below `folder`. A folder that vanishes meanwhile is empty,
    /// unless it is `folder` itself.
    fn walk(&self, folder: &Path, depth: usize, visit: &mut dyn FnMut(&str, u64, SystemTime)) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!("folders are nested too deep at {}", folder.display())));
        }
        for entry in self.disk.entries(folder)? {
            match entry.kind {
                EntryKind::Folder => match self.walk(&entry.path, depth + 1, visit) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
                EntryKind::File { bytes, modified } => {
                    // A name that is not UTF-8 is none of ours.
                    if let Some(key) = entry.path.strip_prefix(&self.root).ok().and_then(Path::to_str) {
                        visit(key, bytes, modified);
                    }
                }
                EntryKind::Other => {}
            }
        }
        Ok(())
    }

    /// What went wrong with `key`. "Not there" is believed only while the folder itself is there, on the file system
    /// on which it was opened: an unmounted disk leaves an empty folder behind.
    fn failed(&self, key: &str, action: &'static str, error: &io::Error) -> StorageError {
        let gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        if gone {
            match self.disk.device(&self.root) {
                Ok(device) if device == self.device => {}
                Ok(_) => return self.unavailable(key, action, "another disk is mounted there than before"),
                Err(error) => return self.unavailable(key, action, &format!("the folder is gone: {error}")),
            }
            if matches!(action, "write" | "create") {
                return self.unavailable(key, action, &error.to_string());
            }
        }
        classify(&self.root, key, action, error)
    }

    fn unavailable(&self, key: &str, action: &'static str, reason: &str) -> StorageError {
        let (location, key) = (self.root.display().to_string(), key.to_owned());
        StorageError::Unavailable { location, key, action, reason: reason.to_owned() }
    }
}

fn is_temporary(key: &str) -> bool {
    key.rsplit('/').next().is_some_and(|name| name.starts_with(TEMPORARY))
}

fn checked(key: &str) -> Result<String, StorageError> {
    check_key(key)?;
    if key.split('/').any(|name| name.starts_with(TEMPORARY)) {
        return Err(StorageError::Misconfigured(format!("the key {key} is one of a temporary file")));
    }
    Ok(key.to_owned())
}

fn absolute(root: &Path) -> Result<PathBuf, StorageError> {
    std::path::absolute(root)
        .map_err(|error| StorageError::Misconfigured(format!("{} is not a folder: {error}", root.display())))
}

/// Makes `folder` and the parents that it lacks, each durable.
fn make_with_parents(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    match disk.entry(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other.map(drop),
    }
    let Some(parent) = folder.parent() else { return Ok(()) };
    make_with_parents(disk, parent)?;
    match disk.make_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    disk.sync_folder(parent)
}

fn classify(root: &Path, key: &str, action: &'static str, error: &io::Error) -> StorageError {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let (location, key) = (root.display().to_string(), key.to_owned());
    match error.kind() {
        NotFound | NotADirectory => StorageError::NotFound { location, key },
        StorageFull | QuotaExceeded => StorageError::NoSpace { location, key },
        PermissionDenied | ReadOnlyFilesystem => {
            StorageError::Denied { location, key, action, reason: error.to_string() }
        }
        _ => StorageError::Unavailable { location, key, action, reason: error.to_string() },
    }
}

/// Times that no calendar holds (a broken clock) count as the epoch: old.
fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StorageError::Misconfigured("the program is ending".into())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_object_is_read_as_it_was_put_and_lies_there_for_the_owner_alone() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::create(folder.path().join("a/b")).await.unwrap();
        store.put("data/ab/abcd", vec![Bytes::from("one "), Bytes::new(), Bytes::from("two")]).await.unwrap();
        assert_eq!(store.get("data/ab/abcd").await.unwrap(), "one two");
        assert_eq!(store.get_range("data/ab/abcd", 2..5).await.unwrap(), "e t");
        let mode = |path: &str| std::fs::metadata(folder.path().join("a/b").join(path)).unwrap().mode() & 0o777;
        assert_eq!((mode("data/ab/abcd"), mode("data/ab"), mode("")), (0o600, 0o700, 0o700));
    }

    #[tokio::test]
    async fn a_crashed_writes_leftover_is_listed_by_nobody_and_swept_when_old() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).await.unwrap();
        store.put("data/kept", vec![Bytes::from("kept")]).await.unwrap();
        std::fs::write(folder.path().join("data").join(format!("{TEMPORARY}1234")), "half").unwrap();
        let keys = |list: Vec<ObjectMeta>| list.into_iter().map(|o| o.key).collect::<Vec<_>>();
        assert_eq!(keys(store.list("").await.unwrap()), ["data/kept"]);
        assert_eq!(store.sweep(Duration::from_secs(3600)).await.unwrap(), Swept::default());
        assert_eq!(store.sweep(Duration::ZERO).await.unwrap(), Swept { objects: 1, bytes: 4 });
        let left: Vec<_> =
            std::fs::read_dir(folder.path().join("data")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_not_an_object_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("mounted");
        let store = LocalStore::create(&root).await.unwrap();
        assert_eq!(store.stat("config").await.unwrap(), None);
        std::fs::remove_dir(&root).unwrap();
        let error = store.stat("config").await.unwrap_err();
        assert!(
            matches!(&error, StorageError::Unavailable { reason, .. } if reason.starts_with("the folder is gone")),
            "{error}"
        );
        assert!(
            store.list("").await.is_err()
                && store.get("config").await.is_err()
                && store.delete("config").await.is_err()
        );
        assert!(store.put("config", vec![]).await.is_err(), "an unmounted disk's mount point must not be filled");
        let error = LocalStore::open(&root).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{} does not exist", root.display()));
    }

    #[tokio::test]
    async fn keys_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).await.unwrap();
        for key in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\0b", ".drydock-tmp-1"] {
            assert!(matches!(store.put(key, vec![]).await, Err(StorageError::Misconfigured(_))), "{key:?}");
            assert!(matches!(store.get(key).await, Err(StorageError::Misconfigured(_))), "{key:?}");
        }
    }
}

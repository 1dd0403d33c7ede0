//! First the disk itself, then the local store on it: cut at every step, it must keep what it acknowledged.

use super::*;
use crate::storage::{Created, LocalStore, StorageError, Store};

/// What is a disk here is the model's to say; thousands of runs on a real one would only wait for its journal.
fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn file(disk: &dyn Disk, path: &Path, content: &'static str) -> Box<dyn Written> {
    disk.write_new(path, &[content.into()]).unwrap()
}

#[test]
fn the_running_system_sees_everything_the_folder_only_what_was_synced() {
    let folder = folder_in_memory();
    let (disk, path) = (Forgetful::new(), folder.path().join("a"));
    let mut written = file(&disk, &path, "content");
    assert_eq!(disk.read(&path).unwrap(), "content");
    assert_eq!(disk.entries(folder.path()).unwrap().len(), 1);
    assert!(!path.exists(), "neither is synced");
    written.sync().unwrap();
    assert!(!path.exists(), "the content is safe, but nothing names it");
    disk.sync_folder(folder.path()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "content");
}

#[test]
fn a_name_that_was_synced_before_its_content_is_an_empty_file_after_the_cut() {
    let folder = folder_in_memory();
    let (disk, path, to) = (Forgetful::new(), folder.path().join("a"), folder.path().join("b"));
    let mut written = file(&disk, &path, "content");
    disk.rename(&path, &to).unwrap();
    disk.sync_folder(folder.path()).unwrap();
    assert_eq!(disk.read(&to).unwrap(), "content", "the running system sees the page cache");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "", "the disk does not have it");
    written.sync().unwrap();
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "content", "a late sync finds the file under its new name");
}

#[test]
fn renames_removals_and_new_folders_come_undone() {
    let folder = folder_in_memory();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("old"), "old").unwrap();
    std::fs::write(at("kept"), "kept").unwrap();
    let disk = Forgetful::new();
    disk.rename(&at("old"), &at("new")).unwrap();
    disk.remove(&at("kept")).unwrap();
    disk.make_folder(&at("folder")).unwrap();
    assert_eq!(disk.read(&at("new")).unwrap(), "old");
    assert!(disk.entry(&at("kept")).is_err() && disk.entry(&at("folder")).is_ok());
    disk.cut_power();
    assert!(disk.read(&at("new")).is_err(), "nothing works without power");
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["kept", "old"]);
}

#[test]
fn what_was_synced_inside_a_new_folder_appears_with_the_folder() {
    let folder = folder_in_memory();
    let (disk, inner) = (Forgetful::new(), folder.path().join("inner"));
    disk.make_folder(&inner).unwrap();
    file(&disk, &inner.join("a"), "content").sync().unwrap();
    disk.sync_folder(&inner).unwrap();
    assert!(!inner.exists());
    disk.sync_folder(folder.path()).unwrap();
    assert_eq!(std::fs::read_to_string(inner.join("a")).unwrap(), "content");
}

/// What a client of the store was told before the power went.
#[derive(Debug, Default)]
struct Told {
    /// The last content that was acknowledged, none after an acknowledged delete.
    acknowledged: BTreeMap<&'static str, Option<&'static str>>,
    /// What may have happened on top of it.
    attempted: Option<(&'static str, Option<&'static str>)>,
}

const OBJECTS: [&str; 4] = ["repository/config", "repository/data/ab/ab1", "repository/data/ab/ab2", "lease/1"];

/// Puts, overwrites, creates and deletes until something fails.
async fn work(store: &LocalStore) -> Told {
    let mut told = Told::default();
    let [config, first, second, lease] = OBJECTS;
    let steps: [(&str, Option<&'static str>); 7] = [
        (config, Some("config one")),
        (first, Some("first one")),
        (second, Some("second one")),
        (first, Some("first two")),
        (second, None),
        (config, Some("config two")),
        (lease, Some("mine")),
    ];
    for (key, content) in steps {
        let done = match content {
            Some("mine") => store.create(key, "mine".into()).await.map(|created| assert_eq!(created, Created::New)),
            Some(content) => store.put(key, vec![content.into()]).await,
            None => store.delete(key).await,
        };
        if done.is_err() {
            told.attempted = Some((key, content));
            return told;
        }
        told.acknowledged.insert(key, content);
    }
    told
}

/// What a fresh look at the folder finds wrong with it; empty = all is as it was told.
async fn complaints(folder: &Path, told: &Told) -> Vec<String> {
    let store = LocalStore::create(folder).await.unwrap();
    let mut wrong = Vec::new();
    for key in OBJECTS {
        let there = match store.get(key).await {
            Ok(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
            Err(StorageError::NotFound { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        let expected = told.acknowledged.get(key).copied().flatten();
        let perhaps = told.attempted.filter(|(attempted, _)| *attempted == key).map(|(_, content)| content);
        if there.as_deref() != expected && Some(there.as_deref()) != perhaps {
            wrong.push(format!("{key} is {there:?}, acknowledged was {expected:?}, attempted {perhaps:?}"));
        }
    }
    let listed: Vec<_> = store.list("").await.unwrap().into_iter().map(|o| o.key).collect();
    wrong.extend(listed.iter().filter(|k| !OBJECTS.contains(&k.as_str())).map(|k| format!("{k} is listed")));
    wrong
}

/// Runs the work with the power cut at every step in turn; returns what was found wrong.
async fn cut_everywhere(disk: impl Fn() -> (Forgetful, Arc<dyn Disk>)) -> Vec<String> {
    let mut wrong = Vec::new();
    for step in 0.. {
        let base = folder_in_memory();
        let folder = base.path().join("new/store");
        let (power, disk) = disk();
        power.cut_power_at(step);
        let told = match LocalStore::create_on(disk, &folder).await {
            Ok(store) => work(&store).await,
            Err(_) => Told::default(),
        };
        let finished = power.steps() < step;
        power.cut_power();
        wrong.extend(complaints(&folder, &told).await.into_iter().map(|why| format!("cut at {step}: {why}")));
        // The next run finishes the job on what is left.
        std::fs::remove_dir_all(folder.join("lease")).ok();
        let store = LocalStore::create_on(Arc::new(Forgetful::new()), &folder).await.unwrap();
        let again = work(&store).await;
        assert_eq!(again.attempted, None, "the second run stopped");
        wrong.extend(complaints(&folder, &again).await.into_iter().map(|why| format!("after {step}: {why}")));
        if finished {
            return wrong;
        }
    }
    unreachable!("the work has an end")
}

#[tokio::test]
async fn the_local_store_keeps_what_it_acknowledged_wherever_the_power_is_cut() {
    let wrong = cut_everywhere(|| {
        let disk = Forgetful::new();
        (disk.clone(), Arc::new(disk))
    })
    .await;
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn and_whatever_the_disk_wrote_back_unasked() {
    for seed in 0..8 {
        let wrong = cut_everywhere(|| {
            let disk = Forgetful::with_writeback(seed);
            (disk.clone(), Arc::new(disk))
        })
        .await;
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
    }
}

/// A disk that leaves out some of the syncs it is asked for: with it the test above must fail, or it proves nothing.
#[derive(Debug)]
struct Lazy {
    disk: Forgetful,
    skip_files: bool,
    skip_folders: fn(&Path) -> bool,
}

struct NeverSynced;

impl Written for NeverSynced {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Lazy {
    fn write_new(&self, path: &Path, parts: &[Bytes]) -> io::Result<Box<dyn Written>> {
        let written = self.disk.write_new(path, parts)?;
        Ok(if self.skip_files { Box::new(NeverSynced) } else { written })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.make_folder(path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if (self.skip_folders)(folder) { Ok(()) } else { self.disk.sync_folder(folder) }
    }
    fn read(&self, path: &Path) -> io::Result<Bytes> {
        self.disk.read(path)
    }
    fn read_at(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<(Bytes, u64)> {
        self.disk.read_at(path, offset, bytes)
    }
    fn entry(&self, path: &Path) -> io::Result<Entry> {
        self.disk.entry(path)
    }
    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.disk.entries(folder)
    }
    fn device(&self, folder: &Path) -> io::Result<u64> {
        self.disk.device(folder)
    }
}

#[tokio::test]
async fn a_store_that_leaves_out_a_sync_is_noticed() {
    let lazy = |skip_files, skip_folders: fn(&Path) -> bool| {
        move || {
            let disk = Forgetful::new();
            (disk.clone(), Arc::new(Lazy { disk, skip_files, skip_folders }) as Arc<dyn Disk>)
        }
    };
    let wrong = cut_everywhere(lazy(true, |_| false)).await;
    assert!(wrong.iter().any(|w| w.contains("is Some(\"\"), acknowledged was Some(\"config one\")")), "{wrong:#?}");
    let wrong = cut_everywhere(lazy(false, |folder| folder.ends_with("repository/data/ab"))).await;
    assert!(wrong.iter().any(|w| w.contains("ab1 is None, acknowledged was Some(\"first one\")")), "{wrong:#?}");
    let wrong = cut_everywhere(lazy(false, |folder| folder.ends_with("repository/data"))).await;
    assert!(wrong.iter().any(|w| w.contains("ab1 is None, acknowledged was Some(\"first one\")")), "{wrong:#?}");
}

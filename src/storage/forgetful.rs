//! A disk that forgets on a power cut what was not fsynced, for tests of durability. A kill keeps the page cache, so
//! killing a process proves little; here the real folder receives only what was synced, and all else lives in this
//! process's memory. The folder is thus at every moment what a power cut would leave: call [`Forgetful::cut_power`],
//! or kill the process, and open the folder again.
//!
//! The model is POSIX at its least generous: a file's content is safe once the file was synced, its name once its
//! folder was. A name that was synced before the content leaves an empty file behind. Real disks also write back what
//! nobody asked for, in any order: [`Forgetful::with_writeback`] lets some effects through by chance.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::disk::{Disk, Entry, EntryKind, RealDisk, Written};

/// See the module. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct Forgetful(Arc<Mutex<Memory>>);

/// What the running system sees and the disk does not have yet.
#[derive(Debug, Default)]
struct Memory {
    names: BTreeMap<PathBuf, Name>,
    files: HashMap<u64, File>,
    /// Names on the disk whose file has more in memory than on the disk.
    behind: HashMap<PathBuf, u64>,
    steps: u64,
    cut_at: Option<u64>,
    off: bool,
    writeback: Option<SmallRng>,
    next_file: u64,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    what: What,
    /// Synced in a folder whose own name is not: it appears with the folder.
    settled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    File(u64),
    Folder,
    Gone,
}

#[derive(Debug)]
struct File {
    content: Bytes,
    /// How much of the content is safe.
    safe: usize,
    modified: SystemTime,
}

impl Default for Forgetful {
    fn default() -> Self {
        Self::new()
    }
}

impl Forgetful {
    /// Forgets everything that was not synced.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Forgets most of it: each effect may reach the disk unasked (of a file's content a part), as `seed` has it.
    #[must_use]
    pub fn with_writeback(seed: u64) -> Self {
        let memory = Memory { writeback: Some(SmallRng::seed_from_u64(seed)), ..Memory::default() };
        Self(Arc::new(Mutex::new(memory)))
    }

    /// From now on nothing works, and what was not synced is lost.
    pub fn cut_power(&self) {
        self.memory().cut();
    }

    /// Cuts the power instead of doing step number `step` (the first is 0); a step is a call that changes something
    /// or syncs.
    pub fn cut_power_at(&self, step: u64) {
        self.memory().cut_at = Some(step);
    }

    /// How many steps were done.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.memory().steps
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> io::Result<MutexGuard<'_, Memory>> {
        let mut memory = self.memory();
        if memory.cut_at == Some(memory.steps) {
            memory.cut();
        }
        memory.powered()?;
        memory.steps += 1;
        Ok(memory)
    }

    fn look(&self) -> io::Result<MutexGuard<'_, Memory>> {
        let memory = self.memory();
        memory.powered()?;
        Ok(memory)
    }
}

impl Memory {
    fn powered(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power is cut")) } else { Ok(()) }
    }

    fn cut(&mut self) {
        self.off = true;
        self.names.clear();
        self.files.clear();
        self.behind.clear();
    }

    /// What the running system sees at `path`.
    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let kind = match self.names.get(path).map(|name| name.what) {
            Some(What::Gone) => return Err(io::ErrorKind::NotFound.into()),
            Some(What::Folder) => EntryKind::Folder,
            Some(What::File(id)) => self.file_entry(id),
            None => match self.behind.get(path) {
                Some(id) => self.file_entry(*id),
                None => return RealDisk.entry(path),
            },
        };
        Ok(Entry { path: path.to_owned(), kind })
    }

    fn file_entry(&self, id: u64) -> EntryKind {
        let file = &self.files[&id];
        EntryKind::File { bytes: file.content.len() as u64, modified: file.modified }
    }

    fn content(&self, path: &Path) -> io::Result<Bytes> {
        match (self.names.get(path).map(|name| name.what), self.behind.get(path)) {
            (Some(What::File(id)), _) | (None, Some(&id)) => Ok(self.files[&id].content.clone()),
            (Some(What::Folder), _) => Err(io::ErrorKind::IsADirectory.into()),
            (Some(What::Gone), _) => Err(io::ErrorKind::NotFound.into()),
            (None, None) => RealDisk.read(path),
        }
    }

    fn set(&mut self, path: &Path, what: What) {
        self.names.insert(path.to_owned(), Name { what, settled: false });
    }

    fn new_file(&mut self, content: Bytes, safe: usize) -> u64 {
        self.next_file += 1;
        self.files.insert(self.next_file, File { content, safe, modified: SystemTime::now() });
        self.next_file
    }

    /// The file behind a name, read in where only the disk has it.
    fn file_at(&mut self, path: &Path) -> io::Result<u64> {
        match (self.names.get(path).map(|name| name.what), self.behind.get(path)) {
            (Some(What::File(id)), _) | (None, Some(&id)) => Ok(id),
            _ => {
                let content = self.content(path)?;
                let safe = content.len();
                Ok(self.new_file(content, safe))
            }
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.file_at(from)?;
        self.forget(from);
        self.set(to, What::File(id));
        self.perhaps_settle(to)?;
        self.perhaps_settle(from)
    }

    /// The name is gone for the running system; the disk may still have it.
    fn forget(&mut self, path: &Path) {
        if std::fs::symlink_metadata(path).is_ok() {
            self.set(path, What::Gone);
        } else {
            self.names.remove(path);
        }
    }

    /// Makes one name durable.
    fn settle(&mut self, path: &Path) -> io::Result<()> {
        let Some(name) = self.names.get_mut(path) else { return Ok(()) };
        if !path.parent().is_some_and(Path::is_dir) {
            name.settled = true;
            return Ok(());
        }
        let what = name.what;
        self.names.remove(path);
        match what {
            What::Gone => {
                self.behind.remove(path);
                match RealDisk.remove(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            What::File(id) => self.write_out(path, id)?,
            What::Folder => {
                RealDisk.make_folder(path)?;
                for child in self.children(path, |name| name.settled) {
                    self.settle(&child)?;
                }
            }
        }
        self.drop_unnamed();
        Ok(())
    }

    /// Puts what is safe of a file onto the disk, at once, as a file system's journal does.
    fn write_out(&mut self, path: &Path, id: u64) -> io::Result<()> {
        let file = &self.files[&id];
        let whole = file.safe == file.content.len();
        // Named as the local store names its temporaries: if this process is killed just now, it is swept as one.
        let staged = path.with_file_name(format!(".drydock-tmp-{:032x}", rand::random::<u128>()));
        RealDisk.write_new(&staged, &[file.content.slice(..file.safe)])?;
        RealDisk.rename(&staged, path)?;
        if whole {
            self.behind.remove(path);
        } else {
            self.behind.insert(path.to_owned(), id);
        }
        Ok(())
    }

    fn sync_file(&mut self, id: u64, upto: Option<usize>) -> io::Result<()> {
        let Some(file) = self.files.get_mut(&id) else { return Ok(()) };
        file.safe = upto.unwrap_or(file.content.len()).max(file.safe);
        let names: Vec<PathBuf> = self.behind.iter().filter(|(_, at)| **at == id).map(|(p, _)| p.clone()).collect();
        for path in names {
            self.write_out(&path, id)?;
        }
        self.drop_unnamed();
        Ok(())
    }

    fn drop_unnamed(&mut self) {
        let named = |id: &u64, names: &BTreeMap<PathBuf, Name>| names.values().any(|n| n.what == What::File(*id));
        let (names, behind) = (&self.names, &self.behind);
        self.files.retain(|id, file| {
            // A file that is still being written has a name in memory.
            named(id, names) || (file.safe < file.content.len() && behind.values().any(|at| at == id))
        });
    }

    fn children(&self, folder: &Path, wanted: impl Fn(&Name) -> bool) -> Vec<PathBuf> {
        let below = self.names.range(folder.to_owned()..).take_while(|(path, _)| path.starts_with(folder));
        below.filter(|(p, name)| p.parent() == Some(folder) && wanted(name)).map(|(p, _)| p.clone()).collect()
    }

    /// Unasked writing back of a name: one in four.
    fn perhaps_settle(&mut self, path: &Path) -> io::Result<()> {
        let unasked = self.writeback.as_mut().is_some_and(|random| random.random_ratio(1, 4));
        if unasked { self.settle(path) } else { Ok(()) }
    }

    /// Unasked writing back of the beginning of a file: one in two.
    fn perhaps_sync(&mut self, id: u64) -> io::Result<()> {
        let Some(random) = &mut self.writeback else { return Ok(()) };
        let size = self.files[&id].content.len();
        let upto = random.random_ratio(1, 2).then(|| random.random_range(0..=size));
        upto.map_or(Ok(()), |upto| self.sync_file(id, Some(upto)))
    }

    fn parent_is_there(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().ok_or(io::ErrorKind::NotFound)?;
        match self.entry(parent)?.kind {
            EntryKind::Folder => Ok(()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn must_be_free(&self, path: &Path) -> io::Result<()> {
        match self.entry(path) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Disk for Forgetful {
    fn write_new(&self, path: &Path, parts: &[Bytes]) -> io::Result<Box<dyn Written>> {
        let mut memory = self.step()?;
        memory.parent_is_there(path)?;
        memory.must_be_free(path)?;
        let id = memory.new_file(parts.concat().into(), 0);
        memory.set(path, What::File(id));
        memory.perhaps_sync(id)?;
        memory.perhaps_settle(path)?;
        Ok(Box::new(OpenFile { disk: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut memory = self.step()?;
        memory.must_be_free(to)?;
        memory.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut memory = self.step()?;
        memory.entry(path)?;
        memory.forget(path);
        memory.drop_unnamed();
        memory.perhaps_settle(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut memory = self.step()?;
        memory.parent_is_there(path)?;
        memory.must_be_free(path)?;
        memory.set(path, What::Folder);
        memory.perhaps_settle(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut memory = self.step()?;
        memory.entry(folder)?;
        for path in memory.children(folder, |_| true) {
            memory.settle(&path)?;
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        self.look()?.content(path)
    }

    fn read_at(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<(Bytes, u64)> {
        let content = self.look()?.content(path)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let end = start.saturating_add(bytes).min(content.len());
        Ok((content.slice(start..end), content.len() as u64))
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        self.look()?.entry(path)
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let memory = self.look()?;
        if memory.entry(folder)?.kind != EntryKind::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let mut paths = memory.children(folder, |_| true);
        if folder.is_dir() {
            paths.extend(RealDisk.entries(folder)?.into_iter().map(|entry| entry.path));
        }
        paths.sort();
        paths.dedup();
        let gone = |entry: &io::Result<Entry>| matches!(entry, Err(e) if e.kind() == io::ErrorKind::NotFound);
        paths.iter().map(|path| memory.entry(path)).filter(|entry| !gone(entry)).collect()
    }

    fn device(&self, folder: &Path) -> io::Result<u64> {
        drop(self.look()?);
        RealDisk.device(folder)
    }
}

struct OpenFile {
    disk: Forgetful,
    id: u64,
}

impl Written for OpenFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.step()?.sync_file(self.id, None)
    }
}

#[cfg(test)]
mod tests;

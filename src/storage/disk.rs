//! The few file operations that [`LocalStore`](super::LocalStore) stands on, as a trait, so that a test can put a
//! disk below it that forgets on a power cut what was not fsynced ([`super::forgetful`]).
//! Every call may block.

use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::direct;

/// Readable by the owner alone, as restic makes its files and folders.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// What a folder holds, one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: PathBuf,
    pub kind: EntryKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Size in bytes and the time of the last change.
    File {
        bytes: u64,
        modified: SystemTime,
    },
    Folder,
    /// A socket, a device: nothing of ours.
    Other,
}

/// A file system, with the distinction that matters for durability: an effect is safe only once it was synced.
pub trait Disk: Debug + Send + Sync {
    /// Makes a file that was not there and writes `parts` into it. Neither content nor name is durable yet.
    fn write_new(&self, path: &Path, parts: &[Bytes]) -> io::Result<Box<dyn Written>>;

    /// Replaces `to`. Durable once the folder is synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// As [`Disk::rename`], but fails with `AlreadyExists` where there is a `to`, also when two race.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Durable once the folder is synced.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes one folder. Durable once its parent is synced.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `folder`, not the files' content, durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    fn read(&self, path: &Path) -> io::Result<Bytes>;

    /// At most `bytes` from `offset` on, less where the file ends; and the file's size.
    fn read_at(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<(Bytes, u64)>;

    /// Follows symbolic links.
    fn entry(&self, path: &Path) -> io::Result<Entry>;

    /// What `folder` holds; what vanishes meanwhile is left out.
    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// The number of the file system that holds `folder`; it changes when a disk is unmounted.
    fn device(&self, folder: &Path) -> io::Result<u64>;
}

/// A file that was written and is still open.
pub trait Written {
    /// Makes the content durable (not the name: that is the folder's).
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn write_new(&self, path: &Path, parts: &[Bytes]) -> io::Result<Box<dyn Written>> {
        if parts.iter().map(Bytes::len).sum::<usize>() >= direct::FROM {
            match direct::write_new(path, parts, FILE_MODE) {
                Ok(file) => return Ok(Box::new(file)),
                // Not on this file system, or not with blocks of this size.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => remove_if_there(path)?,
                Err(error) => return Err(error),
            }
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
        write_all(&mut file, parts)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // NFS and some FUSE file systems do not know the flag; a hard link is as atomic, with one more name for
            // a moment.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                std::fs::hard_link(from, to)?;
                std::fs::remove_file(from)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(FOLDER_MODE).create(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        std::fs::read(path).map(Bytes::from)
    }

    fn read_at(&self, path: &Path, offset: u64, bytes: usize) -> io::Result<(Bytes, u64)> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let there = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes);
        let mut content = vec![0; there];
        file.read_exact_at(&mut content, offset)?;
        Ok((content.into(), size))
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let metadata = std::fs::metadata(path)?;
        let kind = if metadata.is_dir() {
            EntryKind::Folder
        } else if metadata.is_file() {
            EntryKind::File { bytes: metadata.len(), modified: metadata.modified()? }
        } else {
            EntryKind::Other
        };
        Ok(Entry { path: path.to_owned(), kind })
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            match self.entry(&entry?.path()) {
                Ok(entry) => found.push(entry),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn device(&self, folder: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(folder)?.dev())
    }
}

impl Written for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes all parts with as few calls as the kernel allows.
fn write_all(file: &mut File, parts: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().filter(|p| !p.is_empty()).map(|p| IoSlice::new(p)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

//! An open folder: everything below it is reached from its handle, one name at a time, so that a path that somebody
//! exchanges for a symbolic link meanwhile cannot lead out of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom, openat, readlinkat, seek};
use rustix::io::Errno;

use super::beneath::open_beneath;
use super::status::Status;

/// getdents is asked for this much at once; a folder of a million entries takes about 600 calls.
const LISTING_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: Box<[u8]>,
    pub inode: u64,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folder {
    /// Opens the folder that the user named; here alone links are followed.
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: quietly(flags, |flags| openat(CWD, path, flags, Mode::empty()))? })
    }

    /// A folder at any depth below this one; no link is followed on the way.
    pub(super) fn below(&self, path: &[u8]) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok(Self { fd: quietly(flags, |flags| open_beneath(&self.fd, path, flags, Mode::empty()))? })
    }

    pub(super) fn child(&self, name: &[u8]) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { fd: quietly(flags, |flags| openat(&self.fd, name, flags, Mode::empty()))? })
    }

    /// Opens a file for reading. A FIFO that has taken its place meanwhile does not hang the reader.
    pub(super) fn file(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        quietly(flags, |flags| openat(&self.fd, name, flags, Mode::empty()))
    }

    pub(super) fn link_target(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        Ok(readlinkat(&self.fd, name, Vec::with_capacity(256))?.into_bytes())
    }

    pub(super) fn status(&self, name: &[u8]) -> Result<Status, Errno> {
        Status::of_entry(&self.fd, name)
    }

    pub(super) fn own_status(&self) -> Result<Status, Errno> {
        Status::of_open(&self.fd)
    }

    /// A path that leads to the entry `name` of this very folder, whatever happens to the folders above it; for calls
    /// that take no handle. Needs `/proc`.
    pub(super) fn proc_path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }

    /// All entries but `.` and `..`, sorted by name as bytes, which is the order of a tree.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Errno> {
        let mut entries = Vec::new();
        seek(&self.fd, SeekFrom::Start(0))?;
        let mut buffer = Vec::with_capacity(LISTING_BYTES);
        let mut listing = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                entries.push(Entry { name: name.into(), inode: entry.ino() });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|a, b| a.name == b.name);
        Ok(entries)
    }
}

/// Opens without touching the access time, which only the owner and root may; others open as usual.
fn quietly<T>(flags: OFlags, open: impl Fn(OFlags) -> Result<T, Errno>) -> Result<T, Errno> {
    match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        other => other,
    }
}

/// Fills `buffer` from `offset` until it is full or the file ends; how much was read.
pub(super) fn read_at(fd: impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(&fd, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_listing_is_sorted_by_bytes_and_holds_names_that_are_not_utf8() {
        let temp = tempfile::tempdir().unwrap();
        for name in [&b"b"[..], b"\xff", b"a.b", b"a", b"a-b"] {
            std::fs::write(temp.path().join(std::ffi::OsStr::from_bytes(name)), b"").unwrap();
        }
        let folder = Folder::open(temp.path()).unwrap();
        let names: Vec<_> = folder.entries().unwrap().into_iter().map(|e| e.name.to_vec()).collect();
        assert_eq!(names, [&b"a"[..], b"a-b", b"a.b", b"b", b"\xff"]);
        assert_eq!(folder.entries().unwrap().len(), 5, "listing twice begins at the beginning");
    }

    #[test]
    fn a_link_is_no_way_into_a_folder_or_file() {
        let temp = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", temp.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", temp.path().join("passwd")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        assert_eq!(folder.child(b"etc").unwrap_err(), Errno::NOTDIR);
        assert_eq!(folder.file(b"passwd").unwrap_err(), Errno::LOOP);
        assert_eq!(folder.link_target(b"passwd").unwrap(), b"/etc/passwd");
    }
}

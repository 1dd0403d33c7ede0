//! Extended attributes, POSIX ACLs among them (`system.posix_acl_access`, `system.posix_acl_default`).

use std::os::fd::BorrowedFd;

use rustix::fs::{
    XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr, lremovexattr, lsetxattr,
};
use rustix::io::Errno;

/// First try for a list or a value; the kernel allows 64 KiB for either.
const USUAL_BYTES: usize = 1 << 10;
const MOST_BYTES: usize = 64 << 10;

pub(super) const ACCESS_ACL: &str = "system.posix_acl_access";
pub(super) const DEFAULT_ACL: &str = "system.posix_acl_default";

/// Whose attributes: an open file's, or those of what lies at a path (a link's own).
#[derive(Debug, Clone, Copy)]
pub(super) enum Bearer<'a> {
    Open(BorrowedFd<'a>),
    /// As [`Folder::proc_path`](super::folder::Folder::proc_path) gives it.
    At(&'a [u8]),
}

/// Name and value of each.
pub(super) type Attributes = Vec<(String, Vec<u8>)>;

impl Bearer<'_> {
    /// All attributes, sorted by name; none where the file system knows none. Names that are no UTF-8 cannot be kept in
    /// a tree: they are handed to `unkept`.
    pub(super) fn read(&self, mut unkept: impl FnMut(&[u8])) -> Result<Attributes, Errno> {
        let names = match growing(|buffer| self.list(buffer)) {
            Ok(names) if names.is_empty() => return Ok(Vec::new()),
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            names => names?,
        };
        let mut attributes = Vec::new();
        for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
            let Ok(text) = std::str::from_utf8(name) else {
                unkept(name);
                continue;
            };
            match growing(|buffer| self.get(text, buffer)) {
                Ok(value) => attributes.push((text.to_owned(), value)),
                Err(Errno::NODATA) => {} // removed since it was listed
                Err(error) => return Err(error),
            }
        }
        attributes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(attributes)
    }

    pub(super) fn set(&self, name: &str, value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::At(path) => lsetxattr(*path, name, value, XattrFlags::empty()),
        }
    }

    /// Removes it; that it is not there, or cannot be, is no error.
    pub(super) fn remove(&self, name: &str) -> Result<(), Errno> {
        let removed = match self {
            Self::Open(fd) => fremovexattr(fd, name),
            Self::At(path) => lremovexattr(*path, name),
        };
        match removed {
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
            other => other,
        }
    }

    fn list(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => flistxattr(fd, buffer),
            Self::At(path) => llistxattr(*path, buffer),
        }
    }

    fn get(&self, name: &str, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => fgetxattr(fd, name, buffer),
            Self::At(path) => lgetxattr(*path, name, buffer),
        }
    }
}

/// Calls `fill` with a small buffer on the stack, and with the largest that the kernel needs when it does not fit.
fn growing(fill: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut usual = [0; USUAL_BYTES];
    match fill(&mut usual) {
        Ok(length) => Ok(usual[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut most = vec![0; MOST_BYTES];
            let length = fill(&mut most)?;
            most.truncate(length);
            Ok(most)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn values_of_any_bytes_and_more_than_the_usual_size_are_read_as_they_were_set() {
        let temp = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(temp.path().join("a")).unwrap();
        let bearer = Bearer::Open(file.as_fd());
        let long: Vec<u8> = (0..3_000u32).map(|i| i as u8).collect();
        bearer.set("user.long", &long).unwrap();
        bearer.set("user.empty", b"").unwrap();
        bearer.set("user.gone", b"x").unwrap();
        bearer.remove("user.gone").unwrap();
        bearer.remove("user.gone").unwrap();
        let read = bearer.read(|_| panic!("every name is UTF-8")).unwrap();
        assert_eq!(read, [("user.empty".into(), vec![]), ("user.long".into(), long)]);
    }

    #[test]
    fn a_name_that_is_no_utf8_is_said_and_not_lost_in_silence() {
        let temp = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(temp.path().join("a")).unwrap();
        fsetxattr(&file, &b"user.\xff"[..], b"x", XattrFlags::empty()).unwrap();
        let mut unkept = Vec::new();
        assert!(Bearer::Open(file.as_fd()).read(|name| unkept.push(name.to_vec())).unwrap().is_empty());
        assert_eq!(unkept, [b"user.\xff".to_vec()]);
    }
}

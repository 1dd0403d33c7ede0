//! Opens paths that cannot lead out of a folder: no symbolic link is followed anywhere on the way, `..` and absolute
//! paths are refused by the kernel (`openat2`), or, where it is older than 5.6 or a sandbox forbids that call, by going
//! one name at a time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// The kernel takes paths shorter than 4,096 bytes; deeper ones are opened in pieces.
const LONGEST_PATH: usize = 4_000;

/// The kernel gives up a lookup that races with a rename (`EAGAIN`); so often it is tried again.
const MOST_TRIES: u32 = 100;

/// Opens `path` below `root`; the empty path is `root` itself.
///
/// # Errors
/// `LOOP` or `NOTDIR` where a symbolic link lies on the way, `NAMETOOLONG` for a name that is too long.
pub(super) fn open_beneath(root: impl AsFd, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if path.is_empty() {
        return openat(root, c".", flags, mode);
    }
    if path.len() <= LONGEST_PATH {
        return open_short(root.as_fd(), path, flags, mode);
    }
    let cut = path[..LONGEST_PATH].iter().rposition(|b| *b == b'/').ok_or(Errno::NAMETOOLONG)?;
    let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let head = open_short(root.as_fd(), &path[..cut], on_the_way, Mode::empty())?;
    open_beneath(head, &path[cut + 1..], flags, mode)
}

fn open_short(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    if !kernel_has_openat2() {
        return by_names(root, path, flags, mode);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..MOST_TRIES {
        match openat2(root, path, flags, mode, resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    openat2(root, path, flags, mode, resolve)
}

fn kernel_has_openat2() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        openat2(CWD, c".", flags, Mode::empty(), ResolveFlags::BENEATH).is_ok()
    })
}

fn by_names(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let mut names = path.split(|b| *b == b'/');
    let last = names.next_back().expect("split yields at least one piece");
    let mut folder: Option<OwnedFd> = None;
    for name in names {
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        folder = Some(openat(folder.as_ref().map_or(root, AsFd::as_fd), one_name(name)?, on_the_way, Mode::empty())?);
    }
    openat(folder.as_ref().map_or(root, AsFd::as_fd), one_name(last)?, flags, mode)
}

fn one_name(name: &[u8]) -> Result<&[u8], Errno> {
    if matches!(name, b"" | b"." | b"..") { Err(Errno::XDEV) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    type Open = fn(BorrowedFd<'_>, &[u8], OFlags, Mode) -> Result<OwnedFd, Errno>;

    #[test]
    fn no_link_leads_out_by_the_kernel_or_by_names() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("a/b")).unwrap();
        std::fs::write(temp.path().join("a/b/file"), b"inside").unwrap();
        symlink("/etc", temp.path().join("a/out")).unwrap();
        symlink("b", temp.path().join("a/inside")).unwrap();
        symlink("/etc/passwd", temp.path().join("a/passwd")).unwrap();
        let root = std::fs::File::open(temp.path()).unwrap();
        for open in [open_short as Open, by_names] {
            let open = |path: &[u8]| open(root.as_fd(), path, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty());
            assert!(open(b"a/b/file").is_ok());
            for path in [&b"a/out/passwd"[..], b"a/inside/file", b"a/passwd", b"../etc", b"a/../../etc", b"/etc/passwd"]
            {
                open(path).expect_err(&String::from_utf8_lossy(path));
            }
        }
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_opened_in_pieces() {
        let temp = tempfile::tempdir().unwrap();
        let root = std::fs::File::open(temp.path()).unwrap();
        let name = [b'n'; 200];
        let mut path = name.to_vec();
        let mut folder: OwnedFd = root.try_clone().unwrap().into();
        for _ in 0..30 {
            rustix::fs::mkdirat(&folder, &name[..], Mode::RWXU).unwrap();
            folder = openat(&folder, &name[..], OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        for _ in 1..30 {
            path.push(b'/');
            path.extend_from_slice(&name);
        }
        assert!(path.len() > 5_000);
        let opened = open_beneath(&root, &path, OFlags::PATH, Mode::empty()).unwrap();
        assert_eq!(rustix::fs::fstat(&opened).unwrap().st_ino, rustix::fs::fstat(&folder).unwrap().st_ino);
    }
}

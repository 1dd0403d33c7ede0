//! Mount points below a folder, by the kernel's own list.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The first mount point below `folder` (not the folder itself). None also where `/proc` cannot be read: then the
/// exchange finds out by itself, for the kernel refuses to rename a mount point.
pub(super) fn inside(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let list = std::fs::read("/proc/self/mountinfo").ok()?;
    mount_points(&list).find(|mount| *mount != folder && mount.starts_with(&folder))
}

/// The fifth field of each line. Source: proc(5), `/proc/pid/mountinfo`.
fn mount_points(list: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = list.split(|b| *b == b'\n');
    lines.filter_map(|line| line.split(|b| *b == b' ').nth(4)).map(|field| OsString::from_vec(unescape(field)).into())
}

/// Blanks, tabs, newlines and backslashes are written in octal.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some(digits) => {
                path.push(digits.iter().fold(0u8, |value, d| value.wrapping_mul(8).wrapping_add(d - b'0')));
                rest = &after[3..];
            }
            None => {
                path.push(first);
                rest = after;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let list = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n\
                     37 35 98:0 / /srv/with\\040blank\\134 rw - ext4 /dev/x rw\n";
        let found: Vec<_> = mount_points(list).collect();
        assert_eq!(found, [Path::new("/mnt2"), Path::new("/srv/with blank\\")]);
    }
}

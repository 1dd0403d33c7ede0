//! Why a folder could not be read, written or exchanged.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::failure::{Category, Failure};
use crate::repository::RepositoryError;

use super::path::shown;

#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("cannot {action} {path}")]
    File { action: &'static str, path: String, source: io::Error },
    #[error("{path} is not a folder")]
    NotAFolder { path: String },
    #[error("`{pattern}` is no pattern for `exclude`: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("{path} is not empty: {count} entries, `{first}` among them")]
    NotEmpty { path: String, count: usize, first: String },
    #[error("{path} has {free_bytes} bytes free where the snapshot needs {needed_bytes}")]
    NoSpace { path: String, needed_bytes: u64, free_bytes: u64 },
    #[error("{path} has {free} inodes free where the snapshot needs {needed}")]
    NoInodes { path: String, needed: u64, free: u64 },
    #[error("a folder is in the way of {path}, which is none in the snapshot")]
    InTheWay { path: String },
    #[error("the snapshot says that `{path}` has {recorded} bytes, its blobs hold {found}")]
    Length { path: String, recorded: u64, found: u64 },
    #[error("{path} is a mount point inside the volume: it can be neither exchanged nor replaced")]
    MountInside { path: String },
    #[error("an in-place restore of {folder} was left half done: run {run}")]
    Unfinished { folder: String, run: String },
    #[error("another drydock is restoring {folder} in place")]
    Busy { folder: String },
    #[error("{folder} has no in-place restore called {run}")]
    NoSuchRun { folder: String, run: String },
    #[error("`{run}` cannot be the name of a run, or there is one of that name")]
    RunName { run: String },
    #[error("the journal {path} cannot be read: {reason}")]
    Journal { path: String, reason: String },
    #[error("{path} is neither what the run found there nor what it would put there")]
    Changed { path: String },
    #[error(
        "the restored copy differs from the snapshot in {count} places, first {first}; the live folder is untouched"
    )]
    Differs { count: u64, first: String },
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("cancelled")]
    Cancelled,
}

impl VolumeError {
    /// For `map_err`: what we were doing, to which file.
    pub(super) fn file<'a, E: Into<io::Error>>(action: &'static str, path: &'a [u8]) -> impl FnOnce(E) -> Self + 'a {
        move |source| Self::File { action, path: shown(path), source: source.into() }
    }

    /// For `map_err`: the folder that the user named cannot be opened.
    pub(super) fn root(path: &Path) -> impl FnOnce(Errno) -> Self + '_ {
        move |errno| match errno {
            Errno::NOTDIR => Self::NotAFolder { path: path.display().to_string() },
            _ => Self::File { action: "open", path: path.display().to_string(), source: errno.into() },
        }
    }
}

impl Failure for VolumeError {
    fn category(&self) -> Category {
        match self {
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::ReadOnlyFilesystem => Category::Usage,
                _ => Category::Unavailable,
            },
            Self::NotAFolder { .. }
            | Self::Pattern { .. }
            | Self::NotEmpty { .. }
            | Self::InTheWay { .. }
            | Self::MountInside { .. }
            | Self::NoSuchRun { .. }
            | Self::RunName { .. } => Category::Usage,
            Self::NoSpace { .. } | Self::NoInodes { .. } => Category::Unavailable,
            Self::Busy { .. } => Category::Locked,
            Self::Length { .. } | Self::Differs { .. } => Category::Integrity,
            Self::Unfinished { .. } | Self::Journal { .. } | Self::Changed { .. } => Category::NeedsOperator,
            Self::Repository(error) => error.category(),
            Self::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("run drydock as root, or give its user the right to it, or leave it out with `exclude`".into())
                }
                io::ErrorKind::StorageFull => Some("free space there and run the same command again".into()),
                _ => None,
            },
            Self::NotEmpty { .. } => Some("name an empty folder, or one that does not exist yet".into()),
            Self::NoSpace { .. } | Self::NoInodes { .. } => {
                Some("free space there, or restore to a folder of another file system with `--to DIR`".into())
            }
            Self::MountInside { .. } => Some("unmount it first, or restore to another folder with `--to DIR`".into()),
            Self::Unfinished { run, .. } => {
                Some(format!("resume or undo it first: `drydock restore -f FILE --resume {run}`, or `--undo {run}`"))
            }
            Self::Changed { .. } => Some("stop what writes there, look at both, then resume or undo the run".into()),
            Self::Repository(error) => error.hint(),
            _ => None,
        }
    }
}

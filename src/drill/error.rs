use std::path::PathBuf;

use crate::data::DataError;
use crate::evidence::EvidenceError;
use crate::failure::{Category, Failure};
use crate::point::{PointError, PointId};
use crate::repository::RepositoryError;
use crate::stack::{ByteSize, Name, duration};

/// What kept a drill from a verdict. That a point does not restore is none of these: it is the verdict.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error("no complete recovery point is from the last {}", duration::human(*window))]
    NoneWithin { window: std::time::Duration },
    #[error("recovery point {point}, which the drill was to restore, is not there any more")]
    Gone { point: PointId },
    #[error("`{text}` names no recovery point: {why}")]
    Choice { text: String, why: String },
    #[error("recovery point {point} holds no data set `{name}`; it holds {}", holds.join(", "))]
    NotInPoint { name: Name, point: PointId, holds: Vec<String> },
    #[error("the snapshot of `{name}` in recovery point {point} is missing")]
    MemberMissing { name: Name, point: PointId },
    #[error("the sandbox needs {} in {}, and {} are free", ByteSize(*.needed), folder.display(), ByteSize(*.free))]
    NoSpace { folder: PathBuf, needed: u64, free: u64 },
    #[error("the sandbox needs {} of memory, and {} can be had", ByteSize(*.needed), ByteSize(*.available))]
    NoMemory { needed: u64, available: u64 },
    #[error("cannot {what} {}", path.display())]
    Folder { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("another drill, of the process {pid}, is at the sandbox {}", folder.display())]
    InUse { folder: PathBuf, pid: u32 },
    #[error("there is no sandbox of the run `{run}` in {}", root.display())]
    NoSuchSandbox { run: String, root: PathBuf },
    #[error("cannot set up the sandbox for the data set `{data}`")]
    Provision { data: Name, source: Box<DataError> },
    #[error("cannot drill the data set `{data}`")]
    Data { data: Name, source: Box<DataError> },
    #[error("processes of the sandbox {} do not end: {}", folder.display(), pids.join(", "))]
    StillRunning { folder: PathBuf, pids: Vec<String> },
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("the drill's evidence cannot be left")]
    Evidence(#[from] EvidenceError),
    #[error("cancelled")]
    Cancelled,
    #[error("the drill has no sandbox any more")]
    NoSandbox,
}

impl DrillError {
    pub(super) fn folder(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Folder { what, path, source }
    }
}

impl Failure for DrillError {
    fn category(&self) -> Category {
        match self {
            Self::NoneWithin { .. }
            | Self::Gone { .. }
            | Self::Choice { .. }
            | Self::NotInPoint { .. }
            | Self::NoSuchSandbox { .. } => Category::Usage,
            Self::MemberMissing { .. } => Category::Integrity,
            Self::NoSpace { .. } | Self::NoMemory { .. } | Self::Folder { .. } => Category::Unavailable,
            Self::InUse { .. } => Category::Locked,
            Self::Provision { source, .. } | Self::Data { source, .. } => source.category(),
            Self::StillRunning { .. } => Category::NeedsOperator,
            Self::Point(error) => error.category(),
            Self::Repository(error) => error.category(),
            Self::Evidence(error) => error.category(),
            Self::Cancelled => Category::Interrupted,
            Self::NoSandbox => Category::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoneWithin { .. } => "take one with `drydock snapshot -f FILE`, or widen the window".into(),
            Self::Gone { .. } => "somebody removed it since; `drydock drill -f FILE` drills another".into(),
            Self::Choice { .. } => {
                "write `latest`, `latest-proven`, `random:30d`, or the beginning of a point's id".into()
            }
            Self::MemberMissing { .. } => "choose another point; `drydock points -f FILE` lists them".into(),
            Self::NoSpace { .. } => {
                "free some, set `spec.drill.folder` to a larger disk, or drill a part of it with --data".into()
            }
            Self::NoMemory { .. } => "drill on a machine with more memory, or a part of it with --data".into(),
            Self::Folder { .. } => "check `spec.drill.folder`, or the folder for temporary files (TMPDIR)".into(),
            Self::InUse { .. } => "wait for it to end".into(),
            Self::NoSuchSandbox { .. } => "what a drill has kept is named in its report and by the next drill".into(),
            Self::StillRunning { .. } => "end them by hand, then run any drill: it removes the folder".into(),
            Self::Provision { source, .. } | Self::Data { source, .. } => return source.hint(),
            Self::Point(error) => return error.hint(),
            Self::Repository(error) => return error.hint(),
            Self::Evidence(error) => return error.hint(),
            Self::NotInPoint { .. } | Self::Cancelled | Self::NoSandbox => return None,
        })
    }
}

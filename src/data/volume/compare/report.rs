//! What the comparison found, from several threads; and what is forgiven because this process may not do better.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::data::Comparison;
use crate::repository::{Node, NodeKind};

use super::super::VolumeError;
use super::super::path::shown;
use super::super::restore::Shortfalls;
use super::super::status::Kind;

#[derive(Debug)]
pub(super) struct Report<'r> {
    pub shortfalls: &'r Shortfalls,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    comparison: Comparison,
    forgiven: BTreeMap<Forgiven, u64>,
}

/// No differences of content, but not as recorded: counted and said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Forgiven {
    Owner,
    SetId,
    Device,
    Attribute,
    /// The file system keeps times less finely.
    Time,
    More,
}

impl Forgiven {
    fn note(self, count: u64) -> String {
        match self {
            Self::Owner => {
                format!(
                    "owner or group of {count} entries is not as recorded: drydock may not give files away (run it as root)"
                )
            }
            Self::SetId => {
                format!(
                    "{count} entries are without their set-user-id or set-group-id bit, for their owner is not the recorded one"
                )
            }
            Self::Device => format!("{count} devices were not made: drydock may not make devices (run it as root)"),
            Self::Attribute => {
                format!("{count} attributes that only root or the system may set are not as recorded")
            }
            Self::Time => format!("{count} times are kept less finely by this file system than they were recorded"),
            Self::More => format!("{count} entries are there that the snapshot does not have"),
        }
    }
}

impl<'r> Report<'r> {
    pub(super) fn new(shortfalls: &'r Shortfalls) -> Self {
        Self { shortfalls, state: Mutex::default() }
    }

    pub(super) fn differs(&self, path: &[u8], expected: impl ToString, found: impl ToString) {
        let what = if path.is_empty() { "the folder itself".to_owned() } else { format!("file {}", shown(path)) };
        self.state().comparison.differs(what, expected, found);
    }

    pub(super) fn missing(&self, path: &[u8], kind: Kind) {
        let device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        if device && self.shortfalls.forgive_device() {
            self.forgive(Forgiven::Device);
        } else {
            self.differs(path, kind.word(), "nothing");
        }
    }

    /// An entry that this process may not open because of its recorded mode; everything else stays an error.
    ///
    /// # Errors
    /// What opening it said.
    pub(super) fn closed(&self, path: &[u8], node: &Node, errno: Errno) -> Result<(), VolumeError> {
        let needed = if matches!(node.kind, NodeKind::Dir { .. }) { 0o500 } else { 0o400 };
        if errno != Errno::ACCESS || node.mode & needed == needed {
            return Err(VolumeError::file("open", path)(errno));
        }
        let mut state = self.state();
        let comparison = &mut state.comparison;
        if comparison.not_comparable.len() < Comparison::MAX_LISTED {
            let path = shown(path);
            comparison
                .not_comparable
                .push(format!("file {path}: its mode {:04o} keeps this user from reading it again", node.mode));
        }
        Ok(())
    }

    pub(super) fn forgive(&self, what: Forgiven) {
        *self.state().forgiven.entry(what).or_default() += 1;
    }

    /// An entry that is there and need not be.
    pub(super) fn more(&self) {
        self.forgive(Forgiven::More);
    }

    pub(super) fn count(&self, kind: &str, number: u64) {
        self.state().comparison.count(kind, number);
    }

    /// Differences in the order of their paths, so that the order of threads does not show.
    pub(super) fn into_comparison(self) -> Comparison {
        let State { mut comparison, forgiven } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        comparison.differences.sort_by(|a, b| a.what.cmp(&b.what));
        comparison.not_comparable.sort();
        comparison.notes.extend(forgiven.into_iter().map(|(what, count)| what.note(count)));
        comparison
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

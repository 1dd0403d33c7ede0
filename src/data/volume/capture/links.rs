//! Files with several names: read once, and recorded in one state under all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::repository::Node;

use super::super::folder::Folder;
use super::super::status::Status;
use super::draft::Draft;

/// Groups remembered at a time; names of further ones are each read, which is slower and as right. 65,536 groups of
/// small files take about 40 MB.
const MOST_GROUPS: usize = 1 << 16;

/// An inode and when it was made, so that a number given out again is not taken for the former file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    device: u64,
    inode: u64,
    born_ns: i128,
}

/// A further name of a file that is being read.
#[derive(Debug)]
pub(super) struct Name {
    pub draft: Arc<Draft>,
    pub folder: Arc<Folder>,
    pub at: usize,
    pub name: Box<[u8]>,
}

#[derive(Debug)]
struct Group {
    state: State,
    /// Names not met yet.
    unmet: u64,
}

#[derive(Debug)]
enum State {
    Reading(Vec<Name>),
    Read(Box<Node>),
}

/// What the walk shall do with a name.
#[derive(Debug)]
pub(super) enum Met {
    /// It is the first: read it, and tell [`Links::read`] or [`Links::gone`] by this.
    First(Inode),
    /// It is recorded as the first was.
    Known(Box<Node>),
    /// It is settled when the first is.
    Waits,
    /// It stands for itself.
    Alone,
}

#[derive(Debug, Default)]
pub(super) struct Links {
    groups: Mutex<HashMap<Inode, Group>>,
}

impl Links {
    /// A name of a file comes by.
    pub(super) fn meet(&self, status: &Status, name: impl FnOnce() -> Name) -> Met {
        if status.links < 2 {
            return Met::Alone;
        }
        let inode = Inode { device: status.device, inode: status.inode, born_ns: status.born_ns };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let full = groups.len() >= MOST_GROUPS;
        let Some(group) = groups.get_mut(&inode) else {
            if full {
                return Met::Alone;
            }
            groups.insert(inode, Group { state: State::Reading(Vec::new()), unmet: status.links - 1 });
            return Met::First(inode);
        };
        group.unmet = group.unmet.saturating_sub(1);
        let met = match &mut group.state {
            State::Reading(waiting) => {
                waiting.push(name());
                return Met::Waits;
            }
            State::Read(node) => Met::Known(node.clone()),
        };
        if group.unmet == 0 {
            groups.remove(&inode);
        }
        met
    }

    /// The first name has been read: the names that wait for it.
    pub(super) fn read(&self, inode: Inode, node: &Node) -> Vec<Name> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(group) = groups.get_mut(&inode) else { return Vec::new() };
        let State::Reading(waiting) = &mut group.state else { return Vec::new() };
        let waiting = std::mem::take(waiting);
        if group.unmet == 0 {
            groups.remove(&inode);
        } else {
            group.state = State::Read(Box::new(node.clone()));
        }
        waiting
    }

    /// The first name is not there any more: the next one takes its place, if any waits.
    pub(super) fn gone(&self, inode: Inode) -> Option<Name> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Group { state: State::Reading(waiting), .. }) = groups.get_mut(&inode)
            && !waiting.is_empty()
        {
            return Some(waiting.remove(0));
        }
        groups.remove(&inode);
        None
    }
}

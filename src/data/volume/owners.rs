//! Names of users and groups, each asked once: a look-up may go over the network (LDAP).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What the machine calls its users and groups; empty where it knows no name, as restic records it.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: Mutex<HashMap<u32, String>>,
    groups: Mutex<HashMap<u32, String>>,
}

impl Owners {
    pub(super) fn user(&self, uid: u32) -> String {
        cached(&self.users, uid, || Some(uzers::get_user_by_uid(uid)?.name().to_string_lossy().into_owned()))
    }

    pub(super) fn group(&self, gid: u32) -> String {
        cached(&self.groups, gid, || Some(uzers::get_group_by_gid(gid)?.name().to_string_lossy().into_owned()))
    }
}

fn cached(names: &Mutex<HashMap<u32, String>>, id: u32, ask: impl FnOnce() -> Option<String>) -> String {
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    names.entry(id).or_insert_with(|| ask().unwrap_or_default()).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_name_has_an_empty_one() {
        let owners = Owners::default();
        assert_eq!((owners.user(0).as_str(), owners.group(0).as_str()), ("root", "root"));
        assert_eq!((owners.user(3_999_999).as_str(), owners.group(3_999_999).as_str()), ("", ""));
    }
}

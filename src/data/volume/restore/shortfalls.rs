//! What this process turned out not to be allowed to do. Recorded where it is tried, forgiven, counted and named by the
//! comparison: a restore without root is whole but for these, and says so.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

#[derive(Debug, Default)]
pub(in super::super) struct Shortfalls {
    owners: AtomicBool,
    devices: AtomicBool,
    /// By their names.
    attributes: Mutex<BTreeSet<String>>,
}

impl Shortfalls {
    /// Whether a wrong owner or group is this process's want of rights.
    pub(in super::super) fn forgive_owner(&self) -> bool {
        self.owners.load(Ordering::Relaxed)
    }

    pub(in super::super) fn forgive_device(&self) -> bool {
        self.devices.load(Ordering::Relaxed)
    }

    /// Only attributes that root or the system itself sets; a refused `user.` attribute or ACL is a difference, for
    /// these belong to the content.
    pub(in super::super) fn forgive_attribute(&self, name: &str) -> bool {
        let privileged = name.starts_with("trusted.") || name.starts_with("security.");
        privileged && self.attributes().contains(name)
    }

    /// For a restore that is not compared.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.forgive_owner() {
            remarks.push("owners or groups could not be set: run as root to restore them".into());
        }
        if self.forgive_device() {
            remarks.push("devices could not be made: run as root to restore them".into());
        }
        let attributes: Vec<_> = self.attributes().iter().cloned().collect();
        if !attributes.is_empty() {
            remarks.push(format!("some attributes could not be set: {}", attributes.join(", ")));
        }
        remarks
    }

    /// Keeps "may not" for the comparison; every other error stays one. INVAL is an owner that the user namespace does
    /// not know.
    pub(super) fn of_owner(&self, result: Result<(), Errno>) -> Result<(), Errno> {
        if let Err(Errno::PERM | Errno::INVAL) = result {
            self.owners.store(true, Ordering::Relaxed);
            return Ok(());
        }
        result
    }

    /// Whether the device was made.
    pub(super) fn of_device(&self, result: Result<(), Errno>) -> Result<bool, Errno> {
        if let Err(Errno::PERM) = result {
            self.devices.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        result.map(|()| true)
    }

    pub(super) fn of_attribute(&self, name: &str, result: Result<(), Errno>) -> Result<(), Errno> {
        if let Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) = result {
            self.attributes().insert(name.to_owned());
            return Ok(());
        }
        result
    }

    fn attributes(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.attributes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

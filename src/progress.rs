//! How far long work has come: counters that the work adds to and the command line draws.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One task among those under way, such as "read chatwoot-db".
#[derive(Debug)]
pub struct Task {
    pub name: String,
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
    done_items: AtomicU64,
    total_items: AtomicU64,
    finished: std::sync::atomic::AtomicBool,
}

impl Task {
    pub fn add_bytes(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn add_items(&self, items: u64) {
        self.done_items.fetch_add(items, Ordering::Relaxed);
    }

    /// What is expected in all; 0 = not known.
    pub fn expect(&self, bytes: u64, items: u64) {
        self.total_bytes.store(bytes, Ordering::Relaxed);
        self.total_items.store(items, Ordering::Relaxed);
    }

    pub fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn state(&self) -> TaskState {
        TaskState {
            done_bytes: self.done_bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
            done_items: self.done_items.load(Ordering::Relaxed),
            total_items: self.total_items.load(Ordering::Relaxed),
            finished: self.finished.load(Ordering::Relaxed),
        }
    }
}

/// A task's counters at one instant; a total of 0 is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskState {
    pub done_bytes: u64,
    pub total_bytes: u64,
    pub done_items: u64,
    pub total_items: u64,
    pub finished: bool,
}

/// The tasks of one operation. The default is looked at by nobody.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    tasks: Arc<Mutex<Vec<Arc<Task>>>>,
}

impl Progress {
    /// Begins a task; `total_bytes` and `total_items` of 0 mean "not known yet".
    #[must_use]
    pub fn task(&self, name: impl Into<String>, total_bytes: u64, total_items: u64) -> Arc<Task> {
        let task = Arc::new(Task {
            name: name.into(),
            done_bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(total_bytes),
            done_items: AtomicU64::new(0),
            total_items: AtomicU64::new(total_items),
            finished: false.into(),
        });
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&task));
        task
    }

    /// Every task begun so far, oldest first.
    #[must_use]
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

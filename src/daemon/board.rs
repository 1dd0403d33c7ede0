//! What the daemon's parts tell each other and those who look: what goes on, how often something ended how, what cannot
//! be done at present. Only facts of this process; what the journals and the repository say is asked there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::documents::Reloads;
use super::leader::Ending;
use crate::progress::Progress;
use crate::run::{Outcome, RunId, Stop};
use crate::schedule::ScheduleName;

/// Shared by all parts.
#[derive(Debug, Default)]
pub struct Board {
    since: Mutex<BTreeMap<ScheduleName, Timestamp>>,
    active: Mutex<BTreeMap<RunId, Active>>,
    ended: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    reloads: Mutex<Reloads>,
    trouble: Mutex<BTreeMap<&'static str, String>>,
    leaving: AtomicBool,
}

/// A run that this process leads, or waits to lead.
#[derive(Debug, Clone)]
pub struct Active {
    pub operation: &'static str,
    pub progress: Progress,
    pub stop: Stop,
    /// It waits for somebody else: nothing is lost by stopping.
    pub waits: Arc<AtomicBool>,
}

impl Active {
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }
}

/// How a run ended, as a metric's label; all that there are.
pub const OUTCOMES: [&str; 6] = ["succeeded", "failed", "abandoned", "parked", "needs-person", "not-led"];

#[must_use]
pub fn outcome_word(ending: &Ending) -> Option<&'static str> {
    match ending {
        Ending::Over(Outcome::Succeeded) => Some("succeeded"),
        Ending::Over(Outcome::Failed) => Some("failed"),
        Ending::Over(Outcome::Abandoned) => Some("abandoned"),
        Ending::Parked => Some("parked"),
        Ending::NeedsPerson { .. } => Some("needs-person"),
        Ending::Elsewhere { .. } => None, // the other process counts it
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// Since when a schedule counts.
    pub fn set_since(&self, schedule: ScheduleName, since: Timestamp) {
        lock(&self.since).insert(schedule, since);
    }

    #[must_use]
    pub fn since(&self) -> BTreeMap<ScheduleName, Timestamp> {
        lock(&self.since).clone()
    }

    pub fn begins(&self, run: RunId, active: Active) {
        lock(&self.active).insert(run, active);
    }

    /// A run is no longer led here; `outcome` is one of [`OUTCOMES`].
    pub fn ends(&self, run: &RunId, outcome: Option<&'static str>) {
        let ended = lock(&self.active).remove(run);
        if let (Some(active), Some(outcome)) = (ended, outcome) {
            *lock(&self.ended).entry((active.operation, outcome)).or_default() += 1;
        }
    }

    #[must_use]
    pub fn active(&self) -> BTreeMap<RunId, Active> {
        lock(&self.active).clone()
    }

    /// How often runs of an operation ended so, since this process began.
    #[must_use]
    pub fn ended(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        lock(&self.ended).clone()
    }

    pub fn update_reloads(&self, change: impl FnOnce(&mut Reloads)) {
        change(&mut lock(&self.reloads));
    }

    #[must_use]
    pub fn reloads(&self) -> Reloads {
        lock(&self.reloads).clone()
    }

    /// What a part cannot do at present; none when it can again. True where that is news.
    pub fn set_trouble(&self, part: &'static str, trouble: Option<String>) -> bool {
        let mut known = lock(&self.trouble);
        match trouble {
            Some(text) => known.insert(part, text.clone()).as_ref() != Some(&text),
            None => known.remove(part).is_some(),
        }
    }

    /// By part.
    #[must_use]
    pub fn trouble(&self) -> BTreeMap<&'static str, String> {
        lock(&self.trouble).clone()
    }

    pub fn leaves(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }
}

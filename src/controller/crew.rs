//! The runs that this process leads, so that they can be told to stop.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::run::{Stop, Why};

#[derive(Default)]
pub struct Crew(Mutex<Active>);

#[derive(Default)]
struct Active {
    runs: HashMap<String, Stop>,
    /// What whoever comes late is told.
    word: Option<Why>,
}

impl Crew {
    fn active(&self) -> MutexGuard<'_, Active> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins, unless all were told to stop: then so is this one.
    pub fn begins(&self, uid: &str, stop: &Stop) {
        let mut active = self.active();
        if let Some(word) = active.word.clone() {
            stop.stop(word);
        }
        active.runs.insert(uid.to_owned(), stop.clone());
    }

    pub fn ends(&self, uid: &str) {
        self.active().runs.remove(uid);
    }

    /// Lets steps that are under way end.
    pub fn park_after_step(&self) {
        let mut active = self.active();
        active.word.get_or_insert(Why::Parked);
        active.runs.values().for_each(Stop::park_after_step);
    }

    /// Stops all work where it is.
    pub fn stop(&self, why: &Why) {
        let mut active = self.active();
        active.word = Some(why.clone());
        active.runs.values().for_each(|stop| stop.stop(why.clone()));
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn whoever_comes_late_is_told_as_well() {
        let crew = Crew::default();
        let [early, late] = [(), ()].map(|()| Stop::of(&CancellationToken::new()));
        crew.begins("a", &early);
        assert!(early.why().is_none());
        crew.stop(&Why::Lost);
        crew.begins("b", &late);
        assert!(matches!((early.why(), late.why()), (Some(Why::Lost), Some(Why::Lost))));
    }
}

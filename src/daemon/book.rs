//! What the journals say of scheduled runs: which instants have theirs, and what became of those. Nothing else is
//! remembered for an instant to happen once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::run::{Decision, Journals, Outcome, RunError, RunId, State, decide};
use crate::schedule::{History, ScheduleName, ScheduledRun};
use crate::stack::Name;

/// How a run stands by its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Somebody is at it, or should be.
    Open,
    /// It neither goes on nor back without a person.
    NeedsPerson,
    Ended {
        at: Timestamp,
        outcome: Outcome,
    },
}

/// A scheduled run that has a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub scheduled: Timestamp,
    pub run: RunId,
}

/// Reads journals; remembers those that are over, which never change.
pub struct Book {
    journals: Arc<dyn Journals>,
    over: HashMap<RunId, Standing>,
}

impl Book {
    #[must_use]
    pub fn new(journals: Arc<dyn Journals>) -> Self {
        Self { journals, over: HashMap::new() }
    }

    /// The scheduled runs of `stack` by schedule, each with the newest instant first.
    ///
    /// # Errors
    /// When the journals cannot be listed.
    pub async fn scheduled(&mut self, stack: &Name) -> Result<BTreeMap<ScheduleName, Vec<Listed>>, RunError> {
        let listed = self.journals.list().await?;
        let mut found: BTreeMap<ScheduleName, Vec<Listed>> = BTreeMap::new();
        for run in &listed {
            let Ok(named) = run.as_str().parse::<ScheduledRun>() else { continue };
            if named.stack == *stack {
                let one = Listed { scheduled: named.scheduled, run: run.clone() };
                found.entry(named.schedule).or_default().push(one);
            }
        }
        for runs in found.values_mut() {
            runs.sort_by(|a, b| b.scheduled.cmp(&a.scheduled).then_with(|| b.run.cmp(&a.run)));
        }
        let listed: std::collections::HashSet<RunId> = listed.into_iter().collect();
        self.over.retain(|run, _| listed.contains(run));
        Ok(found)
    }

    /// How `run` stands now; none where it has no journal.
    ///
    /// # Errors
    /// When its journal cannot be read. One that cannot be understood needs a person.
    pub async fn standing(&mut self, run: &RunId) -> Result<Option<Standing>, RunError> {
        if let Some(standing) = self.over.get(run) {
            return Ok(Some(*standing));
        }
        let entries = match self.journals.read(run).await {
            Ok(Some(entries)) => entries,
            Ok(None) => return Ok(None),
            Err(RunError::Damaged { reason, .. }) => return Ok(Some(damaged(run, &reason))),
            Err(error) => return Err(error),
        };
        let state = match State::of(&entries) {
            Ok(state) => state,
            Err(reason) => return Ok(Some(damaged(run, &reason))),
        };
        let standing = match (state.outcome, decide(&state)) {
            (Some(outcome), _) => Standing::Ended { at: state.changed, outcome },
            (None, Decision::Ask(_)) => Standing::NeedsPerson,
            (None, _) => Standing::Open,
        };
        if matches!(standing, Standing::Ended { .. }) {
            self.over.insert(run.clone(), standing);
        }
        Ok(Some(standing))
    }

    /// Removes the journals of `runs` (newest first) that `history` no longer keeps; the newest run stays whatever became
    /// of it, because the next instant is counted from it, and so does what is not over. Returns how many.
    ///
    /// # Errors
    /// When a journal cannot be read or removed.
    pub async fn thin_out(&mut self, runs: &[Listed], history: History) -> Result<usize, RunError> {
        let (mut successful, mut failed, mut removed) = (0, 0, 0);
        for (n, listed) in runs.iter().enumerate() {
            let Some(Standing::Ended { outcome, .. }) = self.standing(&listed.run).await? else { continue };
            let (count, limit) = match outcome {
                Outcome::Succeeded => (&mut successful, history.successful),
                Outcome::Failed | Outcome::Abandoned => (&mut failed, history.failed),
            };
            *count += 1;
            if *count > limit && n > 0 {
                self.journals.remove(&listed.run).await?;
                self.over.remove(&listed.run);
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn damaged(run: &RunId, reason: &str) -> Standing {
    tracing::warn!(%run, reason, "a journal cannot be understood; its run counts as going on");
    Standing::NeedsPerson
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Diary, at, run_id};
    use super::*;

    #[tokio::test]
    async fn the_newest_run_of_each_schedule_is_found_among_others() {
        let diary = Diary::new();
        diary.ended("nightly", "2026-11-24T02:15:00Z", Outcome::Succeeded).await;
        diary.ended("nightly", "2026-11-25T02:15:00Z", Outcome::Failed).await;
        diary.open("hourly", "2026-11-25T03:00:00Z").await;
        diary.begin(&"snapshot-shop-20261126t000000z-4711aa".parse().unwrap()).await; // a person's
        let mut book = Book::new(diary.journals());
        let found = book.scheduled(&"shop".parse().unwrap()).await.unwrap();
        let newest = |name: &str| &found[&name.parse::<ScheduleName>().unwrap()][0];
        assert_eq!(newest("nightly").run, run_id("nightly", "2026-11-25T02:15:00Z"));
        let standing = book.standing(&newest("nightly").run).await.unwrap();
        assert_eq!(standing, Some(Standing::Ended { at: at("2026-11-25T02:15:00Z"), outcome: Outcome::Failed }));
        assert_eq!(book.standing(&newest("hourly").run).await.unwrap(), Some(Standing::Open));
        assert_eq!(book.scheduled(&"other".parse().unwrap()).await.unwrap(), BTreeMap::new());
    }

    #[tokio::test]
    async fn history_keeps_so_many_of_each_outcome_what_is_open_and_the_newest() {
        use Outcome::{Failed, Succeeded};
        let diary = Diary::new();
        let days = [("21", Succeeded), ("22", Failed), ("23", Succeeded), ("24", Succeeded), ("26", Succeeded)];
        for (day, outcome) in days {
            diary.ended("nightly", &format!("2026-11-{day}T02:15:00Z"), outcome).await;
        }
        diary.open("nightly", "2026-11-20T02:15:00Z").await;
        let mut book = Book::new(diary.journals());
        let stack: Name = "shop".parse().unwrap();
        let name: ScheduleName = "nightly".parse().unwrap();
        let runs = book.scheduled(&stack).await.unwrap().remove(&name).unwrap();
        let removed = book.thin_out(&runs, History { successful: 2, failed: 1 }).await.unwrap();
        let left = book.scheduled(&stack).await.unwrap().remove(&name).unwrap();
        let days: Vec<String> = left.iter().map(|one| one.scheduled.strftime("%d").to_string()).collect();
        assert_eq!((removed, days), (2, ["26", "24", "22", "20"].map(String::from).to_vec()));
    }
}

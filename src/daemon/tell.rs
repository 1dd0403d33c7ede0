//! Tells outside how the stack does ([`notify`](crate::notify)): at each new view the runs that have ended since, those that
//! wait for a person, and the objectives. Of what was over before this process looked only the newest run of each kind is
//! looked at, and no heartbeat is called for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::documents::told;
use super::view::Shared;
use crate::context::Context;
use crate::failure::Category;
use crate::notify::{Ending, Notifier, Objective, ObjectiveSeen, Patience, RunEnded};
use crate::point::Home;
use crate::run::RunId;
use crate::status::{self, Achieved, Goal, Known, Measure, RunView, Standing};

/// The part of the daemon that tells.
pub struct Teller {
    pub view: Shared,
    pub home: watch::Receiver<Arc<Home>>,
    pub board: Arc<Board>,
    pub cx: Context,
}

impl Teller {
    /// Tells until `gone`; what is being told then the next process tells.
    pub async fn run(mut self, gone: &CancellationToken) {
        let mut seen = Seen::from(self.cx.clock.now());
        let mut current: Option<(Arc<Home>, Notifier)> = None;
        loop {
            tokio::select! {
                () = gone.cancelled() => return,
                changed = self.view.changed() => if changed.is_err() { return gone.cancelled().await },
            }
            let Some(view) = self.view.borrow_and_update().clone() else { continue };
            let home = self.home.borrow().clone();
            if current.as_ref().is_none_or(|(of, _)| !Arc::ptr_eq(of, &home)) {
                current = self.notifier(&home).map(|notifier| (home, notifier));
            }
            let Some((_, notifier)) = &current else { continue };
            tokio::select! {
                () = gone.cancelled() => return,
                () = seen.tell(notifier, &view.known, self.cx.clock.now()) => {}
            }
        }
    }

    /// A URL that cannot be read is said where the daemon's other troubles are, and tried again with the next view.
    fn notifier(&self, home: &Home) -> Option<Notifier> {
        let made = Notifier::new(&home.stack, home.store.clone(), self.cx.clock.clone(), Patience::default());
        let trouble = made.as_ref().err().map(told);
        if self.board.set_trouble("notifications", trouble.clone())
            && let Some(why) = trouble
        {
            tracing::error!(why, "nobody can be told of failures");
        }
        made.ok()
    }
}

/// What this process has told, or found told.
struct Seen {
    /// What ended before is caught up with.
    began: Timestamp,
    runs: BTreeMap<RunId, Standing>,
}

impl From<Timestamp> for Seen {
    fn from(began: Timestamp) -> Self {
        Self { began, runs: BTreeMap::new() }
    }
}

impl Seen {
    /// What could not be delivered is in the log already, and told at the next occasion.
    async fn tell(&mut self, notifier: &Notifier, known: &Known, now: Timestamp) {
        for ended in self.news(known, now) {
            let undelivered = if ended.time < self.began {
                notifier.catch_up(&ended).await
            } else {
                notifier.run_ended(&ended).await
            };
            tracing::debug!(run = ended.run, undelivered = undelivered.len(), "a run's end was told");
        }
        let objectives = objectives(&status::status(known, now).achieved);
        let undelivered = notifier.objectives(&objectives).await;
        tracing::trace!(undelivered = undelivered.len(), "the objectives were told");
    }

    /// The runs that are over, or wait, and were not when this was last asked; the oldest first.
    fn news(&mut self, known: &Known, now: Timestamp) -> Vec<RunEnded> {
        let mut runs = BTreeMap::new();
        let (mut news, mut before) = (Vec::new(), BTreeMap::<String, RunEnded>::new());
        for one in &known.runs {
            let Ok(state) = &one.state else { continue };
            let view = RunView::of(&one.run, state, &known.leaders, now);
            let Some(ended) = ended(&view) else { continue };
            let standing = view.line.standing;
            runs.insert(one.run.clone(), standing);
            if self.runs.get(&one.run) == Some(&standing) {
                continue;
            }
            if ended.time >= self.began {
                news.push(ended);
            } else if before.get(&ended.operation).is_none_or(|newest| newest.time < ended.time) {
                before.insert(ended.operation.clone(), ended);
            }
        }
        self.runs = runs;
        news.extend(before.into_values());
        news.sort_by_key(|ended| ended.time);
        news
    }
}

/// `None` while somebody may still bring it to an end.
fn ended(view: &RunView) -> Option<RunEnded> {
    let line = &view.line;
    let failure = line.failure.as_ref();
    let ending = match line.standing {
        Standing::Running | Standing::CutOff | Standing::Parked => return None,
        Standing::Succeeded => Ending::Succeeded,
        Standing::Abandoned => Ending::Stopped,
        Standing::Failed if failure.is_some_and(|failed| failed.category == Category::Interrupted) => Ending::Stopped,
        Standing::Failed => Ending::Failed {
            category: failure.map_or(Category::Unavailable, |failed| failed.category),
            message: failure.map_or_else(|| "its journal does not say why".into(), |failed| failed.message.clone()),
            hint: failure.and_then(|failed| failed.hint.clone()),
        },
        Standing::Waiting => Ending::Failed {
            category: Category::NeedsOperator,
            message: format!("waits for a person at the step `{}`", view.waits_for.as_deref().unwrap_or_default()),
            hint: (!view.commands.is_empty()).then(|| view.commands.join("\n")),
        },
    };
    let (operation, run) = (line.kind.clone(), line.run.to_string());
    Some(RunEnded { operation, run, time: line.ended.unwrap_or(view.changed), ending })
}

/// Those that are promised and can be told.
fn objectives(achieved: &Achieved) -> Vec<ObjectiveSeen> {
    let one = |objective: Objective, measure: &Measure| {
        let ms = std::time::Duration::from_millis;
        let is_known = matches!(measure.goal, Goal::Met | Goal::Missed);
        let goal = measure.objective_ms.filter(|_| is_known).map(ms)?;
        Some(ObjectiveSeen { objective, goal, achieved: measure.achieved_ms.map(ms) })
    };
    let all = [(Objective::Rpo, &achieved.rpo), (Objective::Rto, &achieved.rto), (Objective::Proven, &achieved.proven)];
    all.into_iter().filter_map(|(objective, measure)| one(objective, measure)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Outcome;
    use crate::status::testing::{all_well, done, now, over, rpo_missed, run, snapshot_plan};

    fn since(text: &str) -> Seen {
        Seen::from(text.parse::<Timestamp>().unwrap())
    }

    fn told(news: &[RunEnded]) -> Vec<(&str, bool)> {
        news.iter().map(|one| (one.run.as_str(), one.ending == Ending::Succeeded)).collect()
    }

    #[test]
    fn each_end_is_news_once_and_what_was_over_before_is_so_only_where_it_is_the_newest() {
        let (nightly, weekly) = ("snapshot-shop-20261123t021500z-nightly", "drill-shop-20261122t043000z-weekly");
        let mut seen = since("2026-11-23T18:00:00Z");
        let mut known = all_well();
        assert_eq!(told(&seen.news(&known, now())), [(weekly, true), (nightly, true)]);
        assert_eq!(seen.news(&known, now()), [], "nothing has happened since");
        let hourly = "snapshot-shop-20261123t182500z-1a2b3c4d";
        known.runs.retain(|one| one.run.as_str() != hourly); // it was under way
        let end = [done("take"), over(Outcome::Succeeded)].concat();
        known.runs.push(run(hourly, snapshot_plan(), "2026-11-23T18:25:00Z", end));
        let news = seen.news(&known, now());
        assert_eq!(told(&news), [(hourly, true)]);
        assert!(news[0].time >= seen.began, "it ended while somebody looked: its heartbeat is due");
    }

    #[test]
    fn a_failure_is_told_as_its_journal_says_it_and_an_interruption_is_none() {
        let news = since("2026-11-23T00:00:00Z").news(&rpo_missed(), now());
        let failed = news.iter().find(|one| one.operation == "snapshot").unwrap();
        let Ending::Failed { category, message, hint } = &failed.ending else { panic!("{failed:?}") };
        assert_eq!(*category, Category::Unavailable);
        assert_eq!(message, "PostgreSQL at db:5432 cannot be reached: connection refused");
        assert!(hint.as_ref().unwrap().contains("drydock doctor -f FILE"));
        assert!(!news.iter().any(|one| one.operation == "prune"), "one that was cut off has not ended: {news:?}");
    }

    #[test]
    fn objectives_are_those_that_are_promised_and_measured() {
        let seen = |known: &Known| {
            let seen = objectives(&status::status(known, now()).achieved);
            seen.iter().map(|one| (one.objective.word(), one.is_met())).collect::<Vec<_>>()
        };
        assert_eq!(seen(&all_well()), [("rpo", true), ("rto", true), ("proven", true)]);
        let missed = seen(&rpo_missed());
        assert!(missed.contains(&("rpo", false)), "{missed:?}");
    }
}

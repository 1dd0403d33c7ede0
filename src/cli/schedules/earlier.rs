//! What is known of the schedules' earlier runs on the stack of `-f`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::session::Session;
use crate::point::{self, PointError};
use crate::run::{Leader, RunError};
use crate::schedule::{Past, Schedule};
use crate::stack::Stack;
use crate::status::{KnownRun, KnownSchedule, LastRun, past, recent_runs};

/// What is told of documents is not kept waiting longer than this by a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing without a stack, and nothing where its store was never made.
#[derive(Default)]
pub struct Earlier {
    known: Option<(Stack, Vec<Leader>, Vec<KnownRun>)>,
    /// Why there is nothing although there may be: what runs next is true all the same, what was missed is not said.
    pub unknown: Option<String>,
}

impl Earlier {
    /// Asks the stack's store; needs no password of the repository.
    pub async fn of(stack: Option<&Stack>, schedules: &[Schedule], session: &Session) -> Self {
        let Some(stack) = stack else { return Self::default() };
        let names: Vec<String> = schedules.iter().map(|schedule| schedule.name.to_string()).collect();
        let asked = ask(stack, &names, session.cx.clock.now());
        let why = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok((leaders, runs))) => return Self { known: Some((stack.clone(), leaders, runs)), unknown: None },
            Ok(Err(Trouble::Point(PointError::NotInitialised { .. }))) => return Self::default(),
            Ok(Err(trouble)) => trouble.to_string(),
            Err(_) => format!("{} does not answer", stack.spec.repository.location),
        };
        Self { known: None, unknown: Some(why) }
    }

    /// The newest run of `schedule`.
    pub fn last(&self, schedule: &Schedule, now: Timestamp) -> Option<LastRun> {
        let (stack, leaders, runs) = self.known.as_ref()?;
        LastRun::of(schedule, &stack.name, runs, leaders, now)
    }

    /// What it is judged by.
    pub fn past(schedule: &Schedule, last: Option<&LastRun>, now: Timestamp) -> Past {
        let known = KnownSchedule::all(vec![schedule.clone()], &BTreeMap::new());
        known.first().map_or(Past { since: now, newest: None }, |one| past(one, last, now))
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Run(#[from] RunError),
}

async fn ask(stack: &Stack, schedules: &[String], now: Timestamp) -> Result<(Vec<Leader>, Vec<KnownRun>), Trouble> {
    let spec = point::store_spec(stack).map_err(PointError::from)?;
    let store = crate::storage::open(&spec).await.map_err(PointError::from)?;
    point::owner(&store, &stack.name).await?;
    Ok(recent_runs(stack, &store, schedules, now).await?)
}

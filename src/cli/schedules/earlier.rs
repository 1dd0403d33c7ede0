//! What is known of the schedules' earlier runs on the stack of `-f`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::session::Session;
use crate::cli::since::since;
use crate::daemon::SinceError;
use crate::point::{self, PointError};
use crate::run::{Leader, RunError};
use crate::schedule::{Past, Schedule, ScheduleName};
use crate::stack::{Name, Stack};
use crate::status::{KnownRun, KnownSchedule, LastRun, past, recent_runs};

/// What is told of documents is not kept waiting longer than this by a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing without a stack, and nothing where its store was never made.
#[derive(Default)]
pub struct Earlier {
    known: Option<Known>,
    /// Why there is nothing although there may be: what runs next is true all the same, what was missed is not said.
    pub unknown: Option<String>,
}

impl Earlier {
    /// Asks the stack's store; needs no password of the repository.
    pub async fn of(stack: Option<&Stack>, schedules: &[Schedule], session: &Session) -> Self {
        let Some(stack) = stack else { return Self::default() };
        let asked = ask(stack, schedules, session.cx.clock.now());
        let why = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(known)) => return Self { known: Some(known), unknown: None },
            Ok(Err(Trouble::Point(PointError::NotInitialised { .. }))) => return Self::default(),
            Ok(Err(trouble)) => trouble.to_string(),
            Err(_) => format!("{} does not answer", stack.spec.repository.location),
        };
        Self { known: None, unknown: Some(why) }
    }

    /// The newest run of `schedule`.
    pub fn last(&self, schedule: &Schedule, now: Timestamp) -> Option<LastRun> {
        let known = self.known.as_ref()?;
        LastRun::of(schedule, &known.stack, &known.runs, &known.leaders, now)
    }

    /// What it is judged by.
    pub fn past(&self, schedule: &Schedule, last: Option<&LastRun>, now: Timestamp) -> Past {
        let since = self.known.as_ref().and_then(|known| known.since.get(&schedule.name).copied());
        past(&KnownSchedule { schedule: schedule.clone(), since }, last, now)
    }
}

struct Known {
    stack: Name,
    leaders: Vec<Leader>,
    runs: Vec<KnownRun>,
    since: BTreeMap<ScheduleName, Timestamp>,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Since(#[from] SinceError),
}

async fn ask(stack: &Stack, schedules: &[Schedule], now: Timestamp) -> Result<Known, Trouble> {
    let spec = point::store_spec(stack).map_err(PointError::from)?;
    let store = crate::storage::open(&spec).await.map_err(PointError::from)?;
    point::owner(&store, &stack.name).await?;
    let names: Vec<String> = schedules.iter().map(|schedule| schedule.name.to_string()).collect();
    let (leaders, runs) = recent_runs(stack, &store, &names, now).await?;
    Ok(Known { stack: stack.name.clone(), leaders, runs, since: since(&store, schedules).await? })
}

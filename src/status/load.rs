//! Gathers what is known of a stack; all of its I/O is here. Reads alone: no lock, no lease, no write.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::known::{Known, KnownRun, KnownSchedule};
use super::recent::{newest_first, worth_reading};
use crate::evidence::{Chain, EvidenceError, Link, Trust};
use crate::failure::{Category, Failure};
use crate::point::{self, Home, PointError};
use crate::run::{self, Journals, Leader, RunError, RunId, State, journal};
use crate::stack::Stack;
use crate::storage::SharedStore;

/// How many of the newest runs are read: more than a day of hourly snapshots with everything else between them.
const NEWEST: usize = 64;
/// How many of each kind and of each schedule: the newest may go on while the one before it tells how it went last.
const OF_EACH: usize = 3;
/// How many records: a year of weekly drills show a trend.
const RECORDS: u64 = 52;
/// How many journals are read at once; a round trip to a bucket each.
const READERS: usize = 16;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

impl Failure for StatusError {
    fn category(&self) -> Category {
        match self {
            Self::Point(error) => error.category(),
            Self::Run(error) => error.category(),
            Self::Evidence(error) => error.category(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Point(error) => error.hint(),
            Self::Run(error) => error.hint(),
            Self::Evidence(error) => error.hint(),
        }
    }
}

/// Everything that [`status`](super::status) goes by. Of ten thousand runs the names are listed, and those read that are
/// new, or that a lease says are not over.
///
/// # Errors
/// When the store cannot be asked: what is not known is never shown as not there.
pub async fn load(home: &Home, schedules: Option<Vec<KnownSchedule>>, now: Timestamp) -> Result<Known, StatusError> {
    let points = async { Ok::<_, StatusError>(point::load(&home.repository, &home.stack.name).await?) };
    let names = schedules.iter().flatten().map(|one| one.schedule.name.to_string()).collect::<Vec<_>>();
    let runs = async { Ok(recent(&home.stack, &home.store, &names, now).await?) };
    let ends = async { Ok(run::cancel::asked(&home.store).await?) };
    let (points, (leaders, runs), ends_asked, (evidence, evidence_faults)) =
        tokio::try_join!(points, runs, ends, evidence(home))?;
    Ok(Known {
        stack: home.stack.clone(),
        since: home.owner.created,
        points,
        evidence,
        evidence_faults,
        runs,
        leaders,
        ends_asked,
        schedules,
        schedule_problems: Vec::new(),
    })
}

/// Who has the right to act, and the newest runs of each kind and of each of `schedules`, with those that are not over.
///
/// # Errors
/// When the store cannot be asked.
pub async fn recent(
    stack: &Stack,
    store: &SharedStore,
    schedules: &[String],
    now: Timestamp,
) -> Result<(Vec<Leader>, Vec<KnownRun>), RunError> {
    let journals = journal::of(stack, store);
    let leaders = run::leaders(store, now).await?;
    let mut names = journals.recent(&stack.name, now).await?;
    newest_first(&mut names);
    let mut wanted: Vec<RunId> = worth_reading(&names, schedules, NEWEST, OF_EACH).into_iter().cloned().collect();
    let open = leaders.iter().flat_map(|leader| &leader.runs).filter_map(|run| run.parse().ok());
    wanted.extend(open);
    wanted.sort();
    wanted.dedup();
    let runs = read(journals.as_ref(), wanted).await?;
    Ok((leaders, runs))
}

/// The journals of `runs`; those that are gone meanwhile are left out.
///
/// # Errors
/// When the store cannot be asked.
pub async fn read(journals: &dyn Journals, runs: Vec<RunId>) -> Result<Vec<KnownRun>, RunError> {
    let one = |run: RunId| async move {
        match journals.read(&run).await {
            Ok(Some(entries)) => Ok(Some(KnownRun { state: State::of(&entries), run })),
            Ok(None) => Ok(None),
            Err(RunError::Damaged { reason, .. }) => Ok(Some(KnownRun { run, state: Err(reason) })),
            Err(error) => Err(error),
        }
    };
    let read: Vec<Option<KnownRun>> = stream::iter(runs).map(one).buffered(READERS).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

async fn evidence(home: &Home) -> Result<(Vec<Link>, Vec<String>), StatusError> {
    let chain = Chain::new(home.store.clone(), home.stack.name.clone());
    let examined = chain.examine(Some(RECORDS), &Trust::Published, &[]).await?;
    Ok((examined.links().cloned().collect(), examined.faults()))
}

//! What is known of the stack, kept in memory and looked at anew after each run and from time to time: whoever asks is
//! answered from here, judged as of the moment of asking.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::documents::{InForce, told};
use super::service;
use crate::context::Context;
use crate::evidence::{Chain, Examined, Trust};
use crate::point::{Home, PointError};
use crate::repository::RepositoryError;
use crate::run::{Journals, RunId};
use crate::stack::{Location, duration};
use crate::status::{self, Known, KnownSchedule, Status, StatusError, newest_first};

/// A folder of this machine costs nothing to ask.
const EVERY: Duration = Duration::from_secs(60);
/// A bucket is paid by the request; runs are told of in any case.
const EVERY_REMOTE: Duration = Duration::from_secs(300);
/// Many changes at once are looked at once.
const SETTLE: Duration = Duration::from_millis(300);
/// While one's own run goes on, or the store does not answer.
const SOON: Duration = Duration::from_secs(5);
/// The repository's size is a listing of all packs.
const SIZED_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
/// How many records the page and the JSON tell of.
const RECORDS: u64 = 200;

/// The last look.
#[derive(Debug, Clone)]
pub struct View {
    pub known: Known,
    pub evidence: Arc<Examined>,
    /// Every run that has a journal, the newest first.
    pub runs: Arc<Vec<RunId>>,
    pub repository_bytes: u64,
    sized: Timestamp,
    pub looked: Timestamp,
}

/// Shared with whoever answers; none before the first look.
pub type Shared = watch::Receiver<Option<Arc<View>>>;

/// Keeps the [`View`].
pub struct Lookout {
    pub documents: watch::Receiver<InForce>,
    pub home: watch::Receiver<Arc<Home>>,
    pub journals: Arc<dyn Journals>,
    pub board: Arc<Board>,
    pub moved: watch::Receiver<u64>,
    pub view: watch::Sender<Option<Arc<View>>>,
    pub cx: Context,
}

impl Lookout {
    /// Looks until `gone`.
    pub async fn run(mut self, gone: &CancellationToken) {
        let mut sized = None;
        loop {
            let looked = tokio::select! {
                looked = self.look(sized) => looked,
                () = gone.cancelled() => return,
            };
            let trouble = match looked {
                Ok(view) => {
                    service::status(&line(&status::status(&view.known, view.looked)));
                    sized = Some((view.sized, view.repository_bytes));
                    self.view.send_replace(Some(Arc::new(view)));
                    None
                }
                Err(error) => Some(told(&error)),
            };
            if self.board.set_trouble("store", trouble.clone()) {
                match &trouble {
                    Some(why) => tracing::warn!(why, "the stack cannot be looked at: what is shown grows old"),
                    None => tracing::info!("the stack can be looked at again"),
                }
            }
            let soon = trouble.is_some() || !self.board.active().is_empty();
            let pause = match &self.documents.borrow().stack.spec.repository.location {
                _ if soon => SOON,
                Location::Folder(_) => EVERY,
                Location::S3 { .. } => EVERY_REMOTE,
            };
            let former = *self.moved.borrow_and_update();
            tokio::select! {
                () = gone.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                _ = self.documents.changed() => {}
                _ = self.moved.changed() => if *self.moved.borrow() != former { sized = None },
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    async fn look(&mut self, sized: Option<(Timestamp, u64)>) -> Result<View, StatusError> {
        let documents = self.documents.borrow_and_update().clone();
        let home = self.home.borrow().clone();
        let now = self.cx.clock.now();
        // What other processes have stored since is in indexes that this one has not read.
        home.repository.refresh_index().await.map_err(PointError::from)?;
        let schedules = KnownSchedule::all(documents.schedules.clone(), &self.board.since());
        let mut known = status::load(&home, Some(schedules), now).await?;
        if let Some(refused) = self.board.reloads().refused {
            known.schedule_problems = refused.reason.lines().map(str::to_owned).collect();
        }
        let chain = Chain::new(home.store.clone(), home.stack.name.clone());
        let evidence = chain.examine(Some(RECORDS), &Trust::Published, &[]).await?;
        let mut runs = self.journals.list().await?;
        newest_first(&mut runs);
        let (sized, repository_bytes) = match sized {
            Some((at, bytes)) if now.duration_since(at) < SIZED_EVERY => (at, bytes),
            _ => (now, size(&home).await?),
        };
        let (evidence, runs) = (Arc::new(evidence), Arc::new(runs));
        Ok(View { known, evidence, runs, repository_bytes, sized, looked: now })
    }
}

/// What the repository's objects are together.
async fn size(home: &Home) -> Result<u64, StatusError> {
    let listed = home.store.list("repository/").await;
    let listed = listed.map_err(|source| PointError::from(RepositoryError::from(source)))?;
    Ok(listed.iter().map(|meta| meta.bytes).sum())
}

/// One line for `systemctl status`.
fn line(status: &Status) -> String {
    let human = |ms: u64| duration::human(Duration::from_millis(ms));
    let point = status.recovery_points.complete.as_ref();
    let point =
        point.map_or_else(|| "no complete point yet".into(), |point| format!("newest point {}", human(point.age_ms)));
    let next = status.schedules.iter().flatten().filter_map(|line| Some((line.next?, &line.schedule))).min();
    let next = next.map_or_else(String::new, |(at, name)| format!("; next {name} at {at:.0}"));
    match status.findings.len() {
        0 => format!("{point}; all is well{next}"),
        1 => format!("{point}; 1 finding, see `drydock status`{next}"),
        n => format!("{point}; {n} findings, see `drydock status`{next}"),
    }
}

//! A snapshot's one step: `take`. The point's id is frozen in the plan, so that whoever comes after a crash sees whether it
//! is listed, and finds what belongs to it if it is not. Undoing one that was cut off also runs what is due after it.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::OperationError;
use super::lead::Said;
use super::request::{SnapshotRequest, alone};
use super::work::{self, How, Report, told, unknown};
use crate::context::Context;
use crate::hook::{self, Occasion};
use crate::point::{Home, Point, PointError, PointId, Points, load};
use crate::repository::{LockKind, WriterOptions};
use crate::run::{Phase, PlannedStep, Probe, RunId, Step, StepError, Steps};
use crate::snapshot::{Options, SnapshotError, SnapshotPlan, Taken, plan, prepare, refuse_mixture, snapshot};

pub const WORD: &str = "snapshot";
pub const TAKE: &str = "take";

/// What the step is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Told {
    point: PointId,
    #[serde(rename = "options")]
    asked: SnapshotRequest,
}

/// # Errors
/// `UnknownData` for a data set that the stack does not have: known before anything is begun.
pub fn phases(home: &Home, asked: &SnapshotRequest) -> Result<Vec<Phase>, SnapshotError> {
    plan(&home.stack, &asked.data, None)?;
    Ok(vec![alone(TAKE, json!(Told { point: PointId::random(), asked: asked.clone() }))])
}

/// What the step that takes a point was planned with.
pub fn asked(planned: &PlannedStep) -> Result<SnapshotRequest, OperationError> {
    let told = serde_json::from_value::<Told>(planned.parameters.clone());
    let step = planned.name.clone();
    told.map(|told| told.asked).map_err(|source| OperationError::Parameters { step, source })
}

pub struct Work<'a> {
    home: &'a Home,
    run: &'a RunId,
    how: How<'a>,
    taken: Mutex<Option<Taken>>,
}

impl<'a> Work<'a> {
    pub fn new(home: &'a Home, run: &'a RunId, how: How<'a>) -> Self {
        Self { home, run, how, taken: Mutex::new(None) }
    }
}

#[async_trait(?Send)]
impl work::Work for Work<'_> {
    fn reports(self: Box<Self>) -> Vec<Report> {
        let taken = self.taken.into_inner().unwrap_or_else(PoisonError::into_inner);
        taken.into_iter().map(|taken| Report::Snapshot(Box::new(taken))).collect()
    }
}

impl Steps for Work<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        match planned.name.as_str() {
            TAKE => Ok(Box::new(Take { work: self, told: told(planned)? })),
            _ => unknown(planned),
        }
    }
}

struct Take<'a> {
    work: &'a Work<'a>,
    told: Told,
}

#[async_trait(?Send)]
impl Step for Take<'_> {
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        if self.work.how.fresh {
            return Ok(Probe::Absent); // listing every point would only say so
        }
        let listed = self.listed().await.map_err(StepError::new)?;
        let Some(point) = listed.filter(|point| point.record().is_ok()) else { return Ok(Probe::Absent) };
        let record = point.record().map_err(StepError::new)?.clone();
        let taken = Taken { snapshot: point.snapshot, record, tags: point.tags.clone(), clock: None };
        let output = output(&taken);
        self.keep(taken);
        Ok(Probe::Done(output))
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        let (home, wait) = (self.work.home, self.work.how.wait);
        let taken = home.locked(LockKind::Shared, wait, cx, async |_| {
            let points = self.points().await?;
            if !self.work.how.fresh {
                self.withdraw(&points).await?; // what an attempt before this one has left
            }
            refuse_mixture(home).await?;
            let prepared = prepare(self.plan(&points)?, cx).await?;
            (self.work.how.say)(Said::Expects(prepared.forecast.clone()));
            snapshot(home, prepared, self.options(), cx).await
        });
        let taken = taken.await.map_err(StepError::new)?;
        let output = output(&taken);
        self.keep(taken);
        Ok(output)
    }

    /// What was stored was opened again before the point was listed.
    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, _: Option<&Value>, cx: &Context) -> Result<(), StepError> {
        if !self.work.how.fresh {
            self.take_back_hooks(cx).await.map_err(StepError::new)?; // the snapshot itself does it whenever it ends
        }
        let withdrawn = async |_: &_| self.withdraw(&self.points().await?).await;
        let undone = self.work.home.locked(LockKind::Shared, self.work.how.wait, cx, withdrawn);
        undone.await.map_err(StepError::new)
    }
}

impl Take<'_> {
    async fn points(&self) -> Result<Points, PointError> {
        load(&self.work.home.repository, &self.work.home.stack.name).await
    }

    /// After the newest of `points`; what of its own is among them was withdrawn.
    fn plan(&self, points: &Points) -> Result<SnapshotPlan, SnapshotError> {
        let (home, asked) = (self.work.home, &self.told.asked);
        let former = points.newest_complete().ok().filter(|point| point.id != self.told.point);
        let plan = plan(&home.stack, &asked.data, former)?;
        let (point, run) = (Some(self.told.point), Some(self.work.run.to_string()));
        Ok(SnapshotPlan { reread: asked.reread, tags: asked.tags.clone(), point, run, ..plan })
    }

    /// What is stopped for a snapshot goes on, of every data set that it may have come to.
    async fn take_back_hooks(&self, cx: &Context) -> Result<(), SnapshotError> {
        let (stack, asked) = (&self.work.home.stack, &self.told.asked);
        let sets = stack.spec.data.iter().filter(|set| asked.data.is_empty() || asked.data.contains(&set.name));
        let (point, run) = (self.told.point.to_string(), Some(self.work.run.to_string()));
        let occasion = Occasion { stack: stack.name.clone(), point, run };
        Ok(hook::after_cut_off(sets, &occasion, cx).await?)
    }

    fn options(&self) -> Options {
        let SnapshotRequest { compression, self_check, .. } = self.told.asked;
        let writer = WriterOptions { compression_level: compression, self_check, ..WriterOptions::default() };
        Options { writer }
    }

    async fn listed(&self) -> Result<Option<Point>, PointError> {
        Ok(self.points().await?.points.into_iter().find(|point| point.id == self.told.point))
    }

    /// Removes the point, then what it is made of, whatever there is (O4). The data goes with `prune`.
    async fn withdraw(&self, points: &Points) -> Result<(), SnapshotError> {
        let repository = &self.work.home.repository;
        let point = points.points.iter().find(|point| point.id == self.told.point);
        let own =
            point.into_iter().flat_map(|point| std::iter::once(point.snapshot).chain(point.members.values().copied()));
        let strays = points.strays.iter().filter(|stray| stray.point == self.told.point).map(|stray| stray.snapshot);
        for snapshot in own.chain(strays) {
            repository.remove_snapshot(&snapshot).await?;
        }
        Ok(())
    }

    fn keep(&self, taken: Taken) {
        *self.work.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
    }
}

fn output(taken: &Taken) -> Value {
    json!({
        "point": taken.record.id,
        "snapshot": taken.snapshot,
        "bytes": taken.record.bytes(),
        "storedBytes": taken.record.stats.stored_bytes,
        "warnings": taken.record.warning_count(),
    })
}

//! Until the first step that goes live: the safety point, and everything filled and verified beside what is live, which
//! never notices.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::evidence::{self, COMPARISON, REFERENCES};
use super::gate::{self, Filled};
use super::in_place::{copy, rehearsed};
use super::references::{Look, Rows};
use super::trouble::Trouble;
use super::work::Work;
use super::{RestoreError, back, safety};
use crate::context::Context;
use crate::data::{postgres, redis, volume};
use crate::hook::{self, Occasion, When};
use crate::point::{DataWord, PointId, PointRecord, load};
use crate::stack::{DataKind, Name};

impl Work<'_> {
    /// The safety point, if it is listed and whole.
    pub(super) async fn safety_point(&self, cx: &Context) -> Result<Option<Value>, Trouble> {
        Ok(self.safety_record(cx).await?.map(|record| json!({"point": record.id})))
    }

    async fn safety_record(&self, _: &Context) -> Result<Option<PointRecord>, RestoreError> {
        if let Some(known) = self.seen().safety.clone() {
            return Ok(Some(known));
        }
        let points = load(&self.home.repository, &self.home.stack.name).await?;
        let found = points.points.iter().find(|point| point.id == self.told.safety_point && point.is_complete());
        let record = found.map(|point| point.record()).transpose()?.cloned();
        self.seen().safety.clone_from(&record);
        Ok(record)
    }

    pub(super) async fn take_safety_point(&self, cx: &Context) -> Result<Value, Trouble> {
        let record = safety::point(self.home, self.run.as_str(), self.told.safety_point, cx).await?;
        let output = json!({"point": record.id, "bytes": record.bytes()});
        self.seen().safety = Some(record);
        Ok(output)
    }

    /// What the stack's own commands have stopped for a safety point that was cut off goes on.
    pub(super) async fn go_on_after_safety(&self, cx: &Context) -> Result<(), RestoreError> {
        let occasion = self.occasion(self.told.safety_point);
        Ok(hook::after_cut_off(&self.home.stack.spec.data, &occasion, cx).await?)
    }

    /// Runs the stack's own commands: all is verified beside what is live.
    pub(super) async fn before_live(&self, data: &Name, cx: &Context) -> Result<Value, Trouble> {
        let set = self.home.stack.spec.data.iter().find(|set| set.name == *data);
        let set = set.ok_or_else(|| RestoreError::NotInStack { name: data.clone() })?;
        hook::run(set, When::BeforeLive, &self.occasion(self.told.point), cx).await.map_err(RestoreError::from)?;
        Ok(Value::Null)
    }

    fn occasion(&self, point: PointId) -> Occasion {
        let run = Some(self.run.to_string());
        Occasion { stack: self.home.stack.name.clone(), point: point.to_string(), run }
    }

    pub(super) async fn rehearse(&self, data: &Name, cx: &Context) -> Result<Value, Trouble> {
        self.rehearsed(data, cx).await?;
        Ok(Value::Null)
    }

    /// The cache's content, read to its checksum and loaded elsewhere by this process.
    pub(super) async fn rehearsed(&self, data: &Name, cx: &Context) -> Result<Arc<redis::Prepared>, Trouble> {
        if let Some(prepared) = self.held().caches.get(data) {
            return Ok(prepared.clone());
        }
        let (plan, part) = (self.plan(cx).await?, self.part(data, cx).await?);
        let prepared = Arc::new(rehearsed(self.home, plan, part, cx).await.map_err(Trouble::of(data))?);
        self.held().caches.insert(data.clone(), prepared.clone());
        Ok(prepared)
    }

    pub(super) async fn fill(&self, data: &Name, cx: &Context) -> Result<Value, Trouble> {
        match self.part(data, cx).await?.member.kind {
            DataWord::Postgres => self.filled_database(data, cx).await?,
            DataWord::Volume | DataWord::Redis => self.filled_volume(data, cx).await?,
        }
        // Of databases it is told once they are proved: until then they wait in a task of their own.
        let held = self.held();
        let copy = held.volumes.get(data).map(|(_, beside)| evidence::disclosed(beside.comparison()));
        Ok(copy.map_or(Value::Null, |compared| json!({COMPARISON: compared})))
    }

    /// The databases wait beside the live ones, filled and verified by this process: those of one that is gone are dropped
    /// and filled again.
    pub(super) async fn filled_database(&self, data: &Name, cx: &Context) -> Result<(), Trouble> {
        if self.held().databases.contains_key(data) {
            return Ok(());
        }
        let (plan, part) = (self.plan(cx).await?, self.part(data, cx).await?);
        match gate::fill(self.home, plan, part, cx).await.map_err(Trouble::of(data))? {
            Filled::Verified(waiting) => self.held().databases.insert(data.clone(), *waiting),
            Filled::Differs(restored) => return Err(Trouble::Differs(restored)),
        };
        Ok(())
    }

    /// The copy lies beside the folder, verified by this process or by one that is gone.
    pub(super) async fn filled_volume(&self, data: &Name, cx: &Context) -> Result<(), Trouble> {
        if self.held().volumes.contains_key(data) {
            return Ok(());
        }
        let (plan, part, begun) = (self.plan(cx).await?, self.part(data, cx).await?, Instant::now());
        let failed = Trouble::of(data);
        let DataKind::Volume(spec) = part.kind() else { unreachable!("the plan put a volume here") };
        let folder = back::folder_of(spec).map_err(&failed)?;
        match back::trace(folder, self.run.as_str(), cx).await.map_err(&failed)? {
            Some(volume::Stage::Verified | volume::Stage::Exchanging | volume::Stage::Finished) => return Ok(()),
            Some(_) => drop(back::volume(spec, self.run.as_str(), cx).await.map_err(&failed)?), // half of a copy
            None => {}
        }
        let beside = copy(self.home, plan, part, cx).await.map_err(&failed)?;
        self.held().volumes.insert(data.clone(), (begun, beside));
        Ok(())
    }

    /// Undoes [`Self::fill`]: nothing is left beside.
    pub(super) async fn empty(&self, data: &Name, cx: &Context) -> Result<(), RestoreError> {
        let waiting = self.held().databases.remove(data);
        if let Some(waiting) = waiting {
            waiting.discard().await;
        }
        drop(self.held().volumes.remove(data));
        let failed = back::of(data);
        match back::kind(self.home, data)? {
            DataKind::Postgres(spec) => {
                postgres::restore::undo(spec).await.map_err(|error| failed(error.into()))?;
            }
            DataKind::Volume(spec) => drop(back::volume(spec, self.run.as_str(), cx).await.map_err(failed)?),
            DataKind::Redis(_) => {}
        }
        Ok(())
    }

    /// Rows with files, and whether that keeps all of it from going live.
    pub(super) async fn compare_references(&self, cx: &Context) -> Result<Value, Trouble> {
        let plan = self.plan(cx).await?;
        for set in self.told.data.iter().filter(|set| set.kind == DataWord::Postgres) {
            self.filled_database(&set.data, cx).await?; // by another process, which is gone
        }
        let gone = || RestoreError::SafetyGone { point: self.told.safety_point };
        let safety = self.safety_record(cx).await?.ok_or_else(gone)?;
        let databases = self.told.databases();
        let look = Look { home: self.home, plan, files: &safety, rows: Rows::Waiting(&databases) };
        let compared = look.compare(cx).await.map_err(Trouble::References)?;
        let new_gaps: u64 = compared.iter().map(|one| one.comparison.difference_count).sum();
        if new_gaps > 0 && !self.told.allow_gaps {
            return Err(Trouble::Gaps(compared));
        }
        let output = json!({"newGaps": new_gaps, REFERENCES: evidence::reference_proofs(&compared)});
        self.seen().report.references = compared;
        Ok(output)
    }
}

//! What goes live, and how each comes back: volumes first, whose exchange can be undone to the byte; then databases; then
//! caches, which nothing brings back but their safety snapshot.

use serde_json::{Value, json};

use super::evidence::{self, COMPARISON};
use super::in_place::{exchange, hand_over};
use super::phases::{Doing, SetRecord, Swapped};
use super::report::RestoredSet;
use super::trouble::Trouble;
use super::work::Work;
use super::{RestoreError, back};
use crate::context::Context;
use crate::data::{Comparison, redis, volume};
use crate::stack::{DataKind, Name, PostgresSpec};

impl Work<'_> {
    /// Makes the copy live, or goes on where a process that is gone had begun to.
    pub(super) async fn exchange(&self, data: &Name, cx: &Context) -> Result<Value, Trouble> {
        self.filled_volume(data, cx).await?;
        let (part, failed) = (self.part(data, cx).await?, Trouble::of(data));
        let own = self.held().volumes.remove(data);
        let restored = match own {
            Some((begun, beside)) => exchange(part, begun, beside, cx).await.map_err(failed)?,
            None => {
                let DataKind::Volume(spec) = part.kind() else { unreachable!("the plan put a volume here") };
                let folder = back::folder_of(spec).map_err(&failed)?;
                let ended = volume::resume(folder, self.run.as_str(), &spec.exclude, cx).await;
                if ended.map_err(|error| failed(error.into()))? != volume::Outcome::New {
                    return Err(self.taken_back(data));
                }
                resumed(self.told.set(data), data, vec![folder.display().to_string()])
            }
        };
        let restored = as_recorded(restored)?;
        let former = restored.formers.first().map(|one| &one.name);
        let output = json!({"former": former, COMPARISON: evidence::compared(&restored)});
        self.is_live(restored);
        Ok(output)
    }

    pub(super) async fn is_exchanged(&self, data: &Name, cx: &Context) -> Result<Option<Value>, Trouble> {
        let trace = self.trace(data, cx).await.map_err(Trouble::from)?;
        Ok((trace == Some(volume::Stage::Finished)).then(|| json!({})))
    }

    async fn trace(&self, data: &Name, cx: &Context) -> Result<Option<volume::Stage>, RestoreError> {
        let DataKind::Volume(spec) = back::kind(self.home, data)? else { return Ok(None) };
        let folder = back::folder_of(spec).map_err(back::of(data))?;
        back::trace(folder, self.run.as_str(), cx).await.map_err(back::of(data))
    }

    pub(super) async fn exchange_back(&self, data: &Name, cx: &Context) -> Result<(), RestoreError> {
        drop(self.held().volumes.remove(data)); // it has the folder's lock
        let DataKind::Volume(spec) = back::kind(self.home, data)? else { return Ok(()) };
        back::volume(spec, self.run.as_str(), cx).await.map(drop).map_err(back::of(data))
    }

    /// Gives the databases that wait the live names.
    pub(super) async fn swap(&self, data: &Name, cx: &Context) -> Result<Value, Trouble> {
        self.filled_database(data, cx).await?;
        let waiting = self.held().databases.remove(data);
        let mut waiting =
            waiting.expect("it was filled a moment ago, and steps of a data set come one after the other");
        if let Err(error) = waiting.swap().await {
            self.seen().not_swapped.insert(data.clone());
            return Err(Trouble::of(data)(error));
        }
        self.held().databases.insert(data.clone(), waiting);
        let swapped = self.by_their_marks(data).await?;
        let output = json!({"databases": swapped});
        self.seen().swapped.insert(data.clone(), swapped);
        Ok(output)
    }

    pub(super) async fn is_swapped(&self, data: &Name) -> Result<Option<Value>, Trouble> {
        let swapped = self.by_their_marks(data).await?;
        if swapped.is_empty() {
            return Ok(None);
        }
        let output = json!({"databases": swapped});
        self.seen().swapped.insert(data.clone(), swapped);
        Ok(Some(output))
    }

    async fn by_their_marks(&self, data: &Name) -> Result<Vec<Swapped>, RestoreError> {
        let spec = self.postgres(data)?;
        let Some(set) = self.told.set(data) else { return Ok(Vec::new()) };
        back::swapped_by_their_marks(spec, self.run.as_str(), set).await.map_err(back::of(data))
    }

    fn postgres(&self, data: &Name) -> Result<&PostgresSpec, RestoreError> {
        match back::kind(self.home, data)? {
            DataKind::Postgres(spec) => Ok(spec),
            other => {
                let (name, now, then) = (data.clone(), other.word(), "postgres");
                Err(RestoreError::OtherKind { name, now, then })
            }
        }
    }

    /// Logs in as the application, by the process that has swapped them or by the marks that it has left.
    pub(super) async fn prove(&self, data: &Name, _: &Context) -> Result<Value, Trouble> {
        let waiting = self.held().databases.remove(data);
        let restored = match waiting {
            Some(waiting) => waiting.prove().await.map_err(Trouble::of(data))?,
            None => {
                let spec = self.postgres(data)?;
                let proved = crate::data::postgres::restore::undo(spec).await;
                proved.map_err(|error| Trouble::of(data)(error.into()))?; // what was swapped and not proved yet
                let swapped = self.seen().swapped.get(data).cloned().unwrap_or_default();
                let to = swapped.iter().map(|one| format!("database {}", one.database)).collect();
                resumed(self.told.set(data), data, to)
            }
        };
        let output = json!({COMPARISON: evidence::compared(&restored)});
        self.is_live(restored);
        Ok(output)
    }

    pub(super) async fn swap_back(&self, data: &Name, _: &Context) -> Result<(), RestoreError> {
        let waiting = self.held().databases.remove(data);
        if let Some(waiting) = waiting {
            waiting.discard().await;
        }
        let spec = self.postgres(data)?;
        let (known, never) = {
            let seen = self.seen();
            (seen.swapped.get(data).cloned(), seen.not_swapped.contains(data))
        };
        let swapped = match known {
            Some(known) => known,
            None if never => Vec::new(),
            None => self.by_their_marks(data).await?,
        };
        self.seen().swapped.insert(data.clone(), swapped.clone()); // their marks go now
        back::databases(spec, self.run.as_str(), &swapped).await.map_err(back::of(data))
    }

    pub(super) async fn hand_over(&self, data: &Name, cx: &Context) -> Result<Value, Trouble> {
        let prepared = self.rehearsed(data, cx).await?;
        let part = self.part(data, cx).await?;
        let restored = as_recorded(hand_over(part, &prepared, cx).await.map_err(Trouble::of(data))?)?;
        let output = json!({COMPARISON: evidence::compared(&restored)});
        self.is_live(restored);
        Ok(output)
    }

    /// Waits until the cache's own disk has it; that it has not is something to know, and no reason to go back.
    pub(super) async fn settle(&self, data: &Name, cx: &Context) -> Result<Value, Trouble> {
        drop(self.held().caches.remove(data));
        let DataKind::Redis(spec) = back::kind(self.home, data)? else { return Ok(Value::Null) };
        let warnings = redis::settle(spec, cx).await;
        let output = json!({"warnings": warnings.len()});
        if let Some(set) = self.seen().report.data.iter_mut().find(|set| set.data == *data) {
            set.warnings = warnings;
        }
        Ok(output)
    }

    /// Whether what a step has made live is live.
    pub(super) async fn is_so_still(&self, doing: &Doing, cx: &Context) -> Result<(), Trouble> {
        let is_so = match doing {
            Doing::Exchange(data) => self.trace(data, cx).await? == Some(volume::Stage::Finished),
            Doing::Swap(data) | Doing::Prove(data) => {
                let known = self.seen().swapped.get(data).cloned().unwrap_or_default();
                let spec = self.postgres(data)?;
                back::are_swapped(spec, self.run.as_str(), &known).await.map_err(Trouble::of(data))?
            }
            Doing::Evidence
            | Doing::Record
            | Doing::Safety
            | Doing::Rehearse(_)
            | Doing::Fill(_)
            | Doing::References
            | Doing::BeforeLive(_)
            | Doing::HandOver(_)
            | Doing::Settle(_) => true,
        };
        match doing {
            Doing::Exchange(data) | Doing::Swap(data) | Doing::Prove(data) if !is_so => Err(self.taken_back(data)),
            _ => Ok(()),
        }
    }

    fn taken_back(&self, data: &Name) -> Trouble {
        RestoreError::TakenBack { data: data.clone(), run: self.run.to_string() }.into()
    }
}

/// What is live and differs all the same (a folder's own metadata, a cache) is not left so.
fn as_recorded(restored: RestoredSet) -> Result<RestoredSet, Trouble> {
    if restored.comparison.holds() {
        return Ok(restored);
    }
    Err(Trouble::Differs(Box::new(RestoredSet { promoted: false, formers: Vec::new(), ..restored })))
}

/// A data set that was compared by a process that is gone.
fn resumed(set: Option<&SetRecord>, data: &Name, to: Vec<String>) -> RestoredSet {
    RestoredSet {
        data: data.clone(),
        kind: set.map_or(crate::point::DataWord::Volume, |set| set.kind),
        to,
        promoted: true,
        comparison: Comparison::default(),
        formers: Vec::new(),
        notes: vec!["it was compared with its record by the process that began the run".into()],
        warnings: Vec::new(),
        took_ms: 0,
    }
}

//! Rows that point at files: what was exported is held against what was stored, while both stand still.

use super::prepare::Databases;
use super::read::Read;
use super::{Run, SnapshotError};
use crate::data::references::{self, Checked};
use crate::point::{PointRecord, ReferenceRecord, document};
use crate::repository::TreeId;
use crate::stack::{Name, Reference};

/// What was found, and what the next point need not look at again.
#[derive(Default)]
pub struct Compared {
    pub records: Vec<ReferenceRecord>,
    pub checked: Checked,
}

/// Whether rows of the database `name` are asked for once files were read.
pub fn need(run: &Run<'_>, name: &Name) -> bool {
    let is_taken = |name: &Name| run.plan.sets.iter().any(|set| set.name == *name);
    let mut pairs = run.home.stack.spec.references.iter().map(Reference::pair);
    pairs.any(|pair| pair.database == *name && is_taken(&pair.volume))
}

/// Compares every reference of the stack whose two data sets were read.
pub async fn compare(run: &Run<'_>, databases: &Databases, read: &[Read]) -> Result<Compared, SnapshotError> {
    let mut compared = Compared::default();
    let references = &run.home.stack.spec.references;
    let tree_of = |name: &Name| read.iter().find(|read| read.set.name == *name).map(|read| read.captured.tree);
    if references.is_empty() {
        return Ok(compared);
    }
    let known = checked_before(run).await;
    for reference in references {
        let pair = reference.pair();
        let (Some(source), Some(volume)) = (databases.get(&pair.database), tree_of(&pair.volume)) else { continue };
        run.go_on()?;
        compared.add(one(run, reference, source, &volume, &known).await?);
    }
    Ok(compared)
}

async fn one(
    run: &Run<'_>,
    reference: &Reference,
    source: &crate::data::postgres::OpenSource,
    volume: &TreeId,
    known: &Checked,
) -> Result<(ReferenceRecord, Checked), SnapshotError> {
    let compared = references::compare(reference, source, &run.home.repository, volume, known, run.cx).await;
    let failed = |source| SnapshotError::References { reference: reference.word(), source: Box::new(source) };
    let outcome = compared.map_err(failed)?;
    let pair = reference.pair();
    let record = ReferenceRecord {
        reference: reference.word().to_owned(),
        database: pair.database.clone(),
        volume: pair.volume.clone(),
        summary: outcome.summary,
        gaps: outcome.gaps,
        gap_count: outcome.gap_count,
    };
    Ok((record, outcome.checked))
}

impl Compared {
    fn add(&mut self, (record, checked): (ReferenceRecord, Checked)) {
        self.records.push(record);
        self.checked.absorb(checked);
    }
}

/// What the former point verified. It only saves work: whatever keeps it from being read means that nothing is known.
async fn checked_before(run: &Run<'_>) -> Checked {
    let Some(point) = run.plan.former_point else { return Checked::default() };
    let read = async {
        let snapshot = run.home.repository.snapshot(&point).await.ok()?;
        let what = "the former recovery point";
        let bytes = document(&run.home.repository, &snapshot.tree, PointRecord::CHECKED_FILE, what).await.ok()?;
        Checked::from_bytes(&bytes).ok()
    };
    read.await.unwrap_or_default()
}

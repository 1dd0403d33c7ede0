//! Before an in-place restore goes live: will the rows that are live then lead to the files that are live then, but for
//! the gaps that the recovery point recorded? And of databases beside: do their rows lead to the point's files? Restored databases are asked where they wait, beside the live ones; the
//! files are those of the trees, which the copies beside were verified against.

use std::collections::BTreeMap;

use super::RestoreError;
use super::error::Left;
use super::phases::DatabaseRecord;
use super::plan::RestorePlan;
use super::report::ComparedReference;
use crate::context::Context;
use crate::data::references::{Checked, ReferenceError, compare_gaps};
use crate::data::{Comparison, postgres, references};
use crate::failure::{Category, Failure};
use crate::point::{Home, PointId, PointRecord, document};
use crate::repository::TreeId;
use crate::stack::{DataKind, Name, PostgresSpec, Reference};

/// What rows and files are looked at.
pub struct Look<'a> {
    pub home: &'a Home,
    pub plan: &'a RestorePlan,
    /// Has the files of a volume that is not restored: in place as they were a moment ago, beside as the point has them.
    pub files: &'a PointRecord,
    pub rows: Rows<'a>,
}

/// Where restored rows are asked.
pub enum Rows<'a> {
    /// In databases that wait beside the live ones; in live ones where they are not restored.
    Waiting(&'a [(Name, DatabaseRecord)]),
    /// Under new names, recorded → new; under the recorded ones where the map is empty.
    Named(&'a BTreeMap<String, String>),
}

/// Rows and files that could not be compared.
pub struct Failed {
    reference: &'static str,
    source: ReferenceError,
}

impl Failed {
    pub fn reference(&self) -> &'static str {
        self.reference
    }

    pub fn category(&self) -> Category {
        self.source.category()
    }

    pub fn hint(&self) -> Option<String> {
        self.source.hint()
    }

    pub fn told(self, run: String, safety_point: Option<PointId>, left: Left) -> RestoreError {
        let (reference, source) = (self.reference, Box::new(self.source));
        RestoreError::References { reference, run, safety_point, left, source }
    }
}

impl Look<'_> {
    /// Compares every reference of which a data set is restored.
    pub async fn compare(&self, cx: &Context) -> Result<Vec<ComparedReference>, Failed> {
        let mut compared = Vec::new();
        let references = self.touched();
        if references.is_empty() {
            return Ok(compared);
        }
        let known = self.checked().await;
        for reference in references {
            let pair = reference.pair();
            let Some(volume) = self.files(&pair.volume) else { continue };
            let comparison = self.one(reference, &volume, &known, cx).await;
            compared.push(ComparedReference {
                reference: reference.word(),
                database: pair.database.clone(),
                volume: pair.volume.clone(),
                comparison: comparison.map_err(|source| Failed { reference: reference.word(), source })?,
            });
        }
        Ok(compared)
    }

    /// Those of which a data set is restored.
    fn touched(&self) -> Vec<&Reference> {
        let is_restored = |name: &Name| self.plan.parts.iter().any(|part| part.name() == name);
        let touched = |reference: &&Reference| {
            let pair = reference.pair();
            is_restored(&pair.database) || is_restored(&pair.volume)
        };
        self.home.stack.spec.references.iter().filter(touched).collect()
    }

    async fn one(
        &self,
        reference: &Reference,
        volume: &TreeId,
        known: &Checked,
        cx: &Context,
    ) -> Result<Comparison, ReferenceError> {
        let recorded = self.plan.record.reference(reference);
        let Some((reference, spec)) = self.rows(reference) else { return Ok(Comparison::default()) };
        let source = postgres::open(&spec, cx).await?;
        let outcome = references::compare(&reference, &source, &self.home.repository, volume, known, cx).await;
        source.close().await; // nobody may be on a database that gets another name
        match outcome {
            Ok(outcome) => {
                let (gaps, count) = recorded.map_or((&[][..], 0), |record| (&record.gaps[..], record.gap_count));
                Ok(compare_gaps(gaps, count, &outcome))
            }
            // The application had none yet, and nobody spoke of one, when the point was taken.
            Err(error @ ReferenceError::NoTable { .. }) if recorded.is_none() => {
                Ok(Comparison { not_comparable: vec![error.to_string()], ..Comparison::default() })
            }
            Err(error) => Err(error),
        }
    }

    /// Where the rows are that will be live: in the database that waits, or in the live one that stays.
    fn rows(&self, reference: &Reference) -> Option<(Reference, PostgresSpec)> {
        let pair = reference.pair();
        let set = self.home.stack.spec.data.iter().find(|set| set.name == pair.database)?;
        let DataKind::Postgres(spec) = &set.kind else { return None };
        let database = pair.database_name.as_ref().or(spec.database.as_ref()).or(spec.databases.first())?;
        let beside = match self.rows {
            Rows::Waiting(all) if all.iter().any(|(data, one)| *data == pair.database && one.database == *database) => {
                postgres::restore::beside(database, &self.plan.run)
            }
            Rows::Waiting(_) => return Some((reference.clone(), spec.clone())),
            Rows::Named(names) if names.is_empty() => database.clone(),
            Rows::Named(names) => names.get(database)?.clone(), // another database of the server was wanted
        };
        let spec = PostgresSpec { database: Some(beside.clone()), databases: Vec::new(), ..spec.clone() };
        Some((reference.in_database(&beside), spec))
    }

    /// The tree that the volume's live content will equal: the restored one, or the safety point's.
    fn files(&self, name: &Name) -> Option<TreeId> {
        let restored = self.plan.parts.iter().map(|part| &part.member).find(|member| member.data == *name);
        restored.or_else(|| self.files.members.iter().find(|member| member.data == *name)).map(|member| member.tree)
    }

    /// What was verified when the point was taken. It only saves work: whatever keeps it from being read means that
    /// nothing is known.
    async fn checked(&self) -> Checked {
        let repository = &self.home.repository;
        let read = async {
            let snapshot = repository.snapshot(&self.plan.snapshot).await.ok()?;
            let what = "the restored recovery point";
            let bytes = document(repository, &snapshot.tree, PointRecord::CHECKED_FILE, what).await.ok()?;
            Checked::from_bytes(&bytes).ok()
        };
        read.await.unwrap_or_default()
    }
}

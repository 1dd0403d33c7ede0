//! A check's one step. It changes nothing, so nothing of it is ever undone.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::request::alone;
use super::work::{self, How, Report, told, unknown};
use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::maintain::check::{Checked, check};
use crate::point::{Home, PointError};
use crate::repository::LockKind;
use crate::repository::check::CheckOptions;
use crate::run::{Phase, PlannedStep, Probe, Step, StepError, Steps};
use crate::stack::ReadData;

pub const WORD: &str = "check";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Told {
    /// As the command line has it.
    read_data: String,
    seed: u64,
}

pub fn phases(read_data: ReadData) -> Vec<Phase> {
    vec![alone(WORD, json!(Told { read_data: read_data.to_string(), seed: rand::random() }))]
}

pub struct Work<'a> {
    home: &'a Home,
    how: How<'a>,
    checked: Mutex<Option<Checked>>,
}

impl<'a> Work<'a> {
    pub fn new(home: &'a Home, how: How<'a>) -> Self {
        Self { home, how, checked: Mutex::new(None) }
    }
}

#[async_trait(?Send)]
impl work::Work for Work<'_> {
    fn reports(self: Box<Self>) -> Vec<Report> {
        let checked = self.checked.into_inner().unwrap_or_else(PoisonError::into_inner);
        checked.into_iter().map(|checked| Report::Check(Box::new(checked))).collect()
    }
}

impl Steps for Work<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        match planned.name.as_str() {
            WORD => Ok(Box::new(Look { work: self, told: told(planned)? })),
            _ => unknown(planned),
        }
    }
}

struct Look<'a> {
    work: &'a Work<'a>,
    told: Told,
}

/// What was found, for the journal; the report names it.
#[derive(Debug, thiserror::Error)]
enum Found {
    #[error("{damaged} objects of the repository are damaged, {points} recovery points cannot be restored whole")]
    Damage { damaged: u64, points: usize },
    #[error("{unread} objects of the repository could not be read")]
    Unread { unread: u64 },
    #[error("`{0}` says no part to read")]
    ReadData(String),
}

impl Failure for Found {
    fn category(&self) -> Category {
        match self {
            Self::Damage { .. } => Category::Integrity,
            Self::Unread { .. } => Category::Unavailable,
            Self::ReadData(_) => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Damage { .. } => Some("`drydock check -f FILE` names them".into()),
            Self::Unread { .. } => Some("try again".into()),
            Self::ReadData(_) => None,
        }
    }
}

#[async_trait(?Send)]
impl Step for Look<'_> {
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        let Told { read_data, seed } = &self.told;
        let read_data = read_data.parse().map_err(|_| StepError::new(Found::ReadData(read_data.clone())))?;
        let options = CheckOptions { read_data, seed: *seed };
        let home = self.work.home;
        let work = async |_: &_| -> Result<Checked, PointError> { check(home, &options, cx).await };
        let checked = home.locked(LockKind::Shared, self.work.how.wait, cx, work).await.map_err(StepError::new)?;
        let report = &checked.repository;
        let output = json!({
            "packs": report.packs,
            "packBytes": report.pack_bytes,
            "bytesRead": report.bytes_read,
            "wholePoints": checked.whole_points,
        });
        let found = match checked.category() {
            None | Some(Category::Warnings) => None,
            Some(Category::Integrity) => {
                Some(Found::Damage { damaged: report.damage_count, points: checked.points.len() })
            }
            Some(_) => Some(Found::Unread { unread: report.unread_count }),
        };
        *self.work.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(checked);
        found.map_or(Ok(output), |found| Err(StepError::new(found)))
    }

    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, _: Option<&Value>, _: &Context) -> Result<(), StepError> {
        Ok(())
    }
}

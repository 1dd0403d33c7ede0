//! Why a restore did not come to its end: in full for whoever waits for it, and without causes, which may hold a
//! server's words about rows, for the journal.

use super::RestoreError;
use super::error::Left;
use super::references;
use super::report::{ComparedReference, Report, RestoredSet};
use crate::data::DataError;
use crate::failure::{Category, Failure};
use crate::repository::RepositoryError;
use crate::run::StepError;
use crate::stack::Name;

/// What kept a step from being done.
pub enum Trouble {
    Differs(Box<RestoredSet>),
    /// Rows would point at files that are not there, which the point did not record.
    Gaps(Vec<ComparedReference>),
    References(references::Failed),
    Data {
        data: Name,
        source: Box<DataError>,
    },
    Other(Box<RestoreError>),
}

impl From<RepositoryError> for Trouble {
    fn from(error: RepositoryError) -> Self {
        Self::Other(Box::new(error.into()))
    }
}

impl From<RestoreError> for Trouble {
    fn from(error: RestoreError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// What the journal holds of it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Gist {
    category: Category,
    message: String,
    hint: Option<String>,
}

impl Failure for Gist {
    fn category(&self) -> Category {
        self.category
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl Trouble {
    pub fn of(data: &Name) -> impl Fn(DataError) -> Self {
        |source| Self::Data { data: data.clone(), source: Box::new(source) }
    }

    /// For the journal.
    pub fn gist(&self) -> StepError {
        let (category, message, hint) = match self {
            Self::Differs(set) => {
                let message = format!("the data set `{}` differs from what was recorded", set.data);
                (Category::Integrity, message, None)
            }
            Self::Gaps(_) => {
                let message = "rows would point at files that are not there, which the recovery point did not record";
                (Category::Integrity, message.to_owned(), None)
            }
            Self::References(failed) => {
                let message = format!("cannot compare the rows of {} with their files", failed.reference());
                (failed.category(), message, failed.hint())
            }
            Self::Data { data, source } => {
                (source.category(), format!("cannot restore the data set `{data}`"), source.hint())
            }
            Self::Other(error) => (error.category(), error.to_string(), error.hint()),
        };
        StepError::new(Gist { category, message, hint })
    }

    /// As the caller reads it, with what is `left`.
    pub fn told(self, mut report: Report, left: Left) -> Result<Report, RestoreError> {
        let (run, safety_point) = (report.run.clone(), report.safety_point);
        match (self, left) {
            (Self::Differs(restored), left @ (Left::Open(_) | Left::Live | Left::Remains(_))) => {
                let what = format!("the data set `{}`", restored.data);
                Err(RestoreError::Differs { what, run, safety_point, left })
            }
            (Self::Gaps(_), left @ (Left::Open(_) | Left::Live)) => {
                let what = "what rows say of their files".to_owned();
                Err(RestoreError::Differs { what, run, safety_point, left })
            }
            (Self::Gaps(compared), _) => {
                (report.data, report.references) = (Vec::new(), compared);
                Ok(report)
            }
            (Self::References(failed), left) => Err(failed.told(run, safety_point, left)),
            (Self::Differs(restored), left) => {
                report.data = vec![*restored];
                if let Left::Back { set_aside, .. } = left {
                    report.set_aside = set_aside;
                }
                Ok(report)
            }
            (Self::Data { data, source }, left) => Err(RestoreError::Data { data, run, safety_point, left, source }),
            (Self::Other(error), left @ (Left::Open(_) | Left::Remains(_))) => {
                Err(RestoreError::Halted { run, safety_point, left, source: error })
            }
            (Self::Other(error), _) => Err(*error),
        }
    }
}

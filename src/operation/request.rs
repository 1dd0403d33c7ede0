//! What is asked for, and the plan that it becomes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::OperationError;
use super::deploy::{self, DeployRequest};
use super::{check, drill, forget, prune, restore, snapshot};
use crate::context::Context;
use crate::drill::Choice;
use crate::point::{Home, PointId};
use crate::repository::forget::Policy;
use crate::restore::{After, Options, Target};
use crate::run::{Phase, Plan, PlannedStep, RunId, Scope, StepKind};
use crate::schedule;
use crate::stack::{MaxUnused, Name, ReadData, Tag};

/// An operation with its options.
#[derive(Debug, Clone)]
pub enum Request {
    Snapshot(SnapshotRequest),
    Check(ReadData),
    Forget(Policy),
    Prune(MaxUnused),
    /// Both, one after the other.
    ForgetAndPrune(Policy, MaxUnused),
    Drill(DrillRequest),
    Deploy(Box<DeployRequest>),
    Restore(Box<RestoreRequest>),
    /// What a restore that is finished has replaced.
    BringBack(RunId),
    /// What a restore that is over has kept.
    Discard(RunId),
}

/// As `drydock restore` has them.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    pub point: PointId,
    /// Only these data sets.
    pub data: Vec<Name>,
    pub target: Target,
    pub options: Options,
}

/// As `drydock snapshot` has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotRequest {
    /// Only these data sets.
    pub data: Vec<Name>,
    pub tags: Vec<Tag>,
    pub reread: bool,
    pub self_check: bool,
    /// zstd's.
    pub compression: i32,
}

impl Default for SnapshotRequest {
    fn default() -> Self {
        let writer = crate::repository::WriterOptions::default();
        Self {
            data: Vec::new(),
            tags: Vec::new(),
            reread: false,
            self_check: writer.self_check,
            compression: writer.compression_level,
        }
    }
}

/// As `drydock drill` has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillRequest {
    pub choice: Choice,
    pub data: Vec<Name>,
    pub keep: bool,
}

impl Request {
    /// What a schedule asks of `home`'s stack.
    ///
    /// # Errors
    /// When its document does not have what the operation needs.
    pub fn scheduled(operation: &schedule::Operation, home: &Home) -> Result<Self, OperationError> {
        Ok(match operation {
            schedule::Operation::Snapshot(asked) => {
                let (data, reread) = (asked.data.clone(), asked.reread);
                Self::Snapshot(SnapshotRequest { data, reread, ..SnapshotRequest::default() })
            }
            schedule::Operation::Drill(asked) => {
                let choice = asked.point.to_string().parse()?;
                Self::Drill(DrillRequest { choice, data: asked.data.clone(), keep: false })
            }
            schedule::Operation::Check(asked) => Self::Check(match (asked.read_data, asked.read_data_subset) {
                (true, _) => ReadData::All,
                (false, part) => part.unwrap_or_default(),
            }),
            schedule::Operation::ForgetAndPrune(asked) => {
                let retention = home.stack.spec.retention.as_ref().ok_or(OperationError::NoRetention)?;
                Self::ForgetAndPrune(crate::maintain::forget::policy(retention), asked.max_unused.unwrap_or_default())
            }
        })
    }

    /// What its runs are called.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => snapshot::WORD,
            Self::Check(_) => check::WORD,
            Self::Forget(_) | Self::ForgetAndPrune(..) => forget::WORD,
            Self::Prune(_) => prune::WORD,
            Self::Drill(_) => drill::WORD,
            Self::Deploy(_) => deploy::WORD,
            Self::Restore(asked) if asked.target == Target::InPlace => restore::WORD,
            Self::Restore(_) => restore::COPY,
            Self::BringBack(_) => restore::BRING_BACK,
            Self::Discard(_) => restore::DISCARD,
        }
    }

    /// The right that it needs.
    #[must_use]
    pub fn scope(&self) -> Scope {
        scope(self.word())
    }

    /// What will be done, frozen.
    ///
    /// # Errors
    /// What there is not: the point, the data set.
    pub async fn plan(&self, home: &Home, run: &RunId, cx: &Context) -> Result<Plan, OperationError> {
        let phases = match self {
            Self::Snapshot(asked) => snapshot::phases(home, asked)?,
            Self::Check(read_data) => check::phases(*read_data),
            Self::Forget(policy) => vec![forget::phase(policy)],
            Self::Prune(max_unused) => vec![prune::phase(*max_unused)],
            Self::ForgetAndPrune(policy, max_unused) => vec![forget::phase(policy), prune::phase(*max_unused)],
            Self::Drill(asked) => drill::phases(home, run, asked, cx).await?,
            Self::Deploy(asked) => deploy::phases(home, asked).await?,
            Self::Restore(asked) => restore::phases(home, run, asked, cx).await?,
            Self::BringBack(of) => After::BringBack.phases(home, of).await?,
            Self::Discard(of) => After::Discard.phases(home, of).await?,
        };
        Ok(Plan::new(self.word(), &home.stack.name, phases))
    }
}

/// The right that a plan's operation needs.
pub(super) fn scope(word: &str) -> Scope {
    match word {
        check::WORD => Scope::Check,
        drill::WORD => Scope::Drill,
        restore::COPY => Scope::Copy,
        _ => Scope::Act,
    }
}

/// A phase of one step that can be undone, or leaves nothing that would have to be.
pub(super) fn alone(name: &str, parameters: Value) -> Phase {
    Phase { name: name.to_owned(), steps: vec![step(name, parameters)] }
}

pub(super) fn step(name: &str, parameters: Value) -> PlannedStep {
    PlannedStep { name: name.to_owned(), kind: StepKind::Reversible, parameters }
}

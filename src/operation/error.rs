use crate::deploy::DeployError;
use crate::drill::DrillError;
use crate::failure::{Category, Failure};
use crate::restore::RestoreError;
use crate::run::{Failed, Outcome, RunError, StepError};
use crate::snapshot::SnapshotError;

#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Deploy(Box<DeployError>),
    #[error(transparent)]
    Drill(#[from] DrillError),
    #[error(transparent)]
    Restore(Box<RestoreError>),
    #[error("the stack has no `retention` that says what to keep")]
    NoRetention,
    #[error("the run {run} is a `{operation}`, which this program does not know")]
    UnknownOperation { run: String, operation: String },
    #[error("the plan has a step `{step}`, which this program does not know")]
    UnknownStep { step: String },
    #[error("what the plan tells the step `{step}` cannot be understood")]
    Parameters { step: String, source: serde_json::Error },
    #[error("what the run {run} has written lies on the machine {host}")]
    Elsewhere { run: String, host: String },
    #[error("there is no run {run}")]
    NoRun { run: String },
    #[error("the run {run} is over: {}", outcome.word())]
    Over { run: String, outcome: Outcome },
    #[error("the run {run} waits for a person: {}", reason(step, failed.as_ref()))]
    Waits { run: String, step: String, failed: Option<Failed> },
    #[error("{}", failed.message)]
    Failed { run: String, failed: Failed },
    #[error("the run {run} was ended by {by}; what it had done is undone")]
    Abandoned { run: String, by: String },
    #[error("the run {run} is left where it is; whoever comes next goes on")]
    Parked { run: String },
}

impl From<DeployError> for OperationError {
    fn from(error: DeployError) -> Self {
        Self::Deploy(Box::new(error))
    }
}

impl From<RestoreError> for OperationError {
    fn from(error: RestoreError) -> Self {
        Self::Restore(Box::new(error))
    }
}

fn reason(step: &str, failed: Option<&Failed>) -> String {
    failed.map_or_else(|| format!("step `{step}`"), |failed| format!("step `{step}`: {}", failed.message))
}

impl Failure for OperationError {
    fn category(&self) -> Category {
        match self {
            Self::Run(error) => error.category(),
            Self::Step(error) => error.category(),
            Self::Snapshot(error) => error.category(),
            Self::Deploy(error) => error.category(),
            Self::Drill(error) => error.category(),
            Self::Restore(error) => error.category(),
            Self::NoRetention | Self::NoRun { .. } | Self::Over { .. } | Self::Elsewhere { .. } => Category::Usage,
            Self::UnknownOperation { .. } | Self::UnknownStep { .. } | Self::Parameters { .. } | Self::Waits { .. } => {
                Category::NeedsOperator
            }
            Self::Failed { failed, .. } => failed.category,
            Self::Abandoned { .. } | Self::Parked { .. } => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Run(error) => error.hint(),
            Self::Step(error) => error.hint(),
            Self::Snapshot(error) => error.hint(),
            Self::Deploy(error) => error.hint(),
            Self::Drill(error) => error.hint(),
            Self::Restore(error) => error.hint(),
            Self::NoRetention => Some("add `retention` to the Stack document".into()),
            Self::UnknownOperation { .. } | Self::UnknownStep { .. } | Self::Parameters { .. } => {
                Some("a newer drydock began it: use that one to bring it to its end".into())
            }
            Self::NoRun { .. } => Some("`drydock runs -f FILE` lists them".into()),
            Self::Over { .. } => None,
            Self::Elsewhere { host, .. } => Some(format!("type the same on {host}")),
            Self::Waits { run, .. } => Some(format!(
                "look with `drydock runs show {run} -f FILE`; when the cause is gone `drydock runs resume {run} -f FILE` goes \
                 on, `drydock runs undo {run} -f FILE` takes back what it did"
            )),
            Self::Failed { failed, .. } => failed.hint.clone(),
            Self::Abandoned { .. } => None,
            Self::Parked { run } => Some(format!("`drydock runs resume {run} -f FILE` goes on now")),
        }
    }
}

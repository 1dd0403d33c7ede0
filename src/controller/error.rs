//! What keeps the controller, or one of its runs, from going on.

use crate::cluster::ClusterError;
use crate::daemon::DaemonError;
use crate::deploy::DeployError;
use crate::failure::{Category, Failure};
use crate::maintain::init::InitError;
use crate::operation::OperationError;
use crate::point::PointError;
use crate::run::RunError;
use crate::stack::DocumentError;

#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error(transparent)]
    Stack(#[from] DocumentError),
    #[error("the Stack cannot be read: {0}")]
    Document(String),
    #[error("in a cluster every secret comes from a Secret; these do not: {}", fields.join(", "))]
    LocalSecrets { fields: Vec<String> },
    #[error("the Stack names no `serviceAccountName`, whose rights its deploys would use")]
    NoAccount,
    #[error("there is no Stack `{stack}` in the namespace {namespace}")]
    NoStack { stack: String, namespace: String },
    #[error("the stack's repository was {was}; at {location} there is now {now}")]
    OtherRepository { was: String, now: String, location: String },
    #[error("the stack's repository {was} is not at {location} any more")]
    RepositoryGone { was: String, location: String },
    #[error(transparent)]
    Home(#[from] PointError),
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    Deploy(#[from] DeployError),
    #[error(transparent)]
    Operation(Box<OperationError>),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("a defect of drydock: {0}")]
    Panic(String),
    #[error("the Lease is another process's, or may soon be")]
    Lost,
    #[error("a run did not let go in time")]
    Stuck,
    #[error("the watches ended by themselves")]
    Ended,
}

impl From<OperationError> for ControllerError {
    fn from(error: OperationError) -> Self {
        Self::Operation(Box::new(error))
    }
}

impl ControllerError {
    /// Whether it is a matter of time or of another object that is still to come: who asked waits.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let comes_later = matches!(self, Self::NoStack { .. } | Self::Cluster(ClusterError::NoSecret { .. }));
        let passes = matches!(
            self.category(),
            Category::Unavailable | Category::Locked | Category::Interrupted | Category::LeaseLost
        );
        comes_later || passes
    }
}

impl Failure for ControllerError {
    fn category(&self) -> Category {
        match self {
            Self::Cluster(error) => error.category(),
            Self::Daemon(error) => error.category(),
            Self::Stack(error) => error.category(),
            Self::Home(error) => error.category(),
            Self::Init(error) => error.category(),
            Self::Deploy(error) => error.category(),
            Self::Operation(error) => error.category(),
            Self::Run(error) => error.category(),
            Self::Document(_) | Self::LocalSecrets { .. } | Self::NoAccount | Self::NoStack { .. } => Category::Usage,
            Self::OtherRepository { .. } => Category::NeedsOperator,
            Self::RepositoryGone { .. } => Category::RepositoryMissing,
            Self::Lost => Category::LeaseLost,
            Self::Stuck => Category::Interrupted,
            Self::Panic(_) | Self::Ended => Category::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::Daemon(error) => error.hint(),
            Self::Stack(error) => error.hint(),
            Self::Home(error) => error.hint(),
            Self::Init(error) => error.hint(),
            Self::Deploy(error) => error.hint(),
            Self::Operation(error) => error.hint(),
            Self::Run(error) => error.hint(),
            Self::LocalSecrets { .. } => {
                Some("use `fromSecret`: a file or variable of the daemon would be whoever's who may make a Stack".into())
            }
            Self::NoAccount => Some(
                "name an account of the Stack's namespace in `spec.serviceAccountName`, and let drydock act as it: `drydock \
                 manifests -f stack.yaml --no-install`"
                    .into(),
            ),
            Self::NoStack { .. } => Some("make the Stack, or correct `spec.stack`; the Run waits".into()),
            Self::OtherRepository { .. } | Self::RepositoryGone { .. } => Some(
                "bring it back; or, to begin anew, remove the Stack and make it again: nothing else goes with it".into(),
            ),
            Self::Stuck | Self::Lost => Some("whoever has the Lease next goes on".into()),
            Self::Document(_) | Self::Panic(_) | Self::Ended => None,
        }
    }
}

/// The failure as one text: message, causes, and the next move with the stack's own words in place of `-f FILE`.
pub fn told(error: &impl Failure, stack: &str, namespace: &str) -> String {
    let causes =
        std::iter::successors(std::error::Error::source(error), |cause| cause.source()).map(ToString::to_string);
    let mut parts: Vec<String> = std::iter::once(error.to_string()).chain(causes).collect();
    parts.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    with_hint(parts.join(": "), error.hint().as_deref(), stack, namespace)
}

pub fn with_hint(message: String, hint: Option<&str>, stack: &str, namespace: &str) -> String {
    match hint {
        Some(hint) => format!("{message}; {}", hint.replace("-f FILE", &format!("--stack {stack} -n {namespace}"))),
        None => message,
    }
}

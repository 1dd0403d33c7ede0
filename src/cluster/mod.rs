//! All that talks to Kubernetes, and what it is told about drydock's own kinds.

mod apply;
mod client;
mod control;
pub mod crd;
mod diff;
mod election;
mod error;
mod events;
mod health;
pub mod install;
mod jobs;
mod kinds;
mod manifest;
mod migrated;
mod refusal;
mod releases;
pub mod run;
mod secrets;
pub mod status;
mod workloads;

pub use apply::{Applied, Applying, Change, FIELD_MANAGER, said};
pub use client::Cluster;
pub use control::{Again, Reconciler, Watched};
pub use diff::{FieldChange, changes};
pub use election::{Election, Leadership};
pub use error::{ClusterError, Doing};
pub use events::{Severity, Teller};
pub use health::{Health, Story, judge, may_be_unhealthy};
pub use jobs::job_id;
pub use kinds::{Kind, Seen};
pub use manifest::{Manifest, ObjectId, Origin};
pub use migrated::{Migrated, MigrationState};
pub use releases::{ReleaseHead, Releases};
pub use workloads::{Holdings, Workload};

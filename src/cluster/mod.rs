//! All that talks to Kubernetes, and what it is told about drydock's own kinds.

mod apply;
mod client;
pub mod crd;
mod diff;
mod error;
mod health;
pub mod install;
mod manifest;
mod refusal;
mod releases;
pub mod run;
pub mod status;

pub use apply::{Applied, Applying, Change, FIELD_MANAGER, said};
pub use client::Cluster;
pub use diff::{FieldChange, changes};
pub use error::{ClusterError, Doing};
pub use health::{Health, Story, judge};
pub use manifest::{Manifest, ObjectId, Origin};
pub use releases::{ReleaseHead, Releases};

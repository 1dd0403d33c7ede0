//! All that talks to Kubernetes, and what it is told about drydock's own kinds.

pub mod crd;
mod manifest;
pub mod run;
pub mod status;

pub use manifest::{Manifest, ObjectId, Origin};

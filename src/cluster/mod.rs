//! All that talks to Kubernetes, and what it is told about drydock's own kinds.

pub mod crd;
pub mod run;
pub mod status;

//! Deploys on a real cluster, with exactly the rights that are shipped: drydock's own service account, bound to what
//! `drydock manifests` prints, and one for the stack. `DRYDOCK_E2E_KUBECONFIG` names the cluster (one of `tests/cluster/up`, or any
//! other), `DRYDOCK_E2E_IMAGES` where its images are, `DRYDOCK_E2E_KUBECTL` a kubectl of its version; `DRYDOCK_E2E_CLUSTER`, set
//! to anything, allows clusters of `tests/cluster` beside it. Without a cluster every test says that it was left out.

#[path = "../support/mod.rs"]
mod support;

mod kills;
mod migrations;
mod order;
mod refused;
mod world;

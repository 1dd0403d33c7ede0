//! `drydock manifests`

use serde::Serialize;
use serde_json::Value;

use super::Done;
use super::output::Shown;
use super::session::Session;
use crate::cluster::crd;

/// Print drydock's own kinds for a cluster: the definitions of Stack, Schedule and Run
///
/// They are made from the types by which files are read: a custom resource may say what a file may.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock manifests | kubectl apply --server-side -f -
  drydock manifests -o json | jq '.items[].metadata.name'")]
pub struct Args {}

/// As `kubectl` takes several objects.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    api_version: &'static str,
    kind: &'static str,
    items: Vec<Value>,
}

impl Shown for List {
    fn text(&self) -> String {
        crd::yaml(&self.items)
    }
}

pub fn run(_: &Args, session: &Session) -> Done {
    session.print(&List { api_version: "v1", kind: "List", items: crd::all() })
}

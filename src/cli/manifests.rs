//! `drydock manifests`

use serde::Serialize;
use serde_json::Value;

use super::Done;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use crate::cluster::{crd, install};
use crate::stack::Stack;

/// Print drydock's own installation for a cluster: its kinds, account, rights, Deployment and Service
///
/// The kinds (Stack, Schedule, Run) are made from the types by which files are read: a custom resource may say what a file
/// may. The rights have no wildcard; what belongs to a stack is granted by the stack's own namespace, which -f prints:
/// to keep the stack's releases as Secrets there, and to act as its `serviceAccountName` (and as no other account).
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock manifests --image registry.example/drydock:0.1.0 | kubectl apply --server-side -f -
  drydock manifests -f stack.yaml --no-install | kubectl apply -f -     what the stack's namespace grants drydock
  drydock manifests --crds | kubectl apply --server-side -f -           the kinds alone
  drydock manifests -o json | jq '.items[].metadata.name'
  kubectl apply -k deploy/drydock                                       the same, from drydock's sources")]
pub struct Args {
    /// Only the kinds
    #[arg(long, conflicts_with_all = ["no_crds", "no_install"])]
    crds: bool,
    /// Without the kinds
    #[arg(long)]
    no_crds: bool,
    /// Neither the kinds nor drydock itself: only what the stack's namespace grants it
    #[arg(long)]
    no_install: bool,
    /// The image of the Deployment
    #[arg(
        long,
        value_name = "IMAGE",
        env = "DRYDOCK_IMAGE",
        hide_env_values = true,
        default_value = concat!("drydock:", env!("CARGO_PKG_VERSION"))
    )]
    image: String,
    /// The stack's namespace, where its document names none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
}

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

pub fn run(args: &Args, session: &Session) -> Done {
    let stack = session.stack_if_given()?;
    let mut items = Vec::new();
    if !args.no_crds && !args.no_install {
        items.extend(crd::all());
    }
    if !args.crds && !args.no_install {
        items.extend(install::installation(&args.image));
    }
    match &stack {
        Some(stack) if !args.crds => items.extend(of_stack(stack, &args.namespace)?),
        None if args.no_install => {
            let hint = "say which stack's namespace is to grant drydock its rights: `-f stack.yaml`";
            return Err(Failed::usage("nothing is left to print", hint));
        }
        _ => {}
    }
    session.print(&List { api_version: "v1", kind: "List", items })
}

fn of_stack(stack: &Stack, namespace: &str) -> Result<Vec<Value>, Failed> {
    let Some(account) = &stack.spec.service_account_name else {
        let hint = "name the account whose rights its deploys use in `spec.serviceAccountName`";
        return Err(Failed::usage(format!("the stack {} names no service account", stack.name), hint));
    };
    let namespace = stack.namespace.as_ref().map_or(namespace, |own| own.as_str());
    Ok(install::of_stack(stack.name.as_str(), namespace, account.as_str()))
}

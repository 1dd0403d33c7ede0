//! `drydock daemon`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::report::Failed;
use super::session::Session;
use super::{Done, evidence, points, runs};
use crate::controller;
use crate::daemon::{self, Forms, Options, Sources};
use crate::stack::duration;

/// Run a stack's schedules, and show how it stands; in a cluster, without -f, deploy what Runs ask for
///
/// Without -f this is drydock in a cluster (`drydock manifests` installs it there): of several processes the one that has
/// the Lease `drydock` acts on the Stacks and Runs of all namespaces, and says in their status and in Events how it goes.
/// Outside a pod it uses the kubeconfig. At --listen there are `/healthz` and `/readyz` then. The rest is said of -f:
///
/// Takes recovery points, drills, checks and forgets by the Schedule documents of a folder, until SIGTERM or Ctrl-C. What
/// is under way then may end within --grace; what is not is parked, and the next daemon resumes it, as it does with what
/// a crash cut off. A scheduled instant happens once, also with two daemons: the second follows the first.
///
/// A change of the documents, or SIGHUP, reads them again; broken ones are refused, which the log, the page and the
/// metrics say, and the former stay in force.
///
/// At --listen: `/` a status page, `/healthz`, `/readyz`, `/metrics`, and below `/api/v1` `status`, `runs`, `points` and
/// `evidence`, the documents of `-o json`. It is read-only and asks nobody who they are: keep it to this machine, or put a
/// proxy before it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock daemon -f stack.yaml --schedules /etc/drydock/schedules
  drydock daemon -f stack.yaml --listen 127.0.0.1:9700 --grace 5m
  drydock daemon -f stack.yaml --no-listen --log-format json
  curl -s http://127.0.0.1:9632/api/v1/status | jq .findings
  drydock daemon --context staging      in place of the one in the cluster: it needs its rights, and the stores
  systemctl reload drydock      read the documents again (deploy/systemd/drydock.service)")]
pub struct Args {
    /// The folder of the Schedule documents
    #[arg(long, value_name = "DIR", env = "DRYDOCK_SCHEDULES", hide_env_values = true, default_value = "schedules")]
    schedules: PathBuf,
    /// Where it shows itself
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "DRYDOCK_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:9632"
    )]
    listen: SocketAddr,
    /// Show nothing over HTTP
    #[arg(long, conflicts_with = "listen")]
    no_listen: bool,
    /// How long running steps may go on once it is told to leave
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    grace: Duration,
    /// The context of the kubeconfig, without -f; the current one, or the pod's own, without it
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// As the command line prints them.
const FORMS: Forms = Forms { points: points::json, runs: runs::json, evidence: evidence::json };

pub async fn run(args: &Args, session: &Session) -> Done {
    if let Some(limit) = session.timeout() {
        let hint = "leave `--timeout` out: SIGTERM ends a daemon, `--grace` says how long that may take";
        return Err(Failed::usage(format!("a daemon does not end by itself after {}", duration::human(limit)), hint));
    }
    let Some(file) = session.file() else {
        let listen = (!args.no_listen).then_some(args.listen);
        let options = controller::Options { context: args.context.clone(), listen, grace: args.grace };
        controller::run(options, session.cx.clone()).await?;
        return Ok(ExitCode::SUCCESS);
    };
    if args.context.is_some() {
        let hint = "leave one of them out: with -f a daemon serves that stack from where it runs";
        return Err(Failed::usage("`-f` and `--context` do not go together", hint));
    }
    let options = Options {
        sources: Sources { stack: file.to_owned(), schedules: args.schedules.clone() },
        listen: (!args.no_listen).then_some(args.listen),
        grace: args.grace,
    };
    daemon::run(options, FORMS, session.cx.clone()).await?;
    Ok(ExitCode::SUCCESS)
}

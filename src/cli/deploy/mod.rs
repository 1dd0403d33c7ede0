//! `drydock deploy`, and what belongs to it

pub mod diff;
pub mod releases;
mod report;
pub mod rollback;
mod target;

use std::process::ExitCode;
use std::time::Duration;

use super::Done;
use super::lock_wait::LockWait;
use super::session::Session;
use crate::deploy::{Release, Told};
use crate::operation::{self, DeployRequest, Request};
use crate::point::Home;
use crate::stack::duration;

pub use target::{Input, Target};

/// Bring a release into the cluster, phase by phase
///
/// The manifests are those that the phases of the Stack name, seen from the folder of the Stack document or of
/// --release. All of a phase is applied (server-side, as `drydock`), its components' migrations are run, their pods rolled, and
/// all of it waited for until it is really healthy; only then does the next one begin. What left the release is removed at the end, in reverse order; claims and whatever else may
/// hold data stay unless --prune-data is said.
///
/// A first deploy creates and migrates the components' databases. One that changes a component's version meets data that is
/// there: it is refused without --migrate, which first takes a recovery point of the component's data sets. A version older
/// than what the database was migrated to is always refused.
///
/// A deploy that fails stops where it is and says which object, why, and its last events and log lines. Deploy again to go
/// on, or `drydock rollback` to go back. It is a run: killed at any instant, the next one goes on.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock diff   -f stack.yaml                      what would change
  drydock deploy -f stack.yaml
  drydock deploy -f stack.yaml --release out/       the phases' manifests are seen from there
  helm template shop ./chart | drydock deploy -f stack.yaml --release -
  drydock deploy -f stack.yaml --migrate            a new version of an application, on data that is there
  drydock deploy -f stack.yaml --phase gateway      only this phase; prunes nothing, records no release
  drydock rollback -f stack.yaml                    back to the release before

The cluster is that of KUBECONFIG, of ~/.kube/config, or of the pod in which this runs.")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    target: Target,
    /// Say what would change, object by object; change nothing (as `drydock diff`)
    #[arg(long)]
    dry_run: bool,
    /// Only this phase; nothing is pruned, and the stack's release stays what it was
    #[arg(long, value_name = "NAME", conflicts_with = "prune_data")]
    phase: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Options of whatever changes the cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct How {
    /// How long a phase may take to become healthy
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "10m")]
    wait: Duration,
    /// Remove claims and whatever else may hold data, too, where they left the release
    #[arg(long)]
    prune_data: bool,
    /// Take over fields that somebody else manages
    #[arg(long)]
    force_conflicts: bool,
    /// Let components migrate data that is there already; takes a recovery point of it before
    #[arg(long)]
    migrate: bool,
    /// After how long a migration is ended
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "30m")]
    migration_timeout: Duration,
    /// drydock's own image, for the short Jobs that ask databases in the cluster
    #[arg(long, value_name = "IMAGE", env = "DRYDOCK_IMAGE")]
    image: Option<String>,
    #[command(flatten)]
    lock: LockWait,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let stack = session.stack()?;
    if args.dry_run {
        return diff::show(&args.input, &args.target, session, &stack).await;
    }
    let release = args.input.read(&stack)?;
    let home = Home::open(stack).await?;
    lead(&home, release, args.phase.clone(), &args.target, &args.how, session).await
}

async fn lead(
    home: &Home,
    release: Release,
    phase: Option<String>,
    target: &Target,
    how: &How,
    session: &Session,
) -> Done {
    let cluster = target.connect().await?;
    let namespace = target::namespace(&home.stack, &cluster);
    let told = Told {
        digest: release.digest(),
        namespace,
        context: target.context.clone(),
        wait_seconds: how.wait.as_secs(),
        force: how.force_conflicts,
        prune_data: how.prune_data,
        migrate: how.migrate,
        migrate_seconds: how.migration_timeout.as_secs().max(1),
        image: how.image.clone(),
        migrating: Vec::new(),
        held: Vec::new(),
    };
    session.show_progress();
    let request = Request::Deploy(Box::new(DeployRequest { release, told, phase }));
    let mut led = session.lead(home, request, how.lock.lock_wait).await?;
    let report = led.reports.drain(..).find_map(|report| match report {
        operation::Report::Deploy(deployed) => Some(*deployed),
        _ => None,
    });
    if let Some(deployed) = report {
        session.print(&report::Shown(deployed))?;
    }
    led.done()?;
    Ok(ExitCode::SUCCESS)
}

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
use crate::deploy::{DeployError, Release, Told};
use crate::operation::{self, DeployRequest, Request};
use crate::point::Home;
use crate::stack::{Migration, Stack, duration};

pub use target::{Input, Target};

/// Bring a release into the cluster, phase by phase
///
/// The manifests are those that the phases of the Stack name, seen from the folder of the Stack document or of
/// --release. All of a phase is applied (server-side, as `drydock`), then waited for until it is really healthy; only then
/// does the next one begin. What left the release is removed at the end, in reverse order; claims and whatever else may
/// hold data stay unless --prune-data is said.
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
    #[command(flatten)]
    lock: LockWait,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let stack = session.stack()?;
    if args.dry_run {
        return diff::show(&args.input, &args.target, session, &stack).await;
    }
    refuse_migrations(&stack)?;
    let release = args.input.read(&stack)?;
    let home = Home::open(stack).await?;
    lead(&home, release, args.phase.clone(), &args.target, &args.how, session).await
}

/// A migration that is skipped silently would be found out by the application.
fn refuse_migrations(stack: &Stack) -> Result<(), DeployError> {
    let components = stack.spec.phases.iter().flat_map(|phase| &phase.components);
    for component in components {
        if let Some(migration) = component.migration {
            let migration = match migration {
                Migration::Kong => "kong",
                Migration::Chatwoot => "chatwoot",
                Migration::Strapi => "strapi",
                Migration::Job => "job",
            };
            return Err(DeployError::Migration { component: component.name.to_string(), migration });
        }
    }
    Ok(())
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
    target::check(&release, &home.stack, &namespace)?;
    let told = Told {
        digest: release.digest(),
        namespace,
        context: target.context.clone(),
        wait_seconds: how.wait.as_secs(),
        force: how.force_conflicts,
        prune_data: how.prune_data,
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

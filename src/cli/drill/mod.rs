//! `drydock drill`

mod preview;
mod report;

use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::Done;
use super::lock_wait::LockWait;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use crate::drill::{Choice, DrillPlan, Options, Removed, choose, drill, kept, plan, preview as look, remove};
use crate::point::{Home, PointId, Points, load};
use crate::repository::{Lock, LockKind};
use crate::stack::{Name, Stack};

/// Restore a recovery point into a throw-away sandbox, verify and measure it, throw it away
///
/// Nothing live is touched. The sandbox is a scratch PostgreSQL and Redis server of drydock's own, each on a unix socket
/// that nobody else can reach, and a folder; they run at low priority and are gone afterwards, also after Ctrl-C. What a
/// crash leaves the next drill removes.
///
/// A drill proves: that everything restores and is as it was recorded (rows, sequences, large objects, indexes, keys,
/// files); that the restored rows lead to the restored files; that `spec.drill.assertions` hold. It measures how long
/// that took (achieved RTO) and how much a disaster now would lose (achieved RPO). A point of which all was verified is
/// marked as proven: `forget` never drops the newest of these.
///
/// Exit code 21: not verified. 22: verified, but later than `spec.objectives` allow.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock drill -f stack.yaml
  drydock drill -f stack.yaml --point random:30d       an old one for once
  drydock drill -f stack.yaml --data chatwoot-db       one data set; proves no point
  drydock drill -f stack.yaml --dry-run                is there room, and are the programs there?
  drydock drill -f stack.yaml --keep                   look at what was restored
  drydock drill -f stack.yaml --remove RUN             and remove it")]
pub struct Args {
    /// The beginning of a point's id, `latest`, `latest-proven`, or `random:30d`: one of the last 30 days, first of all
    /// one that no drill has restored
    #[arg(long, value_name = "POINT", default_value = "latest")]
    point: String,
    /// Only these data sets; such a drill proves no point
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    data: Vec<Name>,
    /// Leave the sandbox, its servers running, and say how to reach it
    #[arg(long)]
    keep: bool,
    /// Say what would be restored and whether there is room; make nothing
    #[arg(long, conflicts_with = "keep")]
    dry_run: bool,
    /// Remove what a drill with --keep has left
    #[arg(long, value_name = "RUN", conflicts_with_all = ["point", "data", "keep", "dry_run"])]
    remove: Option<String>,
    #[command(flatten)]
    lock: LockWait,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    if let Some(run) = &args.remove {
        let stack = session.stack()?;
        return session.print(&Gone(remove(&root(&stack), run).await?));
    }
    let choice: Choice = args.point.parse()?;
    let home = session.home().await?;
    let (chosen, _) = planned(args, &choice, &home, session).await?;
    if args.dry_run {
        return session.print(&look(&home, &chosen, &session.cx).await?);
    }
    session.show_progress();
    let work = async |_: &Lock| -> Result<_, Failed> {
        // Looked at again: meanwhile somebody may have pruned. The point is the one that was drawn.
        let drawn = Choice::Named(chosen.point.to_string());
        let (plan, points) = planned(args, &drawn, &home, session).await?;
        Ok(drill(&home, &plan, &points, &session.cx).await?)
    };
    let report = home.locked(LockKind::Shared, args.lock.lock_wait, &session.cx, work).await?;
    let others = kept(&root(&home.stack)).await?.into_iter().map(|(_, owner)| owner.run);
    let kept = others.filter(|run| *run != report.run).collect();
    session.print(&report::Shown { report: &report, kept })?;
    match report.category() {
        None => Ok(ExitCode::SUCCESS),
        Some(category) => Err(report::failed(&report, category)),
    }
}

async fn planned(args: &Args, choice: &Choice, home: &Home, session: &Session) -> Result<(DrillPlan, Points), Failed> {
    let points = load(&home.repository, &home.stack.name).await?;
    let now = session.cx.clock.now();
    let point = choose(&points, choice, now, |n| rand::random_range(0..n))?;
    let options = Options { data: args.data.clone(), keep: args.keep };
    let plan = plan(&home.stack, point, options, run_name(&home.stack.name, now), std::env::temp_dir())?;
    Ok((plan, points))
}

fn root(stack: &Stack) -> std::path::PathBuf {
    stack.spec.drill.folder.clone().unwrap_or_else(std::env::temp_dir)
}

/// As of a restore: kind, stack, UTC, random.
fn run_name(stack: &Name, now: Timestamp) -> String {
    format!("drill-{stack}-{}-{}", now.strftime("%Y%m%dt%H%M%Sz"), PointId::random().short())
}

/// What `--remove` prints.
#[derive(Serialize)]
struct Gone(Removed);

impl Shown for Gone {
    fn text(&self) -> String {
        format!("removed {}\n", self.0.folder.display())
    }
}

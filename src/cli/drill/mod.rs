//! `drydock drill`

mod preview;
mod report;

use std::process::ExitCode;

use serde::Serialize;

use super::Done;
use super::lock_wait::LockWait;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use crate::drill::{Choice, DrillPlan, Options, Removed, choose, kept, plan, preview as look, remove};
use crate::operation::{self, DrillRequest, Request};
use crate::point::{Home, load};
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
    if args.dry_run {
        let plan = planned(args, &choice, &home, session).await?;
        return session.print(&look(&home, &plan, &session.cx).await?);
    }
    session.show_progress();
    let asked = DrillRequest { choice, data: args.data.clone(), keep: args.keep };
    let mut led = session.lead(&home, Request::Drill(asked), args.lock.lock_wait).await?;
    let report = led.reports.drain(..).find_map(|report| match report {
        operation::Report::Drill(report) => Some(*report),
        _ => None,
    });
    // What the drill found is told in full; what kept it from finding out is a failure like any other.
    let Some(report) = report else {
        led.done()?;
        unreachable!("a drill that succeeded here has a report")
    };
    let others = kept(&root(&home.stack)).await?.into_iter().map(|(_, owner)| owner.run);
    let kept = others.filter(|run| *run != report.run).collect();
    session.print(&report::Shown { report: &report, kept })?;
    match report.category() {
        None => Ok(ExitCode::SUCCESS),
        Some(category) => Err(report::failed(&report, category)),
    }
}

async fn planned(args: &Args, choice: &Choice, home: &Home, session: &Session) -> Result<DrillPlan, Failed> {
    let points = load(&home.repository, &home.stack.name).await?;
    let now = session.cx.clock.now();
    let point = choose(&points, choice, now, |n| rand::random_range(0..n))?;
    let options = Options { data: args.data.clone(), keep: args.keep };
    let run = operation::run_id("drill", &home.stack.name, now).to_string();
    Ok(plan(&home.stack, point, options, run, std::env::temp_dir())?)
}

fn root(stack: &Stack) -> std::path::PathBuf {
    stack.spec.drill.folder.clone().unwrap_or_else(std::env::temp_dir)
}

/// What `--remove` prints.
#[derive(Serialize)]
struct Gone(Removed);

impl Shown for Gone {
    fn text(&self) -> String {
        format!("removed {}\n", self.0.folder.display())
    }
}

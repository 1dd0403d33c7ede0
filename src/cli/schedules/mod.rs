//! `drydock schedules`

mod earlier;
mod list;
mod next;

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;

use super::Done;
use super::session::Session;
use crate::schedule::{self, Due, Past, Schedule, Wait, Why};
use crate::stack::{Name, Stack};

use earlier::Earlier;

/// Show what runs when, in which zone, and why not now
///
/// Reads the Schedule documents of a folder: every `*.yaml` and `*.yml` in it. All that is wrong in any of them is said
/// at once. With -f the start on that stack is exact, jitter included, and what the stack lacks for it is said; so is how
/// the last run went, where the stack's store can be asked.
///
/// Exit code 3: a schedule can never run on the stack, because the stack lacks what it needs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock schedules -f stack.yaml
  drydock schedules --schedules /etc/drydock/schedules -o json
  drydock schedules next --count 10
  drydock schedules next nightly-snapshot -f stack.yaml")]
pub struct Args {
    /// The folder of the Schedule documents
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "DRYDOCK_SCHEDULES",
        hide_env_values = true,
        default_value = "schedules"
    )]
    schedules: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The next instants of each schedule, in its zone and in UTC
    Next(next::Args),
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let schedules = schedule::load(&args.schedules)?;
    let stack = session.stack_if_given()?;
    match &args.command {
        None => {
            let earlier = Earlier::of(stack.as_ref(), &schedules, session).await;
            list::run(&args.schedules, &schedules, stack.as_ref(), &earlier, session)
        }
        Some(Command::Next(next)) => next::run(next, &schedules, stack.as_ref(), session),
    }
}

/// What `schedule` does on `name` now; `stack` is the one that is known, if any.
fn due(schedule: &Schedule, name: &Name, stack: Option<&Stack>, past: &Past, now: Timestamp) -> Due {
    let wait = |why| Due::Wait(Wait { why, next: None });
    match stack {
        Some(stack) if stack.name != *name => wait(Why::NoStack { stack: name.clone() }),
        Some(stack) if !schedule.spec.operation.misfits(stack).is_empty() => {
            wait(Why::Misfit { problems: schedule.spec.operation.misfits(stack) })
        }
        _ => schedule::due(schedule, name, past, now),
    }
}

/// The stacks to show `schedule` for: those it names, or the known one; none where that says nothing.
fn stacks(schedule: &Schedule, stack: Option<&Stack>) -> Vec<Option<Name>> {
    match (&schedule.spec.stacks, stack) {
        (Some(names), _) => names.iter().cloned().map(Some).collect(),
        (None, Some(stack)) => vec![Some(stack.name.clone())],
        (None, None) => vec![None],
    }
}

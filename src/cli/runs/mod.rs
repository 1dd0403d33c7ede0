//! `drydock runs`

mod act;
mod find;
mod list;
mod logs;
mod place;
mod show;

use clap::Subcommand;

use super::Done;
use super::report::Failed;
use super::session::Session;

pub use list::json;

/// List, show, resume, undo and cancel runs: what was done, by whom, how far it is, and what a person has to type
///
/// Every operation leaves a run: a plan that is fixed before it begins, and a journal of what happened. Without a
/// subcommand the runs are listed. A run is named by its id, by the beginning or the end of it, or by `latest`. Reading
/// runs needs the store, not the repository's password; deciding what becomes of one needs both.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock runs -f stack.yaml
  drydock runs -f stack.yaml --open                        those that are not over
  drydock runs -f stack.yaml --kind drill --limit 5
  drydock runs show -f stack.yaml latest
  drydock runs logs -f stack.yaml latest --follow
  drydock runs cancel -f stack.yaml latest")]
pub struct Args {
    #[command(flatten)]
    list: list::Filter,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs, newest first
    List(list::Filter),
    /// One run: its plan as phases and steps, each with its state and time
    Show(show::Args),
    /// The entries of a run's journal, with --follow until it is over
    Logs(logs::Args),
    /// Go on with a run that was cut off, left, or waits for a person whose work is done
    #[command(after_long_help = "\
Examples:
  drydock runs resume -f stack.yaml latest
  drydock runs resume -f stack.yaml restore-papg-20261124t021500z-1a2b3c4d")]
    Resume(act::Args),
    /// Take back what a run did that is not over
    #[command(after_long_help = "\
Examples:
  drydock runs undo -f stack.yaml latest")]
    Undo(act::Args),
    /// Ask the process that is at a run to end it and take back what it did; wait until it has
    #[command(after_long_help = "\
Examples:
  drydock runs cancel -f stack.yaml drill-papg-20261122t043000z-weekly-drill")]
    Cancel(act::Args),
}

pub async fn run(args: &Args, session: &Session) -> Done {
    match &args.command {
        None => list::run(&args.list, session).await,
        Some(Command::List(filter)) if args.list.is_empty() => list::run(filter, session).await,
        Some(_) if !args.list.is_empty() => {
            let hint = "write them after `list`: `drydock runs list --open -f FILE`";
            Err(Failed::usage("`--open`, `--kind` and `--limit` choose among the runs that are listed", hint))
        }
        Some(Command::List(filter)) => list::run(filter, session).await,
        Some(Command::Show(args)) => show::run(args, session).await,
        Some(Command::Logs(args)) => logs::run(args, session).await,
        Some(Command::Resume(args)) => act::resume(args, session).await,
        Some(Command::Undo(args)) => act::undo(args, session).await,
        Some(Command::Cancel(args)) => act::cancel_run(args, session).await,
    }
}

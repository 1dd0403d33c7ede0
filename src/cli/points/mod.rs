//! `drydock points`

mod diff;
mod keep;
mod list;
mod show;

use clap::Subcommand;

use super::Done;
use super::report::Failed;
use super::session::Session;

pub use list::json;
pub use show::Details;

/// List, show, compare and keep recovery points
///
/// Without a subcommand the points are listed. A point is named by the beginning of its id, `latest`: the newest
/// that is complete, without the safety points that restores take and without any that is dated in the future, or
/// `latest-proven`: the newest of these that a drill has restored.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock points -f stack.yaml
  drydock points -f stack.yaml --tag before-upgrade
  drydock points show -f stack.yaml latest
  drydock points diff -f stack.yaml 3f9a latest
  drydock points keep -f stack.yaml 3f9a --reason 'before the audit' --until 2027-06-30
  drydock points unkeep -f stack.yaml 3f9a")]
pub struct Args {
    #[command(flatten)]
    list: list::Filter,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every recovery point, newest first
    List(list::Filter),
    /// One recovery point with its data sets, warnings and gaps
    Show(show::Args),
    /// What changed from one recovery point to another: tables, keys, files
    Diff(diff::Args),
    /// Keep a recovery point whatever the retention rules say
    Keep(keep::KeepArgs),
    /// Let the retention rules count again
    Unkeep(keep::UnkeepArgs),
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let tags = &args.list.tag;
    match &args.command {
        None => list::run(&tags.iter().collect::<Vec<_>>(), session).await,
        Some(Command::List(own)) => list::run(&tags.iter().chain(&own.tag).collect::<Vec<_>>(), session).await,
        Some(_) if !tags.is_empty() => {
            let hint = "leave it out; a point is named by the beginning of its id, or `latest`";
            Err(Failed::usage("`--tag` chooses among the points that are listed", hint))
        }
        Some(Command::Show(args)) => show::run(args, session).await,
        Some(Command::Diff(args)) => diff::run(args, session).await,
        Some(Command::Keep(args)) => keep::keep_point(args, session).await,
        Some(Command::Unkeep(args)) => keep::unkeep(args, session).await,
    }
}

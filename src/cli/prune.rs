//! `drydock prune`

use serde::Serialize;

use super::lock_wait::LockWait;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use super::{Done, human};
use crate::operation::{Pruned, Report, Request};
use crate::repository::prune::{MaxUnused, PruneSummary};
use crate::repository::{Lock, LockKind};
use crate::stack::ByteSize;

/// Give back the space of what no recovery point needs
///
/// Locks the repository exclusively: no snapshot can be taken meanwhile. Interrupted at any instant it leaves every
/// recovery point whole, and the next run finishes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock prune -f stack.yaml --dry-run
  drydock prune -f stack.yaml
  drydock prune -f stack.yaml --max-unused 0    the smallest repository, the most work")]
pub struct Args {
    /// Show what would be removed and repacked
    #[arg(long)]
    dry_run: bool,
    /// How much of what is kept may stay unused: `5%`, `500M`, `0`, or `unlimited` for no repacking
    #[arg(long, value_name = "LIMIT", default_value = "5%")]
    max_unused: MaxUnused,
    #[command(flatten)]
    lock: LockWait,
}

/// What `prune` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shows {
    dry_run: bool,
    #[serde(flatten)]
    pruned: Pruned,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    session.show_progress();
    let pruned = if args.dry_run {
        let work = async |lock: &Lock| -> Result<PruneSummary, Failed> {
            Ok(home.repository.plan_prune(lock, args.max_unused, &session.cx).await?.summary)
        };
        let summary = home.locked(LockKind::Shared, args.lock.lock_wait, &session.cx, work).await?;
        Pruned { summary, ..Pruned::default() }
    } else {
        let led = session.lead(&home, Request::Prune(args.max_unused), args.lock.lock_wait).await?;
        let pruned = led.done()?.into_iter().find_map(|report| match report {
            Report::Prune(pruned) => Some(pruned),
            _ => None,
        });
        pruned.expect("a prune that succeeded here knows what it gave back")
    };
    session.print(&Shows { dry_run: args.dry_run, pruned })
}

impl Shown for Shows {
    fn text(&self) -> String {
        let Pruned { summary, swept_objects, swept_bytes } = &self.pruned;
        let (would, verb) = if self.dry_run { ("would be ", "would free") } else { ("", "freed") };
        let mut text = format!(
            "{} are used, {} are not\n",
            ByteSize(summary.used_bytes),
            ByteSize(summary.unused_bytes + summary.unindexed_bytes)
        );
        let removed = summary.removed_packs + summary.unindexed_packs;
        if removed > 0 {
            let bytes = ByteSize(summary.removed_bytes + summary.unindexed_bytes);
            text += &format!("{} of {bytes} {would}removed\n", human::count(removed, "pack"));
        }
        if summary.repacked_packs > 0 {
            let packs = human::count(summary.repacked_packs, "pack");
            let (from, to) = (ByteSize(summary.repacked_bytes), ByteSize(summary.repacked_to_bytes));
            text += &format!("{packs} {would}repacked, {from} to {to}\n");
        }
        if *swept_objects > 0 {
            let (left, bytes) = (human::count(*swept_objects, "leftover"), ByteSize(*swept_bytes));
            text += &format!("{left} of interrupted writes, {bytes}, removed\n");
        }
        text + &format!(
            "{verb} {}; {} stay unused\n",
            ByteSize(summary.freed_bytes),
            ByteSize(summary.unused_after_bytes)
        )
    }
}

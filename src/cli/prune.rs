//! `drydock prune`

use std::time::Duration;

use serde::Serialize;

use super::lock_wait::LockWait;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use super::{Done, human};
use crate::failure::Failure;
use crate::point::Home;
use crate::repository::prune::{MaxUnused, PruneSummary};
use crate::repository::{Lock, LockKind};
use crate::stack::ByteSize;
use crate::storage::Swept;

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pruned {
    dry_run: bool,
    #[serde(flatten)]
    summary: PruneSummary,
    /// What interrupted writes had left behind in the store.
    swept_objects: u64,
    swept_bytes: u64,
}

/// What is younger may be what somebody is just writing: no single object takes a day.
const LEFTOVER_AGE: Duration = Duration::from_hours(24);

pub async fn run(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    session.show_progress();
    let kind = if args.dry_run { LockKind::Shared } else { LockKind::Exclusive };
    let work = async |lock: &Lock| -> Result<(PruneSummary, Swept), Failed> {
        let plan = home.repository.plan_prune(lock, args.max_unused, &session.cx).await?;
        if args.dry_run {
            return Ok((plan.summary, Swept::default()));
        }
        let summary = home.repository.prune(plan, lock, &session.cx).await?;
        Ok((summary, sweep(&home).await))
    };
    let (summary, swept) = home.locked(kind, args.lock.lock_wait, &session.cx, work).await?;
    let Swept { objects: swept_objects, bytes: swept_bytes } = swept;
    session.print(&Pruned { dry_run: args.dry_run, summary, swept_objects, swept_bytes })
}

/// The repository is pruned already; leftovers that stay cost space and nothing else.
async fn sweep(home: &Home) -> Swept {
    match home.store.sweep(LEFTOVER_AGE).await {
        Ok(swept) => swept,
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            tracing::warn!(%error, hint, "what interrupted writes have left could not be removed");
            Swept::default()
        }
    }
}

impl Shown for Pruned {
    fn text(&self) -> String {
        let summary = &self.summary;
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
        if self.swept_objects > 0 {
            let (left, bytes) = (human::count(self.swept_objects, "leftover"), ByteSize(self.swept_bytes));
            text += &format!("{left} of interrupted writes, {bytes}, removed\n");
        }
        text + &format!(
            "{verb} {}; {} stay unused\n",
            ByteSize(summary.freed_bytes),
            ByteSize(summary.unused_after_bytes)
        )
    }
}

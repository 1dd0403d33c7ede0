//! `drydock repair`

use clap::Subcommand;

use super::lock_wait::LockWait;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use super::{Done, human};
use crate::repository::repair::{Believe, RepairReport};
use crate::repository::{Lock, LockKind};

/// Make a lost or damaged part of the repository again from what is there
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock repair index -f stack.yaml")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the index again from the packs' own headers; no pack is touched
    Index(Index),
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock repair index -f stack.yaml                     what can be read of the index and fits the packs stays
  drydock repair index -f stack.yaml --read-all-packs    as if there had never been an index")]
struct Index {
    /// Believe no index file: read every pack's header
    #[arg(long)]
    read_all_packs: bool,
    #[command(flatten)]
    lock: LockWait,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let Command::Index(args) = &args.command;
    let believe = if args.read_all_packs { Believe::Nothing } else { Believe::Sound };
    let home = session.home().await?;
    session.show_progress();
    let work = async |lock: &Lock| -> Result<RepairReport, Failed> {
        Ok(home.repository.repair_index(believe, lock, &session.cx).await?)
    };
    let report = home.locked(LockKind::Exclusive, args.lock.lock_wait, &session.cx, work).await?;
    session.print_with(&report, report.category())
}

impl Shown for RepairReport {
    fn text(&self) -> String {
        let mut text = String::new();
        for bad in &self.replaced_index_files {
            text += &format!("replaced: {}: {}\n", bad.what, bad.why);
        }
        for pack in &self.missing_packs {
            text += &format!("missing: pack {pack}\n");
        }
        for bad in &self.damaged_packs {
            text += &format!("damaged: {}: {}\n", bad.what, bad.why);
        }
        for bad in &self.unread_packs {
            text += &format!("not read: {}: {}\n", bad.what, bad.why);
        }
        let (packs, read) = (human::count(self.packs, "pack"), human::number(self.read_packs));
        let replaced = human::count(self.replaced_index_files.len() as u64, "index file");
        text + &format!(
            "{packs}, of which {read} were indexed anew; {replaced} replaced, {} kept\n",
            self.kept_index_files
        )
    }
}

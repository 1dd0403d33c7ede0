//! `drydock repair`

use clap::Subcommand;

use super::lock_wait::LockWait;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use super::{Done, human};
use crate::repository::repair::{Believe, PackRepair, RepairReport, Salvaged};
use crate::repository::{Lock, LockKind, PackId};

/// Make a lost or damaged part of the repository again from what is there
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock repair index -f stack.yaml
  drydock repair packs -f stack.yaml 3f9a1c2e")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the index again from the packs' own headers; no pack is touched
    Index(Index),
    /// Take what can be read out of damaged packs, and the rest out of the index
    ///
    /// What the index no longer lists is stored again by the next snapshot, if it is still there to be read, and earlier
    /// recovery points that need the same have it back. The damaged packs go with `prune`. Exit code 20 when something
    /// is lost.
    Packs(Packs),
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock repair packs -f stack.yaml 3f9a1c2e 77aa0b1d    those that `check` has named
  drydock repair packs -f stack.yaml                      reads all packs to find the damaged ones")]
struct Packs {
    /// The beginnings of packs' ids; without any, all packs are read
    packs: Vec<String>,
    #[command(flatten)]
    lock: LockWait,
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
    match &args.command {
        Command::Index(args) => index(args, session).await,
        Command::Packs(args) => packs(args, session).await,
    }
}

async fn packs(args: &Packs, session: &Session) -> Done {
    let home = session.home().await?;
    session.show_progress();
    let work = async |lock: &Lock| -> Result<PackRepair, Failed> {
        let chosen = match args.packs.as_slice() {
            [] => Vec::new(),
            some => find(&home.repository.indexed_packs().await?, some)?,
        };
        Ok(home.repository.repair_packs(&chosen, lock, &session.cx).await?)
    };
    let report = home.locked(LockKind::Exclusive, args.lock.lock_wait, &session.cx, work).await?;
    session.print_with(&report, report.category())
}

fn find(known: &[PackId], wanted: &[String]) -> Result<Vec<PackId>, Failed> {
    let one = |wanted: &String| {
        let found: Vec<&PackId> = known.iter().filter(|pack| pack.to_string().starts_with(wanted)).collect();
        match found.as_slice() {
            [pack] if !wanted.is_empty() => Ok(**pack),
            [] => Err(Failed::usage(format!("no index names a pack `{wanted}`"), "see `drydock check -f FILE`")),
            _ => {
                Err(Failed::usage(format!("`{wanted}` is the beginning of several packs' ids"), "write more of the id"))
            }
        }
    };
    wanted.iter().map(one).collect()
}

impl Shown for PackRepair {
    fn text(&self) -> String {
        let mut text = String::new();
        for Salvaged { pack, why, saved_blobs, lost_blobs } in &self.damaged {
            let (saved, lost) = (human::number(*saved_blobs), human::number(*lost_blobs));
            text += &format!("damaged: pack {pack}: {why}; blobs saved: {saved}, lost: {lost}\n");
        }
        for bad in &self.unread_packs {
            text += &format!("not read: {}: {}\n", bad.what, bad.why);
        }
        text += &format!("{} read, {} damaged\n", human::count(self.packs_read, "pack"), self.damaged.len());
        if self.lost_blobs > 0 {
            text += "what is lost is stored again by `drydock snapshot -f FILE` where it is still there to be read; \
                     `drydock check -f FILE` names the recovery points that stay damaged\n";
        }
        text
    }
}

async fn index(args: &Index, session: &Session) -> Done {
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

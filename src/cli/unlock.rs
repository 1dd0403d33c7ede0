//! `drydock unlock`

use serde::Serialize;

use super::Done;
use super::output::Shown;
use super::session::Session;
use super::table::Table;
use crate::repository::{LockInfo, LockState};
use crate::stack::duration;

/// Remove locks of processes that are gone
///
/// Drydock removes its own dead locks by itself; this is for what another machine or restic has left.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock unlock -f stack.yaml          remove what is stale or provably dead
  drydock unlock -f stack.yaml --all    remove every lock: only when nobody else works on the repository")]
pub struct Args {
    /// Remove living locks too; whoever holds one is no longer protected
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<LockInfo>,
    left: Vec<LockInfo>,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    let removed = home.repository.unlock(args.all, &session.cx).await?;
    let left = home.repository.locks(&session.cx).await?;
    session.print(&Removed { removed, left })
}

impl Shown for Removed {
    fn text(&self) -> String {
        if self.removed.is_empty() && self.left.is_empty() {
            return "there are no locks\n".into();
        }
        let mut table = Table::new(&["LOCK", "STATE", ">AGE", "HOLDER", "REMOVED"]);
        let locks = self.removed.iter().map(|lock| (lock, "yes")).chain(self.left.iter().map(|lock| (lock, "no")));
        for (lock, removed) in locks {
            let state = match lock.state {
                LockState::Live => "live",
                LockState::Ahead => "dated in the future",
                LockState::Stale => "stale",
                LockState::Dead => "dead",
            };
            let age = duration::human(std::time::Duration::from_secs(lock.age_seconds));
            table.row([lock.id.short(), state.into(), age, lock.holder.clone(), removed.into()]);
        }
        let mut text = table.text();
        if self.left.iter().any(|lock| lock.state == LockState::Ahead) {
            text += "a lock that is dated in the future does not grow old: when nobody holds it, `drydock unlock -f FILE --all`\n";
        }
        text
    }
}

//! `drydock status`

mod text;

use std::path::PathBuf;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::Done;
use super::output::Shown;
use super::session::Session;
use super::since::since;
use crate::schedule;
use crate::status::{self, KnownSchedule, Status, worst};

/// Show on one screen how the stack stands, what runs next, what is wrong, and what to type
///
/// The newest complete and the newest proven recovery point, the achieved RPO and RTO against the objectives, runs that are
/// under way, how each kind of run went last, what runs next and why not now. Takes no lock, changes nothing.
///
/// With --fail the exit code is that of the worst finding: 30 a run waits for a person, 20 something is damaged, 21 the
/// newest drill failed, 22 an objective is missed, 3 there is something to know, 0 all is well.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock status -f stack.yaml
  drydock status -f stack.yaml --schedules /etc/drydock/schedules
  drydock status -f stack.yaml --fail || echo 'look at it'
  drydock status -f stack.yaml -o json | jq '.findings[] | .detail, .fix'")]
pub struct Args {
    /// The folder of the Schedule documents, to show what runs next
    #[arg(long, value_name = "DIR", env = "DRYDOCK_SCHEDULES", hide_env_values = true)]
    schedules: Option<PathBuf>,
    /// End with the worst finding's exit code
    #[arg(long)]
    fail: bool,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let schedules = args.schedules.as_deref().map(schedule::load).transpose()?;
    let home = session.home().await?;
    let schedules = match schedules {
        Some(schedules) => {
            let since = since(&home.store, &schedules).await?;
            Some(KnownSchedule::all(schedules, &since))
        }
        None => None,
    };
    let now = session.cx.clock.now();
    let known = status::load(&home, schedules, now).await?;
    let screen = Screen { status: status::status(&known, now) };
    let category = worst(&screen.status.findings).filter(|_| args.fail);
    session.print_with(&screen, category)
}

/// What `status -o json` prints.
#[derive(Serialize)]
#[serde(transparent)]
struct Screen {
    status: Status,
}

impl Shown for Screen {
    fn text(&self) -> String {
        text::screen(&self.status, &TimeZone::system())
    }
}

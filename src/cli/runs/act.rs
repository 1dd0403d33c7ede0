//! `drydock runs resume`, `undo` and `cancel`: a person decides what becomes of a run.

use std::time::Duration;

use super::find::{Which, find};
use super::place::Place;
use super::show;
use crate::cli::Done;
use crate::cli::lock_wait::LockWait;
use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::failure::Category;
use crate::operation::{self, Found, OperationError, cancel, take_up};
use crate::point::Home;
use crate::run::{Left, Outcome, RunId, State, Stop, leaders};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    lock: LockWait,
}

/// How often it is looked whether a run that was asked to end has ended.
const PAUSE: Duration = Duration::from_millis(500);

pub async fn resume(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    let run = find(&Place::of(&home), &args.which.run).await?;
    lead(&home, &run, &Stop::of(&session.cx.cancel), args.lock.lock_wait, session, Outcome::Succeeded).await
}

pub async fn undo(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    let run = find(&Place::of(&home), &args.which.run).await?;
    take_back(&home, &run, args.lock.lock_wait, session).await
}

pub async fn cancel_run(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    let place = Place::of(&home);
    let run = find(&place, &args.which.run).await?;
    let state = read(&place, &run).await?;
    let now = session.cx.clock.now();
    if !leaders(&place.store, now).await?.iter().any(|leader| leader.leads(&run)) {
        return take_back(&home, &run, args.lock.lock_wait, session).await; // nobody is there to hear of it
    }
    can_be_undone(&run, &state)?;
    cancel(&place.store, &run, &operation::asker()).await?;
    session.screen.line("its process is asked to end it; what it did is taken back");
    loop {
        let state = read(&place, &run).await?;
        if state.outcome.is_some() {
            return show::print(&place, &run, session).await;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = session.cx.cancel.cancelled() => {
                return Err(Failed::new(Category::Interrupted, format!("the run {run} is asked to end, and has not yet"), None));
            }
        }
    }
}

async fn take_back(home: &Home, run: &RunId, wait: Duration, session: &Session) -> Done {
    can_be_undone(run, &read(&Place::of(home), run).await?)?;
    let stop = Stop::of(&session.cx.cancel);
    stop.abandon(operation::asker());
    lead(home, run, &stop, wait, session, Outcome::Abandoned).await
}

fn can_be_undone(run: &RunId, state: &State) -> Result<(), Failed> {
    if state.outcome.is_none() && state.is_past_return() {
        let hint = Some(format!("`drydock runs resume -f FILE {run}` brings it to its end"));
        return Err(Failed::new(Category::Usage, format!("the run {run} is past its point of no return"), hint));
    }
    Ok(())
}

async fn read(place: &Place, run: &RunId) -> Result<State, Failed> {
    let none = || OperationError::NoRun { run: run.to_string() };
    let entries = place.journals.read(run).await?.ok_or_else(none)?;
    let damaged = |reason| crate::run::RunError::Damaged { run: run.to_string(), reason };
    Ok(State::of(&entries).map_err(damaged)?)
}

/// Leads the run as far as it goes and shows it; fails when it did not end as was wanted.
async fn lead(home: &Home, run: &RunId, stop: &Stop, wait: Duration, session: &Session, wanted: Outcome) -> Done {
    session.show_progress();
    let led = take_up(home, run, Found::Resume, wait, stop, &session.cx, &session.says()).await?;
    let is_as_wanted = matches!(&led.left, Left::Over { outcome, .. } if *outcome == wanted);
    let shown = show::print(&Place::of(home), run, session).await?;
    if !is_as_wanted {
        led.done()?;
    }
    Ok(shown)
}

//! `drydock runs logs`

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::find::{Which, find};
use super::place;
use crate::cli::output::Format;
use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::cli::{Done, human};
use crate::failure::Category;
use crate::run::{Entry, Event, Failed as StepFailed, Outcome, RunId};
use crate::stack::Location;

/// The entries of a run's journal, with --follow until it is over
///
/// With -o json each entry is one line, as it is stored.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Go on until the run is over, also when another process is at it (-f is the document)
    #[arg(short = 'F', long)]
    follow: bool,
}

/// How often a folder is looked at again.
const PAUSE: Duration = Duration::from_millis(300);
/// How often a bucket is: each look is a listing.
const PAUSE_BUCKET: Duration = Duration::from_secs(2);

pub async fn run(args: &Args, session: &Session) -> Done {
    let place = place::open(session).await?;
    let run = find(&place, &args.which.run).await?;
    let pause = match place.stack.spec.repository.location {
        Location::Folder(_) => PAUSE,
        Location::S3 { .. } => PAUSE_BUCKET,
    };
    let mut told = 0;
    loop {
        let entries = place.journals.read(&run).await?;
        let Some(entries) = entries else { return Err(gone(&run)) };
        for entry in entries.iter().skip(told) {
            if !print(entry, session.format)? {
                return Ok(ExitCode::SUCCESS); // the reader went away
            }
        }
        told = entries.len();
        let is_over = entries.iter().any(|entry| matches!(entry.event, Event::Finished { .. }));
        if is_over || !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = session.cx.cancel.cancelled() => return Ok(ExitCode::from(Category::Interrupted.exit_code())),
        }
    }
}

fn gone(run: &RunId) -> Failed {
    Failed::new(Category::Usage, format!("the run {run} is not there any more"), None)
}

/// False when nobody reads any more.
fn print(entry: &Entry, format: Format) -> Result<bool, Failed> {
    let line = match format {
        Format::Text => line(entry),
        Format::Json => serde_json::to_string(entry).expect("an entry has only names, texts and numbers"),
    };
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(Failed::new(Category::Unavailable, format!("cannot write to standard output: {error}"), None))
        }
    }
}

fn line(entry: &Entry) -> String {
    format!("{}  {}", human::instant(entry.time), told(&entry.event))
}

/// One entry as a sentence.
fn told(event: &Event) -> String {
    let why = |failure: &StepFailed| {
        let hint = failure.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!("{}{hint}", failure.message.replace('\n', "; "))
    };
    match event {
        Event::Accepted { plan, by, tool, .. } => {
            let steps = human::count(plan.steps().count() as u64, "step");
            format!("accepted: {} of {}, {steps}, for {by} by {tool}", plan.operation, plan.stack)
        }
        Event::Adopted { holder, token, tool } => format!("adopted by {holder} with token {token} ({tool})"),
        Event::Intended { step, attempt: 1 } => format!("{step}: begins"),
        Event::Intended { step, attempt } => format!("{step}: begins, attempt {attempt}"),
        Event::Applied { step, .. } => format!("{step}: happened"),
        Event::Verified { step } => format!("{step}: done, and looked at"),
        Event::Failed { step, failure } => format!("{step}: FAILED: {}", why(failure)),
        Event::Abandoned { by } => format!("abandoned by {by}: what was done is taken back"),
        Event::UndoIntended { step } => format!("{step}: is being undone"),
        Event::Undone { step } => format!("{step}: undone"),
        Event::UndoFailed { step, failure } => format!("{step}: COULD NOT BE UNDONE: {}", why(failure)),
        Event::Finished { outcome } => match outcome {
            Outcome::Succeeded => "over: succeeded".to_owned(),
            Outcome::Failed => "over: failed, and what was done is undone".to_owned(),
            Outcome::Abandoned => "over: abandoned, and what was done is undone".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_entry_reads_as_a_sentence() {
        let journal = include_str!("../../../tests/fixtures/formats/run-journal-2.jsonl");
        let told: Vec<String> =
            journal.lines().map(|line| told(&serde_json::from_str::<Entry>(line).unwrap().event)).collect();
        assert_eq!(
            told,
            [
                "accepted: snapshot of shop, 1 step, for root@papg-0 by drydock 0.1.0",
                "adopted by PID 7 on papg-0 with token 3 (drydock 0.1.0)",
                "take: begins",
                "take: happened",
                "take: done, and looked at",
                "over: succeeded",
            ]
        );
    }
}

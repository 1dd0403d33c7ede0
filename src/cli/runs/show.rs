//! `drydock runs show`

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::find::{Which, find};
use super::place::{self, Place};
use crate::cli::output::Shown;
use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::cli::{Done, human};
use crate::failure::Category;
use crate::run::{self, Failed as StepFailed, RunId, Stage, State, StepKind};
use crate::status::{RunView, Standing, StepView};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let place = place::open(session).await?;
    let run = find(&place, &args.which.run).await?;
    print(&place, &run, session).await
}

/// Shows one run as it stands now.
pub async fn print(place: &Place, run: &RunId, session: &Session) -> Done {
    let now = session.cx.clock.now();
    let entries = place.journals.read(run).await?;
    let entries =
        entries.ok_or_else(|| Failed::new(Category::Usage, format!("the run {run} is not there any more"), None))?;
    let state = State::of(&entries).map_err(|reason| run::RunError::Damaged { run: run.to_string(), reason })?;
    let leaders = run::leaders(&place.store, now).await?;
    let ends = run::cancel::asked(&place.store).await?;
    session.print(&Details { view: RunView::of(run, &state, &leaders, now).with_end_asked_by(ends.get(run)) })
}

/// What `runs show -o json` prints.
#[derive(Serialize)]
#[serde(transparent)]
struct Details {
    view: RunView,
}

impl Shown for Details {
    fn text(&self) -> String {
        text(&self.view, &TimeZone::system())
    }
}

/// The plan, drawn; the head says what it is, the end what to type.
fn text(view: &RunView, zone: &TimeZone) -> String {
    let line = &view.line;
    let mut text = format!("{}\n  {} of {}, asked for by {}\n", line.run, line.kind, line.stack, line.by);
    let started = human::instant_in(line.started, zone);
    let until = line.ended.map_or_else(
        || format!("{} so far", human::ms(line.took_ms)),
        |ended| format!("ended {}, took {}", human::instant_in(ended, zone), human::ms(line.took_ms)),
    );
    let undoing = if line.undoing && !line.standing.is_over() { ", what was done is being taken back" } else { "" };
    add(&mut text, format!("  started {started}, {until}"));
    add(
        &mut text,
        format!("  {}{undoing}, {} of {} steps done", line.standing.word(), view.progress.done, view.progress.steps),
    );
    if let Some(holder) = &view.holder {
        let word = if line.standing == Standing::Running { "at it" } else { "was last at it" };
        add(&mut text, format!("  {holder} {word}"));
    }
    if let Some(by) = &view.end_asked_by {
        let heard = if line.standing == Standing::Running { "" } else { "; whoever goes on with it hears of that" };
        add(&mut text, format!("  {by} has asked for its end{heard}"));
    }
    text.push('\n');
    for phase in &view.phases {
        add(&mut text, phase.name.clone());
        for (at, step) in phase.steps.iter().enumerate() {
            let (branch, below) = if at + 1 == phase.steps.len() { ("└─", "  ") } else { ("├─", "│ ") };
            add(&mut text, format!("{branch} {}", drawn(step, line.standing)));
            for failure in [&step.failure, &step.undo_failure].into_iter().flatten() {
                for said in said(failure) {
                    add(&mut text, format!("{below}   {said}"));
                }
            }
        }
    }
    if let Some(step) = &view.waits_for {
        add(
            &mut text,
            format!(
                "\nIt waits for a person: the step {step} goes neither forward nor back by itself. Mend what it says, then type:"
            ),
        );
    } else if line.standing == Standing::CutOff {
        add(&mut text, "\nNobody is at it. Whoever acts on the stack next ends it first; or type:".to_owned());
    } else if line.standing == Standing::Parked {
        add(&mut text, "\nWhoever led it has left. The next daemon goes on with it; or type:".to_owned());
    }
    for command in &view.commands {
        add(&mut text, format!("  {command}"));
    }
    text
}

fn add(text: &mut String, line: String) {
    writeln!(text, "{line}").expect("a String takes everything");
}

fn drawn(step: &StepView, standing: Standing) -> String {
    let mark = match step.stage {
        Stage::Pending => "·",
        Stage::Verified => "✓",
        Stage::Intended | Stage::Applied | Stage::UndoIntended => "▸",
        Stage::Failed | Stage::UndoFailed => "✗",
        Stage::Undone => "↩",
    };
    let mut text = format!("{mark} {}: {}", step.name, word(step.stage, standing));
    if let Some(took) = step.took_ms.filter(|_| step.stage != Stage::Pending) {
        text += &format!(", {}", human::ms(took));
    }
    if step.attempts > 1 {
        text += &format!(", attempt {}", step.attempts);
    }
    match step.kind {
        StepKind::Reversible => {}
        StepKind::Pivot => text += " (point of no return)",
        StepKind::Forward => text += " (not undone)",
    }
    text
}

fn word(stage: Stage, standing: Standing) -> &'static str {
    match stage {
        Stage::Intended | Stage::Applied if matches!(standing, Standing::CutOff | Standing::Parked) => {
            "begun, may have happened"
        }
        Stage::Pending => "not begun",
        Stage::Intended => "under way",
        Stage::Applied => "happened, being looked at",
        Stage::Verified => "done",
        Stage::Failed => "failed",
        Stage::UndoIntended => "being undone",
        Stage::Undone => "undone",
        Stage::UndoFailed => "could not be undone",
    }
}

fn said(failure: &StepFailed) -> Vec<String> {
    let lines = failure.message.lines().map(str::to_owned);
    lines.chain(failure.hint.iter().map(|hint| format!("hint: {hint}"))).collect()
}

#[cfg(test)]
mod tests;

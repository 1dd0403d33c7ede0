//! One run: its plan with each step's state and time, and what a person may type.

use super::Shown;
use super::overview::{Task, tasks};
use super::say::{self, Instant, Verdict};
use crate::run::Failed;
use crate::status::{RunView, Standing};

pub struct Detail {
    pub run: String,
    pub verdict: Verdict,
    pub running: bool,
    pub facts: Vec<(&'static str, String)>,
    pub done: usize,
    pub steps: usize,
    pub phases: Vec<Phase>,
    pub tasks: Vec<Task>,
    pub commands: Vec<String>,
    pub failure: Option<Failed>,
}

pub struct Phase {
    pub name: String,
    pub steps: Vec<Step>,
}

pub struct Step {
    pub name: String,
    pub verdict: Verdict,
    pub took: String,
    pub attempts: u32,
    pub failures: Vec<String>,
}

impl Detail {
    #[must_use]
    pub fn of(view: &RunView, shown: &Shown<'_>) -> Self {
        let (line, file) = (&view.line, shown.documents.stack.file.display().to_string());
        let mut facts = vec![
            ("Asked for by", line.by.clone()),
            ("Began", Instant::of(line.started).text),
            (if line.ended.is_some() { "Took" } else { "So far" }, say::ms(line.took_ms)),
        ];
        if let Some(ended) = line.ended {
            facts.push(("Ended", Instant::of(ended).text));
        }
        if let Some(holder) = &view.holder {
            facts.push((if line.standing == Standing::Running { "Led by" } else { "Last led by" }, holder.clone()));
        }
        facts.extend(view.end_asked_by.clone().map(|by| ("To be ended, asked by", by)));
        facts.push(("Program", view.tool.clone()));
        facts.push(("Plan", view.digest.clone()));
        let phases = view.phases.iter().map(|phase| Phase {
            name: phase.name.clone(),
            steps: phase
                .steps
                .iter()
                .map(|step| Step {
                    name: step.name.clone(),
                    verdict: Verdict::of_stage(step.stage),
                    took: step.took_ms.map(say::ms).unwrap_or_default(),
                    attempts: step.attempts,
                    failures: [&step.failure, &step.undo_failure].into_iter().flatten().map(said).collect(),
                })
                .collect(),
        });
        Self {
            run: line.run.to_string(),
            verdict: Verdict::of_standing(line.standing),
            running: line.standing == Standing::Running,
            facts,
            done: view.progress.done,
            steps: view.progress.steps,
            phases: phases.collect(),
            tasks: shown.active.get(&line.run).map(tasks).unwrap_or_default(),
            commands: view.commands.iter().map(|command| command.replace("-f FILE", &format!("-f {file}"))).collect(),
            failure: line.failure.clone(),
        }
    }
}

fn said(failed: &Failed) -> String {
    match &failed.hint {
        Some(hint) => format!("{} ({hint})", failed.message),
        None => failed.message.clone(),
    }
}

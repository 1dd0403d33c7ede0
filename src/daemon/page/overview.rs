//! The live part of the first page.

use super::Shown;
use super::say::{self, Instant, Verdict};
use crate::daemon::board::Active;
use crate::finding::Severity;
use crate::schedule::{Due, Zone};
use crate::status::{DrillOutcome, Finding, Goal, Measure, RunLine, RunView, ScheduleLine, Standing, Status};

/// How many drills are listed.
const DRILLS: usize = 5;

pub struct Overview {
    pub verdict: Headline,
    pub findings: Vec<Row>,
    pub tiles: Vec<Tile>,
    pub open: Vec<Open>,
    pub schedules: Vec<Next>,
    pub last: Vec<Last>,
    pub drills: Vec<Drilled>,
    pub looked_ago: String,
}

/// The one sentence.
pub struct Headline {
    pub text: String,
    pub more: String,
    pub sign: &'static str,
    pub class: &'static str,
}

/// A finding.
pub struct Row {
    pub class: &'static str,
    pub sign: &'static str,
    pub word: &'static str,
    pub subject: String,
    pub detail: String,
    pub fix: String,
    /// The fix is a command as it stands.
    pub typed: bool,
}

pub struct Tile {
    pub label: &'static str,
    pub value: String,
    pub remark: String,
    pub class: &'static str,
    /// How much of the objective is used up, in percent; more than 100 is a miss.
    pub used: Option<u64>,
}

/// A run that is not over.
pub struct Open {
    pub run: String,
    pub kind: String,
    pub by: String,
    pub since: String,
    pub verdict: Verdict,
    pub done: usize,
    pub steps: usize,
    pub at: String,
    pub tasks: Vec<Task>,
    pub commands: Vec<String>,
}

/// What of a run is counted.
pub struct Task {
    pub name: String,
    /// Of a thousand; none where the whole is not known.
    pub permille: Option<u64>,
    pub text: String,
}

pub struct Next {
    pub name: String,
    pub does: String,
    pub cron: String,
    pub zone: String,
    pub next: String,
    pub distance: String,
    pub datetime: String,
    pub why: String,
    pub class: &'static str,
    pub last: Option<(String, Verdict, String)>,
}

pub struct Last {
    pub run: String,
    pub kind: String,
    pub ended: Instant,
    pub ago: String,
    pub took: String,
    pub verdict: Verdict,
    pub failure: String,
}

pub struct Drilled {
    pub time: Instant,
    pub point: String,
    pub verdict: Verdict,
    pub rto: String,
    pub reasons: String,
}

impl Overview {
    #[must_use]
    pub fn of(status: &Status, shown: &Shown<'_>) -> Self {
        let file = shown.documents.stack.file.display().to_string();
        let named = |text: &str| text.replace("-f FILE", &format!("-f {file}"));
        let drills = status.drills.newest.iter().take(DRILLS).map(|drill| Drilled {
            time: Instant::of(drill.time),
            point: drill.point.as_ref().map(|id| id.chars().take(8).collect()).unwrap_or_default(),
            verdict: match drill.outcome {
                DrillOutcome::Passed => Verdict::new("passed", "✓", "good"),
                DrillOutcome::Late => Verdict::new("late", "!", "late"),
                DrillOutcome::Failed => Verdict::new("failed", "✕", "bad"),
                DrillOutcome::NoVerdict => Verdict::new("no verdict", "·", "neutral"),
            },
            rto: drill.rto_ms.map(say::ms).unwrap_or_default(),
            reasons: drill.reasons.join("; "),
        });
        Self {
            verdict: Headline::of(status),
            findings: status.findings.iter().map(|finding| Row::of(finding, &named)).collect(),
            tiles: tiles(status, shown),
            open: status.runs.open.iter().map(|run| Open::of(run, shown, &named)).collect(),
            schedules: status.schedules.iter().flatten().map(|line| Next::of(line, shown)).collect(),
            last: status.runs.last.iter().map(|line| Last::of(line, shown)).collect(),
            drills: drills.collect(),
            looked_ago: say::distance(shown.view.looked, shown.now),
        }
    }
}

impl Headline {
    fn of(status: &Status) -> Self {
        let count = |severity| status.findings.iter().filter(|finding| finding.severity == severity).count();
        let (problems, warnings) = (count(Severity::Problem), count(Severity::Warning));
        let things = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let running = status.runs.open.iter().filter(|run| run.line.standing == Standing::Running).count();
        let more = match running {
            0 => String::new(),
            n => format!("{} under way.", things(n, "run")),
        };
        let (text, sign, class) = match (problems, warnings) {
            (0, 0) => ("All is well".to_owned(), "✓", "good"),
            (0, n) => (things(n, "thing") + " to know", "!", "late"),
            (n, 0) => (things(n, "problem"), "✕", "bad"),
            (n, more) => (format!("{}, and {} to know", things(n, "problem"), things(more, "thing")), "✕", "bad"),
        };
        Self { text, more, sign, class }
    }
}

impl Row {
    fn of(finding: &Finding, named: &impl Fn(&str) -> String) -> Self {
        let (class, sign, word) = match finding.severity {
            Severity::Problem => ("bad", "✕", "problem"),
            _ => ("late", "!", "to know"),
        };
        let fix = named(&finding.fix);
        let typed = fix.starts_with("drydock ") && !fix.contains(['`', ';', ',']);
        let fix = fix.replace('`', "");
        Self { class, sign, word, subject: finding.subject.clone(), detail: finding.detail.clone(), fix, typed }
    }
}

fn tiles(status: &Status, shown: &Shown<'_>) -> Vec<Tile> {
    let (achieved, points) = (&status.achieved, &status.recovery_points);
    let at = |time| Instant::of(time).text;
    let complete =
        points.complete.as_ref().map_or_else(|| "no complete recovery point yet".into(), |point| at(point.instant));
    let proven = points.proven.as_ref().map_or_else(
        || "no drill has restored one yet".into(),
        |proven| format!("{}, drilled {}", at(proven.point.instant), say::distance(proven.proven, shown.now)),
    );
    let newest_drill = status.drills.newest.iter().find(|drill| drill.rto_ms.is_some());
    let drilled = newest_drill
        .map_or_else(|| "no drill has measured it yet".into(), |drill| format!("drill of {}", at(drill.time)));
    let size = points.complete.as_ref().map_or_else(|| "none".into(), |point| say::size(point.bytes));
    let counts = format!(
        "{} complete; repository {}",
        say::number(points.complete_count),
        say::size(shown.view.repository_bytes)
    );
    vec![
        measured("Data at risk (RPO)", &achieved.rpo, &complete),
        measured("Newest proven point", &achieved.proven, &proven),
        measured("Recovery time (RTO)", &achieved.rto, &drilled),
        Tile { label: "Newest point", value: size, remark: counts, class: "neutral", used: None },
    ]
}

fn measured(label: &'static str, measure: &Measure, remark: &str) -> Tile {
    let verdict = Verdict::of_goal(measure.goal);
    let value = measure.achieved_ms.map_or_else(|| "none".to_owned(), say::ms);
    let remark = match (measure.objective_ms, measure.goal) {
        (Some(objective), Goal::Missed) => format!("misses the objective of {} · {remark}", say::ms(objective)),
        (Some(objective), Goal::Met) => format!("objective {} · {remark}", say::ms(objective)),
        (Some(objective), _) => format!("objective {} · {remark}", say::ms(objective)),
        (None, _) => format!("no objective · {remark}"),
    };
    let used = match (measure.achieved_ms, measure.objective_ms) {
        (Some(achieved), Some(objective)) if objective > 0 => Some(achieved.saturating_mul(100) / objective),
        _ => None,
    };
    Tile { label, value, remark, class: verdict.class, used }
}

impl Open {
    fn of(view: &RunView, shown: &Shown<'_>, named: &impl Fn(&str) -> String) -> Self {
        let (line, progress) = (&view.line, &view.progress);
        let active = shown.active.get(&line.run);
        let verdict = match line.undoing {
            true if line.standing == Standing::Running => Verdict::new("being undone", "▸", "late"),
            _ => Verdict::of_standing(line.standing),
        };
        Self {
            run: line.run.to_string(),
            kind: line.kind.clone(),
            by: line.by.clone(),
            since: say::ms(line.took_ms),
            verdict,
            done: progress.done,
            steps: progress.steps,
            at: progress.at.join(", "),
            tasks: active.map(tasks).unwrap_or_default(),
            commands: view.commands.iter().map(|command| named(command)).collect(),
        }
    }
}

/// What a run of this process counts, as far as it is under way.
pub fn tasks(active: &Active) -> Vec<Task> {
    let tasks = active.progress.tasks();
    let under_way = tasks.iter().filter(|task| !task.state().finished);
    under_way
        .map(|task| {
            let state = task.state();
            let (done, total) = match (state.total_bytes, state.total_items) {
                (0, items) => (state.done_items, items),
                (bytes, _) => (state.done_bytes, bytes),
            };
            let permille = (total > 0).then(|| (done.min(total).saturating_mul(1_000)) / total);
            let of = |total: u64, text: &dyn Fn(u64) -> String| {
                if total > 0 { format!(" of {}", text(total)) } else { String::new() }
            };
            let text = match (state.done_bytes, state.total_bytes) {
                (0, 0) => format!("{}{}", say::number(state.done_items), of(state.total_items, &say::number)),
                (done, total) => format!("{}{}", say::size(done), of(total, &say::size)),
            };
            Task { name: task.name.clone(), permille, text }
        })
        .collect()
}

impl Next {
    fn of(line: &ScheduleLine, shown: &Shown<'_>) -> Self {
        let zone: Option<Zone> = line.time_zone.parse().ok();
        let next = line.next.map_or_else(
            || "never by itself".into(),
            |next| zone.as_ref().map_or_else(|| Instant::of(next).text, |zone| zone.show(next)),
        );
        let last = line.last.as_ref().map(|last| {
            let ago = say::distance(last.ended.unwrap_or(last.started), shown.now);
            (last.run.to_string(), Verdict::of_standing(last.standing), ago)
        });
        let is_usual = matches!(&line.now, Due::Run(_)) || line.why == "its time has not come";
        Self {
            name: line.schedule.to_string(),
            does: line.does.clone(),
            cron: line.cron.clone(),
            zone: line.time_zone.clone(),
            next,
            distance: line.next.map(|next| say::distance(next, shown.now)).unwrap_or_default(),
            datetime: line.next.map(|next| format!("{next:.0}")).unwrap_or_default(),
            why: if is_usual { String::new() } else { line.why.clone() },
            class: if line.cannot_run() { "bad" } else { "quiet" },
            last,
        }
    }
}

impl Last {
    fn of(line: &RunLine, shown: &Shown<'_>) -> Self {
        let ended = line.ended.unwrap_or(line.started);
        Self {
            run: line.run.to_string(),
            kind: line.kind.clone(),
            ended: Instant::of(ended),
            ago: say::distance(ended, shown.now),
            took: say::ms(line.took_ms),
            verdict: Verdict::of_standing(line.standing),
            failure: line.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
        }
    }
}

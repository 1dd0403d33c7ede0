//! The one screen: what counts first, figures beside their objectives, then what is wrong and what to type.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::human;
use crate::cli::table::Table;
use crate::finding::Severity;
use crate::schedule::Due;
use crate::status::{Drill, DrillOutcome, Finding, Goal, Measure, RunView, Standing, Status};

/// The whole screen, instants on the walls of `zone`.
pub fn screen(status: &Status, zone: &TimeZone) -> String {
    let parts = [
        head(status, zone),
        figures(status, zone),
        findings(&status.findings),
        open(status),
        last(status, zone),
        schedules(status, zone),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn head(status: &Status, zone: &TimeZone) -> String {
    let count = |severity| status.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let verdict = match (count(Severity::Problem), count(Severity::Warning)) {
        (0, 0) => "all is well".to_owned(),
        (0, warnings) => format!("{} to know of", human::count(warnings, "thing")),
        (problems, 0) => human::count(problems, "problem").to_uppercase(),
        (problems, warnings) => {
            let problems = human::count(problems, "problem").to_uppercase();
            format!("{problems}, and {} to know of", human::count(warnings, "thing"))
        }
    };
    format!("{}: {verdict} ({})\n", status.stack, human::instant_in(status.time, zone))
}

fn figures(status: &Status, zone: &TimeZone) -> String {
    let mut table = Table::new(&["", ">ACHIEVED", ">OBJECTIVE", "", "BY"]);
    let achieved = &status.achieved;
    let points = &status.recovery_points;
    let complete = points.complete.as_ref().map_or_else(
        || "no complete recovery point".to_owned(),
        |point| format!("recovery point {}, {}", point.id.short(), human::instant_in(point.time, zone)),
    );
    let proven = points.proven.as_ref().map_or_else(
        || "no drill has proven a recovery point".to_owned(),
        |proven| {
            let at = human::instant_in(proven.proven, zone);
            format!("recovery point {}, proven {at}", proven.point.id.short())
        },
    );
    for (name, measure, by) in [
        ("RPO", &achieved.rpo, complete),
        ("proven", &achieved.proven, proven),
        ("RTO", &achieved.rto, recovery(status)),
    ] {
        let time = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), human::ms);
        table.row([
            name.to_owned(),
            time(measure.achieved_ms),
            time(measure.objective_ms),
            goal(measure).to_owned(),
            by,
        ]);
    }
    table.text()
}

fn goal(measure: &Measure) -> &'static str {
    match measure.goal {
        Goal::Met => "ok",
        Goal::Missed => "MISSED",
        Goal::NotYet => "not yet",
        Goal::None => "",
    }
}

/// Where the RTO comes from, and whether it grows.
fn recovery(status: &Status) -> String {
    let drills = &status.drills;
    let measured =
        |drill: &&Drill| drill.is_whole && matches!(drill.outcome, DrillOutcome::Passed | DrillOutcome::Late);
    let Some(drill) = drills.newest.iter().find(measured) else {
        return "no drill has measured a recovery".to_owned();
    };
    let ago = human::age(drill.time, status.time);
    let mut text = format!("drill of {ago} ago");
    if let Some(trend) = &drills.trend {
        let earlier = human::count(trend.earlier as u64, "earlier one");
        text += &format!(", median of {earlier} {}", human::ms(trend.earlier_median_rto_ms));
        if let Some(slope) = trend.rto_ms_per_day.filter(|slope| slope.abs() >= 1_000.0) {
            let sign = if slope > 0.0 { "+" } else { "-" };
            text += &format!(", {sign}{:.0}s a day", slope.abs() / 1_000.0);
        }
    }
    text
}

fn open(status: &Status) -> String {
    let mut table = Table::new(&["UNDER WAY", "IS", ">FOR", "DONE", "AT"]);
    for view in &status.runs.open {
        let line = &view.line;
        table.row([
            line.run.to_string(),
            standing(view),
            human::ms(line.took_ms),
            done(view),
            view.progress.at.join(", "),
        ]);
    }
    let mut text = if status.runs.open.is_empty() { String::new() } else { table.text() };
    for held in &status.runs.exported_snapshots {
        text += &format!("{} may hold back VACUUM on production for {}\n", held.run, human::ms(held.age_ms));
    }
    text
}

/// In words, with what is being done in it.
pub fn standing(view: &RunView) -> String {
    let word = view.line.standing.word();
    if view.line.undoing && !view.line.standing.is_over() && view.line.standing != Standing::Waiting {
        return format!("{word}, being undone");
    }
    word.to_owned()
}

fn done(view: &RunView) -> String {
    let progress = &view.progress;
    let phase = progress.phase.as_ref().map(|phase| format!(", {phase}")).unwrap_or_default();
    format!("{}/{}{phase}", progress.done, progress.steps)
}

fn last(status: &Status, zone: &TimeZone) -> String {
    if status.runs.last.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["LAST", "OUTCOME", "STARTED", ">AGE", ">TOOK", "RUN"]);
    for line in &status.runs.last {
        table.row([
            line.kind.clone(),
            line.standing.word().to_owned(),
            human::instant_in(line.started, zone),
            human::age(line.started, status.time),
            human::ms(line.took_ms),
            line.run.to_string(),
        ]);
    }
    table.text()
}

fn schedules(status: &Status, zone: &TimeZone) -> String {
    let Some(schedules) = status.schedules.as_ref().filter(|schedules| !schedules.is_empty()) else {
        return String::new();
    };
    let mut table = Table::new(&["NEXT", "DOES", "STARTS", ">IN", "WHY NOT NOW"]);
    for line in schedules {
        let starts = |at: Timestamp| (human::instant_in(at, zone), human::ahead(at, status.time));
        let (at, ahead) = match (&line.now, line.next) {
            (Due::Run(_), _) => ("now".to_owned(), String::new()),
            (Due::Wait(_), Some(next)) => starts(next),
            (Due::Wait(_), None) => ("-".to_owned(), String::new()),
        };
        table.row([line.schedule.to_string(), line.does.clone(), at, ahead, line.why.clone()]);
    }
    table.text()
}

fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.severity {
            Severity::Good => "ok",
            Severity::Warning => "WARNING",
            Severity::Problem => "PROBLEM",
        };
        text += &format!("{word}  {}\n         {}\n", finding.detail.replace('\n', "\n         "), typed(&finding.fix));
    }
    text
}

/// Commands are to be told apart from advice.
fn typed(fix: &str) -> String {
    if fix.starts_with("drydock ") { format!("type: {fix}") } else { fix.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::testing::{all_well, drill_failed, nothing_yet, now, rpo_missed, schedule_cannot_run, waiting};
    use crate::status::{Known, status};

    fn shown(known: &Known) -> String {
        screen(&status(known, now()), &TimeZone::UTC)
    }

    #[test]
    fn the_screen() {
        insta::assert_snapshot!("nothing_yet", shown(&nothing_yet()));
        insta::assert_snapshot!("all_well", shown(&all_well()));
        insta::assert_snapshot!("rpo_missed", shown(&rpo_missed()));
        insta::assert_snapshot!("drill_failed", shown(&drill_failed()));
        insta::assert_snapshot!("waiting", shown(&waiting()));
        insta::assert_snapshot!("schedule_cannot_run", shown(&schedule_cannot_run()));
    }

    #[test]
    fn the_readme_shows_what_it_is_like() {
        let screen = shown(&rpo_missed()).replace("-f FILE", "-f stack.yaml");
        assert!(include_str!("../../../README.md").contains(screen.trim_end()), "{screen}");
    }

    #[test]
    fn it_fits_on_one_screen() {
        for known in [nothing_yet(), all_well(), rpo_missed(), drill_failed(), waiting(), schedule_cannot_run()] {
            let text = shown(&known);
            assert!(text.lines().count() <= 40, "{text}");
        }
    }
}

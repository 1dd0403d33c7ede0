//! What is wrong, how bad it is, and the command to type. One function a subject; the order of their being said is by how
//! bad they are.

use jiff::SignedDuration;

use super::exit::rank;
use super::known::Known;
use super::run::{RunLine, RunView, Standing};
use super::schedules::OVERDUE;
use super::{Code, DrillOutcome, Finding, Goal, Source, Status};
use crate::failure::Category;
use crate::point::{Point, State};
use crate::schedule::{Due, Wait, Why};
use crate::stack::duration;

/// All that `status` shows to be wrong, the worst first.
pub(super) fn findings(known: &Known, status: &Status) -> Vec<Finding> {
    let mut found = Vec::new();
    objectives(known, status, &mut found);
    points(known, status, &mut found);
    drills(status, &mut found);
    runs(status, &mut found);
    schedules(known, status, &mut found);
    found.sort_by_key(|finding| (rank(finding.category), finding.code));
    found
}

fn time(ms: u64) -> String {
    duration::human(std::time::Duration::from_millis(ms))
}

const SNAPSHOT: &str = "drydock snapshot -f FILE";
const DRILL: &str = "drydock drill -f FILE";

fn objectives(known: &Known, status: &Status, found: &mut Vec<Finding>) {
    let achieved = &status.achieved;
    match (achieved.rpo.goal, achieved.rpo.achieved_ms, achieved.rpo.objective_ms) {
        (Goal::Missed, Some(achieved), Some(objective)) => found.push(Finding::new(
            Code::RpoMissed,
            "rpo",
            format!("the newest complete recovery point is {} old; the RPO is {}", time(achieved), time(objective)),
            SNAPSHOT,
        )),
        (Goal::Missed, _, Some(objective)) => found.push(Finding::new(
            Code::RpoMissed,
            "rpo",
            format!("there is no complete recovery point; the RPO is {}", time(objective)),
            SNAPSHOT,
        )),
        (_, None, _) => {
            found.push(Finding::new(Code::NoPoint, "rpo", "there is no complete recovery point", SNAPSHOT));
        }
        _ => {}
    }
    match (achieved.proven.goal, achieved.proven.achieved_ms, achieved.proven.objective_ms) {
        (Goal::Missed, Some(achieved), Some(objective)) => found.push(Finding::new(
            Code::ProvenMissed,
            "proven",
            format!(
                "the newest proven recovery point is {} old; at most {} is wanted",
                time(achieved),
                time(objective)
            ),
            DRILL,
        )),
        (Goal::Missed, _, Some(objective)) => found.push(Finding::new(
            Code::ProvenMissed,
            "proven",
            format!("no drill has proven a recovery point that is there; one within {} is wanted", time(objective)),
            DRILL,
        )),
        (_, None, _) if status.recovery_points.complete.is_some() => found.push(Finding::new(
            Code::NotProven,
            "proven",
            "no drill has proven a recovery point yet: that it restores is a hope",
            DRILL,
        )),
        _ => {}
    }
    let rto = &achieved.rto;
    if let (Goal::Missed, Some(achieved), Some(objective)) = (rto.goal, rto.achieved_ms, rto.objective_ms) {
        found.push(Finding::new(
            Code::RtoMissed,
            "rto",
            format!("the newest drill took {} to a verified recovery; the RTO is {}", time(achieved), time(objective)),
            // Its parts tell where the time went.
            if known.evidence.is_empty() { DRILL } else { "drydock evidence show -f FILE latest" },
        ));
    }
}

fn points(known: &Known, status: &Status, found: &mut Vec<Finding>) {
    let points = &status.recovery_points;
    let broken = |point: &&Point| matches!(point.state, State::Broken(_));
    for point in known.points.points.iter().filter(broken) {
        let State::Broken(why) = &point.state else { continue };
        found.push(Finding::new(
            Code::PointBroken,
            point.id.to_string(),
            format!("recovery point {} is broken: {why}", point.id.short()),
            "drydock check -f FILE --read-data",
        ));
    }
    if points.unreadable_count > 0 {
        found.push(Finding::new(
            Code::SnapshotUnreadable,
            "repository",
            format!("{} damaged, whose is not known", snapshots(points.unreadable_count)),
            "drydock check -f FILE",
        ));
    }
    for id in &points.ahead {
        found.push(Finding::new(
            Code::PointAhead,
            id.to_string(),
            format!(
                "recovery point {} is dated in the future: a clock is, or was, wrong; it is not counted",
                id.short()
            ),
            "drydock doctor -f FILE",
        ));
    }
    if points.newer_count > 0 {
        found.push(Finding::new(
            Code::PointNewer,
            "repository",
            format!("{} of a newer drydock, not judged", recovery_points(points.newer_count)),
            "install the newer drydock here, too",
        ));
    }
    if !known.evidence_faults.is_empty() {
        found.push(Finding::new(
            Code::EvidenceDoesNotVerify,
            "evidence",
            format!("the newest evidence does not verify: {}", known.evidence_faults.join("; ")),
            "drydock evidence verify -f FILE --all",
        ));
    }
}

/// How long a run that failed is told of where no schedule does it again.
const BY_HAND: SignedDuration = SignedDuration::from_hours(24 * 7);

fn snapshots(n: u64) -> String {
    if n == 1 { "1 snapshot is".into() } else { format!("{n} snapshots are") }
}

fn recovery_points(n: u64) -> String {
    if n == 1 { "1 recovery point is".into() } else { format!("{n} recovery points are") }
}

fn drills(status: &Status, found: &mut Vec<Finding>) {
    if let Some(failed) = &status.drills.failed {
        let reasons =
            if failed.reasons.is_empty() { String::new() } else { format!(": {}", failed.reasons.join("; ")) };
        let fix = match failed.source {
            Source::Evidence => format!("drydock evidence show -f FILE {}", failed.run),
            // Whoever drills again with the sandbox kept can look at what is in it.
            Source::Mark | Source::Journal => format!("{DRILL} --keep"),
        };
        let detail = format!("the drill {} failed{reasons}", failed.run);
        found.push(Finding::new(Code::DrillFailed, failed.run.clone(), detail, fix));
    }
    let warning = status.drills.trend.as_ref().and_then(|trend| trend.warning.as_ref());
    if let Some(warning) = warning {
        found.push(Finding::new(Code::RtoNear, "rto", warning.clone(), "drydock evidence -f FILE"));
    }
}

fn runs(status: &Status, found: &mut Vec<Finding>) {
    found.extend(status.runs.open.iter().filter_map(open));
    for damaged in &status.runs.damaged {
        found.push(Finding::new(
            Code::RunDamaged,
            damaged.run.to_string(),
            format!("the journal of the run {} cannot be understood: {}", damaged.run, damaged.why),
            format!("look at `runs/{}` in the store, beside `repository/`", damaged.run),
        ));
    }
    for line in &status.runs.last {
        // A drill that came to a verdict is judged as a drill.
        let is_judged = status
            .drills
            .newest
            .iter()
            .any(|drill| drill.run == line.run.as_str() && drill.outcome != DrillOutcome::NoVerdict);
        // What was done by hand once and failed is history after a week; what a schedule does is to succeed.
        let is_scheduled = status.schedules.iter().flatten().any(|schedule| schedule.kind == line.kind);
        let is_recent = status.time.duration_since(line.started) <= BY_HAND;
        found.extend(Some(line).filter(|_| !is_judged).and_then(|line| failed(line, is_scheduled || is_recent)));
    }
}

/// A run that is not over and that nobody is at.
fn open(view: &RunView) -> Option<Finding> {
    let (line, commands) = (&view.line, view.commands.join(", or "));
    let run = &line.run;
    match line.standing {
        Standing::Waiting => {
            let step = view.waits_for.as_deref().unwrap_or_default();
            let mut steps = view.phases.iter().flat_map(|phase| &phase.steps);
            let stuck = steps.find(|one| one.name == step);
            let failure = stuck.and_then(|step| step.undo_failure.as_ref().or(step.failure.as_ref()));
            let why = failure.map(|failure| format!(": {}", failure.message)).unwrap_or_default();
            let detail = format!("the run {run} waits for a person at the step {step}{why}");
            Some(Finding::new(Code::RunWaits, run.to_string(), detail, commands))
        }
        Standing::CutOff => {
            let at = view.progress.at.join(", ");
            let at = if at.is_empty() { String::new() } else { format!(" at {at}") };
            let detail = format!("the run {run} was cut off{at}; whoever acts on the stack next ends it");
            Some(Finding::new(Code::RunCutOff, run.to_string(), detail, commands))
        }
        Standing::Parked => {
            let detail = format!("the run {run} is parked; the next daemon goes on with it");
            Some(Finding::new(Code::RunParked, run.to_string(), detail, commands))
        }
        _ => None,
    }
}

/// The newest run of its kind, which failed. Damage stays until a check finds none; what somebody stopped did not fail.
fn failed(line: &RunLine, still_counts: bool) -> Option<Finding> {
    let failure = line.failure.as_ref().filter(|_| line.standing == Standing::Failed)?;
    let damage = line.kind == "check" && failure.category == Category::Integrity;
    if !damage && (!still_counts || failure.category == Category::Interrupted) {
        return None;
    }
    let code = if damage { Code::CheckFoundDamage } else { Code::RunFailed };
    let detail = format!("the newest {} failed: {}", line.kind, failure.message);
    let again = format!("drydock runs show {} -f FILE", line.run);
    Some(Finding::new(code, line.run.to_string(), detail, failure.hint.clone().unwrap_or(again)))
}

fn schedules(known: &Known, status: &Status, found: &mut Vec<Finding>) {
    if !known.schedule_problems.is_empty() {
        let fix = "correct the document; until then the schedules that were read before count";
        let detail = known.schedule_problems.join("\n");
        found.push(Finding::new(Code::SchedulesRefused, "schedules", detail, fix));
    }
    for line in status.schedules.iter().flatten() {
        let name = line.schedule.to_string();
        match &line.now {
            Due::Wait(Wait { why: Why::Misfit { .. }, .. }) => found.push(Finding::new(
                Code::ScheduleCannotRun,
                &name,
                format!("the schedule {name} cannot run: {}", line.why),
                "change the Stack document or the schedule, then look with: drydock schedules -f FILE",
            )),
            Due::Wait(Wait { why: Why::DeadlineMissed { .. }, .. }) => found.push(Finding::new(
                Code::ScheduleMissed,
                &name,
                format!("the schedule {name}: {}", line.why),
                format!("drydock {} -f FILE", line.kind),
            )),
            Due::Run(_) => {
                let lag = line.lag_ms.unwrap_or(0);
                if i128::from(lag) > OVERDUE.as_millis() {
                    found.push(Finding::new(
                        Code::ScheduleOverdue,
                        &name,
                        format!("the schedule {name} is due since {}: no daemon begins it", time(lag)),
                        "drydock daemon -f FILE --schedules DIR, or look after it: systemctl status drydock",
                    ));
                }
            }
            Due::Wait(_) => {}
        }
    }
}

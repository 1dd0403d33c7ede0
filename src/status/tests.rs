//! What is judged of stacks that never were; what is gathered of real ones is in `tests/status/`.

use super::testing::{all_well, drill_failed, nothing_yet, now, rpo_missed, run, schedule_cannot_run, waiting};
use super::*;
use crate::run::{Outcome, StepKind};
use crate::schedule::{Due, Why};

fn codes(status: &Status) -> Vec<Code> {
    status.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn nothing_to_restore_misses_the_rpo_and_nothing_proven_only_once_there_was_time() {
    let mut known = nothing_yet();
    let found = status(&known, now());
    assert_eq!(codes(&found), [Code::RpoMissed]);
    assert_eq!((found.achieved.rpo.goal, found.achieved.proven.goal), (Goal::Missed, Goal::NotYet));
    known.since = "2026-11-01T00:00:00Z".parse().unwrap();
    assert_eq!(codes(&status(&known, now())), [Code::RpoMissed, Code::ProvenMissed]);
    known.stack.spec.objectives = crate::stack::Objectives::default();
    let found = status(&known, now());
    assert_eq!((codes(&found), found.exit_code), (vec![Code::NoPoint], 3), "without a promise nothing is missed");
}

#[test]
fn all_is_well() {
    let found = status(&all_well(), now());
    assert_eq!((codes(&found), found.exit_code), (vec![], 0));
    let (achieved, hour) = (found.achieved, 3_600_000);
    assert_eq!(achieved.rpo.achieved_ms, Some(16 * hour + hour / 4));
    assert_eq!(achieved.proven.achieved_ms, Some(40 * hour + hour / 4), "the point's age, not the drill's");
    assert_eq!(achieved.rto.achieved_ms, Some(720_000));
    assert_eq!(found.drills.trend.as_ref().unwrap().earlier, 2);
    let last: Vec<&str> = found.runs.last.iter().map(|line| line.run.as_str()).collect();
    assert_eq!(last, ["drill-shop-20261122t043000z-weekly", "snapshot-shop-20261123t021500z-nightly"]);
    let open = &found.runs.open[0];
    assert_eq!((open.line.standing, open.progress.at.as_slice()), (Standing::Running, &["take".to_owned()][..]));
    assert_eq!(found.runs.exported_snapshots[0].age_ms, 4 * 60_000, "a database's transaction is held open");
    let schedules = found.schedules.unwrap();
    assert_eq!(schedules[1].next.unwrap().to_string(), "2026-11-24T02:15:00Z");
    assert_eq!(schedules[1].last.as_ref().unwrap().run.as_str(), "snapshot-shop-20261123t021500z-nightly");
    assert!(matches!(&schedules[0].now, Due::Wait(wait) if wait.why == Why::Suspended));
}

#[test]
fn each_finding_says_what_to_type_and_the_worst_decides() {
    let of = |known: Known| {
        let found = status(&known, now());
        let fixes: Vec<String> = found.findings.iter().map(|finding| finding.fix.clone()).collect();
        (codes(&found), found.exit_code, fixes)
    };
    let (found, exit, fixes) = of(rpo_missed());
    assert_eq!(found[..3], [Code::PointBroken, Code::RpoMissed, Code::ProvenMissed][..]);
    assert_eq!((&found[3..], exit), (&[Code::RunCutOff, Code::RunFailed][..], 20));
    let run = "prune-shop-20261121t064500z-retention";
    assert_eq!(fixes[3], format!("drydock runs resume {run} -f FILE, or drydock runs undo {run} -f FILE"));
    assert_eq!(fixes[4], "is the server up? `drydock doctor -f FILE` tells more", "the failure's own hint");

    let (found, exit, _) = of(drill_failed());
    assert_eq!((found, exit), (vec![Code::DrillFailed, Code::ProvenMissed], 21));

    let (found, exit, fixes) = of(waiting());
    assert_eq!((found, exit), (vec![Code::RunWaits], 30));
    let resume = "drydock runs resume restore-shop-20261123t174000z-9e8d7c6b -f FILE";
    assert_eq!(fixes, [resume], "past its point of no return nothing is undone");

    let (found, exit, _) = of(schedule_cannot_run());
    assert_eq!((found, exit), (vec![Code::ScheduleCannotRun, Code::ScheduleOverdue, Code::ScheduleMissed], 3));
}

#[test]
fn a_failed_drill_stands_until_a_later_one_of_everything_passes() {
    let mut known = drill_failed();
    known.points.points[0] =
        crate::point::testing::drilled(known.points.points[0].clone(), "drill-shop-9", "2026-11-23T10:00:00Z", 60_000);
    let found = status(&known, now());
    assert_eq!((codes(&found), found.drills.failed), (vec![], None));
    assert_eq!(found.drills.newest[0].run, "drill-shop-9");
    assert_eq!(found.drills.newest[1].outcome, DrillOutcome::Failed, "it is still told");
}

#[test]
fn evidence_tells_of_drills_that_left_no_mark_and_counts_each_drill_once() {
    let json = include_str!("../../tests/fixtures/formats/evidence-record-1.json");
    let mut record: crate::evidence::Record = serde_json::from_str(json).unwrap();
    record.run = "drill-shop-20261122t043000z-weekly".into(); // its mark and its journal are there, too
    let link = |record| crate::evidence::Link { number: 1, previous: None, signed: now(), token: "t".into(), record };
    let mut known = all_well();
    let marks = status(&known, now()).drills.newest.len();
    known.evidence = vec![link(record.clone())];
    let found = status(&known, now());
    assert_eq!(found.drills.newest.len(), marks, "three witnesses of one drill");
    let evident: Vec<&Drill> = found.drills.newest.iter().filter(|drill| drill.source == Source::Evidence).collect();
    assert_eq!(evident.len(), 1);
    record.run = "drill-shop-20261123t100000z-by-hand".into();
    record.finished = "2026-11-23T10:00:00Z".parse().unwrap();
    record.outcome = crate::evidence::Outcome::Failed;
    known.evidence.push(link(record));
    let found = status(&known, now());
    assert_eq!((codes(&found), found.exit_code), (vec![Code::DrillFailed], 21));
}

/// As `operation::drill` tells its steps and what its last one tells.
#[test]
fn a_drills_journal_tells_its_point_whether_it_was_whole_and_what_it_took() {
    use super::testing::{over, plan};
    use crate::run::Event;
    let drill = |data: &[&str]| {
        let mut plan = plan("drill", &[("record", &[("record", StepKind::Reversible)])]);
        let told = serde_json::json!({"point": "3f9a1c2e00000001", "data": data, "keep": false, "folder": "/tmp"});
        plan.phases[0].steps[0].parameters = told;
        let output = serde_json::json!({"rtoMs": 61_000, "proven": true, "evidence": null});
        let events = vec![
            Event::Intended { step: "record".into(), attempt: 1 },
            Event::Applied { step: "record".into(), output },
            Event::Verified { step: "record".into() },
        ];
        let events = [events, over(Outcome::Succeeded)].concat();
        let mut known = nothing_yet();
        known.runs = vec![run("drill-shop-20261123t100000z-weekly", plan, "2026-11-23T10:00:00Z", events)];
        let found = status(&known, now());
        (found.drills.newest[0].clone(), found.achieved.rto.achieved_ms)
    };
    let (whole, rto_ms) = drill(&[]);
    assert_eq!((whole.point.as_deref(), whole.is_whole), (Some("3f9a1c2e00000001"), true));
    assert_eq!((whole.rto_ms, rto_ms), (Some(61_000), Some(61_000)));
    let (part, rto_ms) = drill(&["shop-db"]);
    assert_eq!((part.is_whole, rto_ms), (false, None), "a part's time is no recovery's");
}

#[test]
fn a_journal_that_cannot_be_understood_is_named_and_hides_no_other_run() {
    let mut known = all_well();
    let damaged =
        KnownRun { run: "check-shop-20261120t053000z-monthly".parse().unwrap(), state: Err("line 3: x".into()) };
    known.runs.insert(0, damaged);
    let found = status(&known, now());
    assert_eq!((codes(&found), found.exit_code), (vec![Code::RunDamaged], 30));
    assert_eq!(found.runs.last.len(), 2);
}

#[test]
fn a_check_that_found_damage_is_worse_than_one_that_could_not_be_done() {
    use super::testing::{failed, over, plan, undone};
    use crate::failure::Category;
    let check = |category| {
        let plan = plan("check", &[("check", &[("check", StepKind::Reversible)])]);
        let said = failed("check", 1, category, "pack 4711 is damaged", None);
        let events = [said, undone("check"), over(Outcome::Failed)].concat();
        let mut known = all_well();
        known.runs.push(run("check-shop-20261120t053000z-monthly", plan, "2026-11-20T05:30:00Z", events));
        known
    };
    let judged = |known: &Known, now| {
        let found = status(known, now);
        let fix = found.findings.first().map(|finding| finding.fix.clone());
        (codes(&found), found.exit_code, fix.unwrap_or_default())
    };
    let show = "drydock runs show check-shop-20261120t053000z-monthly -f FILE".to_owned();
    assert_eq!(judged(&check(Category::Integrity), now()), (vec![Code::CheckFoundDamage], 20, show.clone()));
    assert_eq!(judged(&check(Category::Unavailable), now()), (vec![Code::RunFailed], 3, show));
    assert_eq!(judged(&check(Category::Interrupted), now()).0, [], "somebody wanted it to stop");
    let mut by_hand = check(Category::Unavailable);
    by_hand.schedules = None;
    by_hand.stack.spec.objectives = crate::stack::Objectives::default();
    let later = "2026-12-01T00:00:00Z".parse().unwrap();
    assert!(!judged(&by_hand, later).0.contains(&Code::RunFailed), "once, by hand, and a week ago");
}

#[test]
fn a_point_from_the_future_counts_for_nothing() {
    let mut known = all_well();
    known.points.points.insert(0, crate::point::testing::named("ffff1c2e00000009", "2036-01-01T00:00:00Z"));
    let found = status(&known, now());
    assert_eq!(codes(&found), [Code::PointAhead]);
    assert_eq!(found.recovery_points.complete.unwrap().id.short(), "3f9a1c2e");
}

/// The shape that scripts rely on: a field that goes or changes its meaning raises `Status::FORMAT_VERSION`.
#[test]
fn the_json_is_as_it_is_documented() {
    let mut status = status(&waiting(), now());
    status.tool = "drydock 0.1.0";
    let json = serde_json::to_string_pretty(&status).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/status-1.json");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(path, &json).unwrap();
    }
    assert_eq!(json, std::fs::read_to_string(path).unwrap());
}

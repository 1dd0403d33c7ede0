//! What is done now, and what is said when nothing is.

use super::*;

const HOURLY: &str = "0 * * * *";

fn stack() -> crate::stack::Name {
    "shop".parse().unwrap()
}

fn past(since: &str, newest: Option<(&str, Option<&str>)>) -> Past {
    let newest = newest.map(|(scheduled, ended)| LatestRun { scheduled: at(scheduled), ended: ended.map(at) });
    Past { since: at(since), newest }
}

/// What is done, in words.
fn said(schedule: &Schedule, past: &Past, now: &str) -> String {
    match due(schedule, &stack(), past, at(now)) {
        Due::Run(Start { scheduled, missed_since, replaces }) => {
            let missed = missed_since.map(|since| format!(", also for what was missed since {since}"));
            let replaces = replaces.map(|run| format!(", in place of {run}"));
            format!("run {scheduled}{}{}", missed.unwrap_or_default(), replaces.unwrap_or_default())
        }
        Due::Wait(Wait { why, next }) => {
            let next = next.map_or_else(|| "never".into(), |next| next.to_string());
            format!("{}; next {next}", why.sentence(&schedule.spec.timing.zone))
        }
    }
}

#[test]
fn an_instant_runs_when_it_comes_and_once() {
    let hourly = schedule(HOURLY, "");
    let fresh = past("2026-11-24T10:30:00Z", None);
    assert_eq!(said(&hourly, &fresh, "2026-11-24T10:59:59Z"), "its time has not come; next 2026-11-24T11:00:00Z");
    assert_eq!(said(&hourly, &fresh, "2026-11-24T11:00:00Z"), "run 2026-11-24T11:00:00Z");
    assert_eq!(said(&hourly, &fresh, "2026-11-24T11:00:07Z"), "run 2026-11-24T11:00:00Z", "asked late, the same run");
    let ran = past("2026-11-24T10:30:00Z", Some(("2026-11-24T11:00:00Z", Some("2026-11-24T11:00:05Z"))));
    assert_eq!(said(&hourly, &ran, "2026-11-24T11:00:07Z"), "its time has not come; next 2026-11-24T12:00:00Z");
}

#[test]
fn after_a_downtime_the_newest_runs_and_no_burst() {
    let hourly = schedule(HOURLY, "");
    let ran = past("2026-11-01T00:00:00Z", Some(("2026-11-20T03:00:00Z", Some("2026-11-20T03:10:00Z"))));
    assert_eq!(
        said(&hourly, &ran, "2026-11-24T10:30:00Z"),
        "run 2026-11-24T10:00:00Z, also for what was missed since 2026-11-20T04:00:00Z"
    );
    let since = past("2026-11-24T10:00:00Z", None);
    assert_eq!(
        said(&hourly, &since, "2026-11-24T10:30:00Z"),
        "its time has not come; next 2026-11-24T11:00:00Z",
        "what came before the schedule was there is none of its business"
    );
}

#[test]
fn what_is_later_than_the_deadline_is_given_up() {
    let nightly = schedule("15 2 * * *", "  timeZone: Europe/Berlin\n  startingDeadline: 6h\n");
    let ran = past("2026-11-01T00:00:00Z", Some(("2026-11-22T01:15:00Z", Some("2026-11-22T01:30:00Z"))));
    assert_eq!(
        said(&nightly, &ran, "2026-11-24T07:15:00Z"),
        "run 2026-11-24T01:15:00Z, also for what was missed since 2026-11-23T01:15:00Z"
    );
    assert_eq!(
        said(&nightly, &ran, "2026-11-24T07:15:01Z"),
        "2026-11-24 02:15 +01:00 was missed by 6h, more than startingDeadline (6h); next 2026-11-25T01:15:00Z"
    );
}

#[test]
fn one_that_is_suspended_says_so() {
    let suspended = schedule(HOURLY, "  suspend: true\n");
    assert_eq!(said(&suspended, &past("2026-11-01T00:00:00Z", None), "2026-11-24T10:30:00Z"), "suspended; next never");
}

#[test]
fn while_a_run_goes_on_the_policy_decides() {
    let on = past("2026-11-01T00:00:00Z", Some(("2026-11-24T10:00:00Z", None)));
    let now = "2026-11-24T12:30:00Z";
    let with = |policy: &str| schedule(HOURLY, &format!("  concurrencyPolicy: {policy}\n"));
    assert_eq!(said(&with("forbid"), &on, "2026-11-24T10:30:00Z"), "its time has not come; next 2026-11-24T11:00:00Z");
    assert_eq!(
        said(&with("forbid"), &on, now),
        "the run of 2026-11-24 10:00 +00:00 is going on and the policy is forbid: 2026-11-24 12:00 +00:00 is left out; \
         next 2026-11-24T13:00:00Z"
    );
    assert_eq!(
        said(&with("queue"), &on, now),
        "the run of 2026-11-24 10:00 +00:00 is going on: 2026-11-24 12:00 +00:00 waits for its end; next 2026-11-24T13:00:00Z"
    );
    assert_eq!(
        said(&with("replace"), &on, now),
        "run 2026-11-24T12:00:00Z, also for what was missed since 2026-11-24T11:00:00Z, in place of 2026-11-24T10:00:00Z"
    );
}

#[test]
fn what_was_left_out_stays_left_out_and_what_was_queued_runs() {
    let ended = past("2026-11-01T00:00:00Z", Some(("2026-11-24T10:00:00Z", Some("2026-11-24T12:10:00Z"))));
    let with = |policy: &str| schedule(HOURLY, &format!("  concurrencyPolicy: {policy}\n"));
    let now = "2026-11-24T12:10:00Z";
    assert_eq!(said(&with("forbid"), &ended, now), "its time has not come; next 2026-11-24T13:00:00Z");
    let one = "run 2026-11-24T12:00:00Z, also for what was missed since 2026-11-24T11:00:00Z";
    assert_eq!(said(&with("queue"), &ended, now), one);
    assert_eq!(said(&with("replace"), &ended, now), one);
    let to_the_second = past("2026-11-01T00:00:00Z", Some(("2026-11-24T10:00:00Z", Some("2026-11-24T12:00:00Z"))));
    let run = "run 2026-11-24T12:00:00Z";
    assert_eq!(said(&with("forbid"), &to_the_second, now), run, "it did not come while the run went on");
}

#[test]
fn jitter_moves_the_start_and_not_the_instant() {
    let spread = schedule(HOURLY, "  jitter: 30m\n");
    let offset = spread.offset(&stack());
    assert!(!offset.is_zero() && offset.as_secs() < 1_800, "{offset}");
    let fresh = past("2026-11-24T10:30:00Z", None);
    let start = at("2026-11-24T11:00:00Z") + offset;
    let before = (start - jiff::SignedDuration::from_secs(1)).to_string();
    assert_eq!(said(&spread, &fresh, &before), format!("its time has not come; next {start}"));
    assert_eq!(said(&spread, &fresh, &start.to_string()), "run 2026-11-24T11:00:00Z");
    // an instant before `since` whose start comes after it
    let late = past("2026-11-24T11:00:00Z", None);
    assert_eq!(
        said(&spread, &late, &start.to_string()),
        format!("its time has not come; next {}", start + jiff::SignedDuration::from_hours(1))
    );
}

#[test]
fn a_clock_that_went_back_runs_nothing_twice() {
    let hourly = schedule(HOURLY, "");
    let ran = past("2026-11-01T00:00:00Z", Some(("2026-11-24T11:00:00Z", Some("2026-11-24T11:05:00Z"))));
    assert_eq!(said(&hourly, &ran, "2026-11-24T09:30:00Z"), "its time has not come; next 2026-11-24T12:00:00Z");
}

#[test]
fn scripts_read_the_same() {
    let hourly = schedule(HOURLY, "");
    let on = past("2026-11-01T00:00:00Z", Some(("2026-11-24T10:00:00Z", None)));
    let json = |now| serde_json::to_value(due(&hourly, &stack(), &on, at(now))).unwrap();
    assert_eq!(
        json("2026-11-24T11:30:00Z"),
        serde_json::json!({"decision": "wait", "reason": "forbidden", "scheduled": "2026-11-24T11:00:00Z",
            "goingOn": "2026-11-24T10:00:00Z", "next": "2026-11-24T12:00:00Z"})
    );
    assert_eq!(
        json("2026-11-24T10:30:00Z"),
        serde_json::json!({"decision": "wait", "reason": "notYet", "next": "2026-11-24T11:00:00Z"})
    );
}

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn candidate(id: u32, time: Timestamp) -> Candidate<u32> {
    Candidate { id, time, tags: vec![], protected: vec![] }
}

fn candidates(times: &[&str]) -> Vec<Candidate<u32>> {
    times.iter().zip(0..).map(|(time, id)| candidate(id, at(time))).collect()
}

/// `id: reason, reason` for each that is kept, newest first.
fn kept<Id: fmt::Display>(decisions: &[Decision<Id>]) -> Vec<String> {
    let line = |d: &Decision<Id>| {
        let reasons: Vec<String> = d.reasons.iter().map(ToString::to_string).collect();
        format!("{}: {}", d.id, reasons.join(", "))
    };
    decisions.iter().filter(|d| d.keep).map(line).collect()
}

const NOW: &str = "2026-06-15T12:00:00Z";

#[test]
fn each_period_keeps_its_newest() {
    let points = candidates(&[
        "2026-06-15T03:00:00Z",
        "2026-06-15T02:59:00Z",
        "2026-06-14T23:00:00Z",
        "2026-06-14T01:00:00Z",
        "2026-06-07T01:00:00Z",
        "2026-05-31T01:00:00Z",
        "2025-12-31T01:00:00Z",
    ]);
    let policy = Policy { last: 1, hourly: 2, daily: 2, weekly: 2, monthly: 2, yearly: 2, ..Policy::default() };
    assert_eq!(
        kept(&decide(&policy, &points, at(NOW), &TimeZone::UTC)),
        [
            "0: last snapshot, hourly snapshot, daily snapshot, weekly snapshot, monthly snapshot, yearly snapshot",
            "1: hourly snapshot",
            "2: daily snapshot, weekly snapshot",
            "5: monthly snapshot",
            "6: yearly snapshot"
        ]
    );
}

#[test]
fn days_are_those_of_the_time_zone() {
    let points = candidates(&["2026-06-15T01:00:00Z", "2026-06-14T23:00:00Z", "2026-06-14T20:00:00Z"]);
    let policy = Policy { daily: 9, ..Policy::default() };
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    assert_eq!(kept(&decide(&policy, &points, at(NOW), &TimeZone::UTC)), ["0: daily snapshot", "1: daily snapshot"]);
    assert_eq!(kept(&decide(&policy, &points, at(NOW), &berlin)), ["0: daily snapshot", "2: daily snapshot"]);
}

#[test]
fn the_hour_that_comes_twice_in_autumn_is_one_hour_and_the_missing_one_in_spring_none() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let policy = Policy { hourly: 9, ..Policy::default() };
    // 03:10, 02:50 and 02:10 winter time, 02:30 summer time, 01:30 summer time.
    let autumn = candidates(&[
        "2025-10-26T02:10:00Z",
        "2025-10-26T01:50:00Z",
        "2025-10-26T01:10:00Z",
        "2025-10-26T00:30:00Z",
        "2025-10-25T23:30:00Z",
    ]);
    assert_eq!(
        kept(&decide(&policy, &autumn, at(NOW), &berlin)),
        ["0: hourly snapshot", "1: hourly snapshot", "4: hourly snapshot"]
    );
    let spring = candidates(&["2026-03-29T01:10:00Z", "2026-03-29T00:50:00Z"]);
    assert_eq!(kept(&decide(&policy, &spring, at(NOW), &berlin)), ["0: hourly snapshot", "1: hourly snapshot"]);
    // A day of 23 hours: one day before 12:00 on Monday is 12:00 on Sunday, also across the change.
    let within = Policy { within: Some("1d".parse().unwrap()), ..Policy::default() };
    let days = candidates(&["2026-03-29T10:00:00Z", "2026-03-28T11:30:00Z", "2026-03-28T10:30:00Z"]);
    assert_eq!(kept(&decide(&within, &days, at(NOW), &berlin)), ["0: within 1d", "1: within 1d"]);
}

#[test]
fn what_is_protected_is_never_dropped_and_says_why() {
    let mut points = candidates(&["2026-06-14T00:00:00Z", "2026-06-13T00:00:00Z", "2024-01-01T00:00:00Z"]);
    points[1].protected = vec!["newest proven".into()];
    points[2].protected = vec!["kept by a person: audit".into(), "last complete".into()];
    let policy = Policy { last: 1, max_age: Some(Duration::from_secs(86_400 * 365)), ..Policy::default() };
    let decisions = decide(&policy, &points, at(NOW), &TimeZone::UTC);
    assert_eq!(kept(&decisions), ["0: last snapshot", "1: newest proven", "2: kept by a person: audit, last complete"]);
    assert_eq!(decisions.iter().map(|d| d.overdue).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn the_duty_to_erase_wins_over_the_rules() {
    let points = candidates(&["2026-06-14T00:00:00Z", "2026-05-01T00:00:00Z", "2026-04-01T00:00:00Z"]);
    let month = Some(Duration::from_secs(86_400 * 30));
    let policy = Policy { last: 9, max_age: month, ..Policy::default() };
    let decisions = decide(&policy, &points, at(NOW), &TimeZone::UTC);
    assert_eq!(kept(&decisions), ["0: last snapshot"]);
    assert_eq!(decisions[1].reasons[0].to_string(), "older than the maximum age of 720h");
    // Alone it drops what is too old and nothing else.
    let alone = Policy { max_age: month, ..Policy::default() };
    assert_eq!(kept(&decide(&alone, &points, at(NOW), &TimeZone::UTC)), ["0: policy is empty"]);
}

#[test]
fn a_clock_that_was_ahead_or_jumped_back_loses_nothing() {
    let policy = Policy { last: 2, max_age: Some(Duration::from_secs(86_400 * 30)), ..Policy::default() };
    // Three snapshots were taken while the clock was years ahead: they do not push the real ones out.
    let ahead = candidates(&[
        "2031-01-03T00:00:00Z",
        "2031-01-02T00:00:00Z",
        "2031-01-01T00:00:00Z",
        "2026-06-15T00:00:00Z",
        "2026-06-14T00:00:00Z",
        "2026-06-13T00:00:00Z",
    ]);
    assert_eq!(
        kept(&decide(&policy, &ahead, at(NOW), &TimeZone::UTC)),
        [
            "0: dated in the future",
            "1: dated in the future",
            "2: dated in the future",
            "3: last snapshot",
            "4: last snapshot"
        ]
    );
    // Now the clock says 1970: nothing is dropped.
    let back = decide(&policy, &ahead, Timestamp::UNIX_EPOCH, &TimeZone::UTC);
    assert!(back.iter().all(|d| d.keep && d.reasons == [Reason::Future]), "{back:?}");
}

#[test]
fn tags_keep_what_has_all_of_one_list() {
    let mut points = candidates(&["2026-06-14T00:00:00Z", "2026-06-13T00:00:00Z", "2026-06-12T00:00:00Z"]);
    points[0].tags = vec!["a".into()];
    points[1].tags = vec!["b".into(), "a".into(), "c".into()];
    let policy = Policy { tags: vec![vec!["a".into(), "b".into()], vec!["x".into()]], ..Policy::default() };
    let decisions = decide(&policy, &points, at(NOW), &TimeZone::UTC);
    assert_eq!(kept(&decisions), ["1: has tags [a, b]"]);
    assert_eq!(
        serde_json::to_value(&decisions[0]).unwrap(),
        serde_json::json!({"id": 0, "time": "2026-06-14T00:00:00Z", "keep": false, "reasons": ["no rule keeps it"], "overdue": false})
    );
}

#[test]
fn without_rules_everything_stays() {
    let points = candidates(&["2026-06-14T00:00:00Z", "1990-06-13T00:00:00Z"]);
    let decisions = decide(&Policy::default(), &points, at(NOW), &TimeZone::UTC);
    assert_eq!(kept(&decisions), ["0: policy is empty", "1: policy is empty"]);
    assert_eq!(decide::<u32>(&Policy { last: 1, ..Policy::default() }, &[], at(NOW), &TimeZone::UTC), []);
}

#[test]
fn stretches_of_time_are_written_as_restic_writes_them() {
    let all: Within = "2y5m7d3h".parse().unwrap();
    assert_eq!(all, Within { years: 2, months: 5, days: 7, seconds: 3 * 3600 });
    assert_eq!((all.to_string(), "90d".parse::<Within>().unwrap().to_string()), ("2y5m7d3h".into(), "90d".into()));
    for bad in ["", "7", "d", "7w", "-1d", "0d", "7d ago", "99999999999d", "7ü"] {
        assert!(bad.parse::<Within>().is_err(), "{bad}");
    }
    let before = |within: &str, time: &str| within.parse::<Within>().unwrap().before(at(time), &TimeZone::UTC);
    assert_eq!(before("1m", "2026-03-31T12:00:00Z"), at("2026-03-03T12:00:00Z"), "as Go's AddDate");
    assert_eq!(before("1y1m1d1h", "2026-01-01T00:30:00Z"), at("2024-11-29T23:30:00Z"));
    assert_eq!(before("20000y", "2026-01-01T00:30:00Z"), Timestamp::MIN);
}

/// The same rules, said without a walk: of each period the newest, of those the newest so many.
fn model(policy: &Policy, points: &[Candidate<u32>], now: Timestamp, zone: &TimeZone) -> BTreeSet<u32> {
    let future = |c: &&Candidate<u32>| c.time > now;
    let past: Vec<&Candidate<u32>> = points.iter().filter(|c| !future(c)).collect();
    let newest_of = |key: &dyn Fn(&Candidate<u32>) -> String, among: &[&Candidate<u32>], count: usize| -> Vec<u32> {
        let mut best: BTreeMap<String, &Candidate<u32>> = BTreeMap::new();
        for &c in among {
            let best = best.entry(key(c)).or_insert(c);
            if (c.time, std::cmp::Reverse(c.id)) > (best.time, std::cmp::Reverse(best.id)) {
                *best = c;
            }
        }
        let mut best: Vec<_> = best.into_values().map(|c| (std::cmp::Reverse(c.time), c.id)).collect();
        best.sort();
        best.into_iter().map(|(_, id)| id).take(count).collect()
    };
    let format = |pattern: &'static str| {
        let zone = zone.clone();
        move |c: &Candidate<u32>| c.time.to_zoned(zone.clone()).strftime(pattern).to_string()
    };
    let periods: [(&str, u32, Option<Within>); 5] = [
        ("%Y%m%d%H", policy.hourly, policy.within_hourly),
        ("%Y%m%d", policy.daily, policy.within_daily),
        ("%G%V", policy.weekly, policy.within_weekly),
        ("%Y%m", policy.monthly, policy.within_monthly),
        ("%Y", policy.yearly, policy.within_yearly),
    ];
    let mut keep: BTreeSet<u32> = newest_of(&|c| c.id.to_string(), &past, policy.last as usize).into_iter().collect();
    let newest = past.iter().map(|c| c.time).max();
    for (pattern, count, within) in periods {
        keep.extend(newest_of(&format(pattern), &past, count as usize));
        if let (Some(within), Some(newest)) = (within, newest) {
            let young: Vec<_> = past.iter().copied().filter(|c| c.time > within.before(newest, zone)).collect();
            keep.extend(newest_of(&format(pattern), &young, usize::MAX));
        }
    }
    if let (Some(within), Some(newest)) = (policy.within, newest) {
        keep.extend(past.iter().filter(|c| c.time > within.before(newest, zone)).map(|c| c.id));
    }
    let tagged = |c: &&&Candidate<u32>| policy.tags.iter().any(|l| l.iter().all(|t| c.tags.contains(t)));
    keep.extend(past.iter().filter(tagged).map(|c| c.id));
    if !policy.has_keep_rules() {
        keep = past.iter().map(|c| c.id).collect();
    }
    if let Some(age) = policy.max_age {
        keep.retain(|id| points[*id as usize].time >= now.checked_sub(age).unwrap());
    }
    keep.extend(points.iter().filter(|c| future(c) || !c.protected.is_empty()).map(|c| c.id));
    keep
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let within = || {
        prop::option::weighted(
            0.2,
            (0u16..2, 0u16..3, 0u32..9, 0u64..50).prop_map(|(years, months, days, hours)| Within {
                years,
                months,
                days,
                seconds: hours * 3600 + 1,
            }),
        )
    };
    let count = || prop_oneof![2 => Just(0u32), 1 => 1u32..6];
    let tags = prop::collection::vec(prop::collection::vec("[ab]", 1..3), 0..2);
    (
        (count(), count(), count(), count(), count(), count()),
        (within(), within(), within(), within(), within(), within()),
        tags,
        prop::option::weighted(0.3, 0u64..40_000_000),
    )
        .prop_map(|(counts, withins, tags, max_age)| Policy {
            last: counts.0,
            hourly: counts.1,
            daily: counts.2,
            weekly: counts.3,
            monthly: counts.4,
            yearly: counts.5,
            within: withins.0,
            within_hourly: withins.1,
            within_daily: withins.2,
            within_weekly: withins.3,
            within_monthly: withins.4,
            within_yearly: withins.5,
            tags,
            max_age: max_age.map(Duration::from_secs),
        })
}

/// Bursts of minutes, days and months around 2026, so that periods hold none, one or many.
fn any_points() -> impl Strategy<Value = Vec<Candidate<u32>>> {
    let age = prop_oneof![-100_000i64..100_000, -10_000_000i64..10_000_000, -100_000_000i64..10_000_000];
    let point = (age, prop::collection::vec("[abc]", 0..3), prop::bool::weighted(0.05));
    prop::collection::vec(point, 0..40).prop_map(|points| {
        let one = |(id, (age, tags, protected)): (u32, (i64, Vec<String>, bool))| Candidate {
            id,
            time: at(NOW) + SignedDuration::from_secs(age),
            tags,
            protected: if protected { vec!["kept".into()] } else { vec![] },
        };
        (0..).zip(points).map(one).collect()
    })
}

use jiff::SignedDuration;

proptest! {
    #[test]
    fn decisions_are_those_of_the_model(policy in any_policy(), points in any_points(), zone in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("Pacific/Auckland")]) {
        let zone = TimeZone::get(zone).unwrap();
        let decisions = decide(&policy, &points, at(NOW), &zone);
        let kept: BTreeSet<u32> = decisions.iter().filter(|d| d.keep).map(|d| d.id).collect();
        prop_assert_eq!(kept, model(&policy, &points, at(NOW), &zone));
        prop_assert_eq!(decisions.len(), points.len());
        prop_assert!(decisions.iter().all(|d| !d.reasons.is_empty()));
        prop_assert!(decisions.is_sorted_by(|a, b| (a.time, std::cmp::Reverse(a.id)) > (b.time, std::cmp::Reverse(b.id))));
    }

    #[test]
    fn nothing_protected_or_newer_than_now_is_ever_dropped(policy in any_policy(), points in any_points(), shift in -200_000_000i64..200_000_000) {
        let now = at(NOW) + SignedDuration::from_secs(shift);
        for decision in decide(&policy, &points, now, &TimeZone::UTC) {
            let point = &points[decision.id as usize];
            prop_assert!(decision.keep || (point.time <= now && point.protected.is_empty()));
        }
    }
}

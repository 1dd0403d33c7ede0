//! What changes of the clocks do, by cases worked out by hand, and what must hold for any expression anywhere.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::schedule::cron::{Pace, tests::expressions};

fn timing(cron: &str, zone: &str) -> Timing {
    Timing { cron: cron.parse().unwrap(), zone: zone.parse().unwrap() }
}

/// The instants within [from, until), on the zone's walls.
fn shown(cron: &str, zone: &str, from: &str, until: &str) -> Vec<String> {
    let timing = timing(cron, zone);
    let before = at(from) - SignedDuration::from_secs(1);
    let instants: Vec<Timestamp> = timing.after(before).take_while(|instant| *instant < at(until)).collect();
    // and backwards
    let mut back = Vec::new();
    let mut latest = at(until) - SignedDuration::from_secs(1);
    while let Some(instant) = timing.newest(latest).filter(|instant| *instant >= at(from)) {
        back.insert(0, instant);
        latest = instant - SignedDuration::from_secs(1);
    }
    assert_eq!(instants, back, "{cron} in {zone}, forwards and backwards");
    instants.into_iter().map(|instant| timing.zone.show(instant)).collect()
}

#[test]
fn a_fixed_hour_runs_once_right_after_a_gap() {
    // Berlin, 2026-03-29: 01:59 +01:00 is followed by 03:00 +02:00
    let gap = |cron| shown(cron, "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_eq!(gap("30 2 * * *"), ["2026-03-29 03:00 +02:00"]);
    assert_eq!(gap("*/10 2 * * *"), ["2026-03-29 03:00 +02:00"], "once, not six times");
    assert_eq!(
        gap("30 1,2,3 * * *"),
        ["2026-03-29 01:30 +01:00", "2026-03-29 03:00 +02:00", "2026-03-29 03:30 +02:00"]
    );
    assert_eq!(gap("0 2,3 * * *"), ["2026-03-29 03:00 +02:00"], "both at once are one");
    assert_eq!(gap("30 2 29 3 *"), ["2026-03-29 03:00 +02:00"]);
    assert_eq!(gap("30 2 30 * *"), [""; 0], "meant for another day");
}

#[test]
fn a_fixed_hour_runs_once_in_an_overlap_at_the_first_of_the_two() {
    // Berlin, 2026-10-25: 02:59 +02:00 is followed by 02:00 +01:00
    let overlap = |cron| shown(cron, "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T03:00:00Z");
    assert_eq!(overlap("30 2 * * *"), ["2026-10-25 02:30 +02:00"]);
    assert_eq!(overlap("*/30 2 * * *"), ["2026-10-25 02:00 +02:00", "2026-10-25 02:30 +02:00"]);
    assert_eq!(overlap("0 3 * * *"), ["2026-10-25 03:00 +01:00"]);
}

#[test]
fn every_hour_goes_by_elapsed_time() {
    let gap = shown("0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z");
    assert_eq!(gap, ["2026-03-29 01:00 +01:00", "2026-03-29 03:00 +02:00", "2026-03-29 04:00 +02:00"]);
    let overlap = shown("0 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z");
    assert_eq!(
        overlap,
        ["2026-10-25 01:00 +02:00", "2026-10-25 02:00 +02:00", "2026-10-25 02:00 +01:00", "2026-10-25 03:00 +01:00"]
    );
    let second = |from, until| shown("0 */2 * * *", "Europe/Berlin", from, until);
    assert_eq!(
        second("2026-03-28T23:00:00Z", "2026-03-29T03:00:00Z"),
        ["2026-03-29 00:00 +01:00", "2026-03-29 04:00 +02:00"],
        "not for the hour that is left out"
    );
    assert_eq!(
        second("2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z"),
        ["2026-10-25 02:00 +02:00", "2026-10-25 02:00 +01:00"],
        "in both repeated hours"
    );
}

#[test]
fn half_hours_midnights_and_a_whole_day_are_no_exception() {
    // Lord Howe moves by 30 minutes: 2026-04-05 01:59 +11:00 is followed by 01:30 +10:30
    assert_eq!(
        shown("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-05T13:00:00Z"),
        ["2026-04-05 01:45 +11:00"]
    );
    assert_eq!(
        shown("10 2 * * *", "Australia/Lord_Howe", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z"),
        ["2026-10-04 02:30 +11:00"]
    );
    // Santiago leaves out midnight: 2025-09-06 23:59 -04:00 is followed by 2025-09-07 01:00 -03:00
    assert_eq!(
        shown("@daily", "America/Santiago", "2025-09-07T00:00:00Z", "2025-09-08T00:00:00Z"),
        ["2025-09-07 01:00 -03:00"]
    );
    // St. John's repeated 23:01 to 00:00, of two days
    let repeated = |cron| shown(cron, "America/St_Johns", "2009-11-01T01:31:00Z", "2009-11-01T04:31:00Z");
    assert_eq!(repeated("0 0 * * *"), ["2009-11-01 00:00 -02:30"]);
    assert_eq!(repeated("30 23 * * *"), ["2009-10-31 23:30 -02:30"]);
    assert_eq!(
        repeated("0 * * * *"),
        ["2009-11-01 00:00 -02:30", "2009-11-01 00:00 -03:30", "2009-11-01 01:00 -03:30"]
    );
    // Samoa left out 2011-12-30, a Friday
    let apia = |cron| shown(cron, "Pacific/Apia", "2011-12-29T10:00:00Z", "2012-01-01T10:00:00Z");
    assert_eq!(apia("0 8 * * fri"), ["2011-12-31 00:00 +14:00"]);
    assert_eq!(apia("0 8 30 * *"), ["2011-12-31 00:00 +14:00"]);
    assert_eq!(
        apia("0 8 * * *"),
        ["2011-12-29 08:00 -10:00", "2011-12-31 00:00 +14:00", "2011-12-31 08:00 +14:00", "2012-01-01 08:00 +14:00"]
    );
    assert_eq!(apia("0 */8 30 * *"), [""; 0], "by elapsed time that day is not there");
}

#[test]
fn what_the_clocks_did_is_told() {
    let shift = |cron, zone, instant| timing(cron, zone).shift(at(instant));
    assert_eq!(shift("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z"), Some(Shift::AfterGap));
    assert_eq!(shift("0 2,3 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z"), None, "03:00 was meant too");
    assert_eq!(shift("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z"), Some(Shift::FirstOfTwo));
    assert_eq!(shift("30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z"), None);
    assert_eq!(shift("30 1 * * *", "Europe/Berlin", "2026-10-24T23:30:00Z"), None);
    assert_eq!(shift("30 2 * * *", "UTC", "2026-10-24T02:30:00Z"), None);
}

#[test]
fn zones_are_the_built_in_ones() {
    let name = |text: &str| text.parse::<Zone>().map(|zone| zone.name().to_owned());
    assert_eq!(name("europe/berlin").as_deref(), Ok("Europe/Berlin"));
    assert_eq!(name("UTC").as_deref(), Ok("UTC"));
    assert_eq!(name("US/Eastern").as_deref(), Ok("US/Eastern"));
    for unknown in ["Etc/Unknown", "local", "UTC+2", "CEST", "", "../etc/localtime", "/usr/share/zoneinfo/UTC"] {
        assert!(name(unknown).unwrap_err().contains("is no time zone of the IANA database 20"), "{unknown}");
    }
}

#[test]
fn the_ends_of_time_are_ends() {
    let daily = timing("0 0 * * *", "Europe/Berlin");
    assert_eq!(daily.next(Timestamp::MAX), None);
    assert_eq!(daily.newest(Timestamp::MIN), None);
    assert!(daily.next(Timestamp::MIN).is_some() && daily.newest(Timestamp::MAX).is_some());
}

fn zones() -> impl Strategy<Value = Zone> {
    let names = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Casablanca",
        "Pacific/Apia",
        "America/St_Johns",
        "Antarctica/Troll",
        "Asia/Kathmandu",
        "Africa/Monrovia",
        "America/Havana",
    ];
    prop::sample::select(names.to_vec()).prop_map(|name| name.parse().unwrap())
}

proptest! {
    #[test]
    fn instants_increase_and_each_is_what_the_wall_says(
        cron in expressions(), zone in zones(), from in 0_i64..4_000_000_000, more in 0_i32..1_000_000_000,
    ) {
        let timing = Timing { cron, zone };
        let mut last = Timestamp::new(from, more).unwrap();
        for next in timing.after(last).take(20) {
            prop_assert!(next > last, "{next} after {last}");
            let local = next.to_zoned(timing.zone.time_zone().clone()).datetime();
            let wall = local.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
            let named = wall % 60 == 0 && timing.cron.names(wall / 60);
            prop_assert!(named || timing.shift(next) == Some(Shift::AfterGap), "{next} is shown as {local}");
            if timing.cron.pace() == Pace::Wall && named {
                let first = timing.zone.time_zone().to_ambiguous_timestamp(local).earlier().unwrap();
                prop_assert_eq!(first, next, "the first of two");
            }
            prop_assert_eq!(timing.newest(next), Some(next));
            prop_assert!(timing.newest(next - SignedDuration::from_nanos(1)).is_none_or(|before| before <= last));
            last = next;
        }
    }
}

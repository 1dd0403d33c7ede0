use proptest::prelude::*;

use super::*;

fn cron(text: &str) -> Cron {
    text.parse().unwrap_or_else(|said| panic!("{said}"))
}

fn bits(values: impl IntoIterator<Item = u32>) -> u64 {
    values.into_iter().fold(0, |bits, value| bits | 1 << value)
}

#[test]
fn fields_are_read_as_crontab_5_says() {
    let all = cron("*/15 9-17/4 1,15,28-31 Jan,6-8 mon-FRI");
    assert_eq!(all.minutes, bits([0, 15, 30, 45]));
    assert_eq!(all.hours, bits([9, 13, 17]));
    assert_eq!(all.days, bits([1, 15, 28, 29, 30, 31]));
    assert_eq!(all.months, bits([1, 6, 7, 8]));
    assert_eq!(all.weekdays, bits(1..=5));
    assert_eq!(cron("* * * * *").minutes, bits(0..60));
}

#[test]
fn sunday_is_0_and_7_and_the_end_of_a_week() {
    for (text, days) in [
        ("0", vec![0]),
        ("7", vec![0]),
        ("sun", vec![0]),
        ("5-7", vec![5, 6, 0]),
        ("fri-sun", vec![5, 6, 0]),
        ("sun-tue", vec![0, 1, 2]),
        ("0-7", (0..7).collect()),
        ("*", (0..7).collect()),
        ("*/2", vec![0, 2, 4, 6]),
    ] {
        assert_eq!(cron(&format!("0 0 * * {text}")).weekdays, bits(days), "{text}");
    }
}

#[test]
fn names_stand_for_expressions() {
    for (name, expression) in MACROS {
        let (named, plain) = (cron(name), cron(expression));
        assert_eq!(Cron { text: plain.text.clone(), ..named }, plain);
    }
    assert_eq!(cron("@hourly").pace(), Pace::Elapsed);
    assert_eq!(cron("@daily").pace(), Pace::Wall);
}

#[test]
fn only_a_star_or_its_steps_in_the_hour_go_by_elapsed_time() {
    for (hour, pace) in [
        ("*", Pace::Elapsed),
        ("*/2", Pace::Elapsed),
        ("0-23", Pace::Wall),
        ("0-23/2", Pace::Wall),
        ("2", Pace::Wall),
        ("*/2,1", Pace::Wall),
    ] {
        assert_eq!(cron(&format!("*/5 {hour} * * *")).pace(), pace, "{hour}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_was_expected() {
    let said: Vec<String> = [
        "",
        "* * * *",
        "0 * * * * *",
        "TZ=UTC * * * * *",
        "@reboot",
        "@fortnightly",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * sunday",
        "* * L * *",
        "* * ? * *",
        "* * * * 5#2",
        "5/10 * * * *",
        "*/0 * * * *",
        "*/x * * * *",
        "*/60 * * * *",
        "0-10/20 * * * *",
        "0 22-2 * * *",
        "0 0 * * fri-mon",
        "1,,2 * * * *",
        "+5 * * * *",
        "-5 * * * *",
        "1-2-3 * * * *",
        "0 0 30 2 *",
        "0 0 31 2,4,6 *",
        "0 0 31 9-11/2 *",
    ]
    .iter()
    .map(|text| text.parse::<Cron>().map_or_else(|said| said, |cron| panic!("{cron} was taken")))
    .collect();
    insta::assert_snapshot!("refusals", said.join("\n"));
}

#[test]
fn what_fires_seldom_is_not_refused() {
    for (text, minute) in [
        ("0 0 29 2 *", "2104-02-29T00:00"), // 2100 is no leap year
        ("0 0 31 2,3 *", "2097-03-31T00:00"),
        ("0 0 30 2 mon", "2097-02-04T00:00"),   // or a Monday
        ("0 0 */28 2 mon", "2097-02-04T00:00"), // begins with `*`: 1 or 29 February, and a Monday
    ] {
        let from = minute_of("2097-01-01T00:00");
        let found = cron(text).wall_from(from).unwrap_or_else(|| panic!("{text} never fires"));
        if text.contains("*/28") {
            assert!(cron(text).names(found) && found > from, "{text}");
        } else {
            assert_eq!(found, minute_of(minute), "{text}");
        }
    }
}

#[test]
fn a_day_is_of_the_month_or_of_the_week_when_both_are_restricted() {
    // November 2026 begins on a Sunday
    let days = |text: &str| -> Vec<i64> {
        let first = minute_of("2026-11-01T00:00") / 1440;
        (0..30).filter(|day| cron(text).names((first + day) * 1440)).map(|day| day + 1).collect()
    };
    assert_eq!(days("0 0 13 * 5"), [6, 13, 20, 27]);
    assert_eq!(days("0 0 1,2 * mon"), [1, 2, 9, 16, 23, 30]);
    assert_eq!(days("0 0 * * mon"), [2, 9, 16, 23, 30]);
    assert_eq!(days("0 0 */2 * mon"), [9, 23], "both: it begins with `*`");
}

fn minute_of(text: &str) -> i64 {
    let time: jiff::civil::DateTime = text.parse().unwrap();
    time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second() / 60
}

fn a_field(first: u32, last: u32) -> impl Strategy<Value = String> {
    let part = (first..=last, first..=last, 1..=4_u32).prop_map(move |(a, b, step)| {
        let (a, b) = (a.min(b), a.max(b));
        if b - a > step { format!("{a}-{b}/{step}") } else { a.to_string() }
    });
    prop_oneof![2 => Just("*".to_owned()), 1 => (2..5_u32).prop_map(|n| format!("*/{n}")),
        3 => prop::collection::vec(part, 1..3).prop_map(|parts| parts.join(","))]
}

/// Expressions that people could write; those that never fire are left out.
pub fn expressions() -> impl Strategy<Value = Cron> {
    let fields = (a_field(0, 59), a_field(0, 23), a_field(1, 31), a_field(1, 12), a_field(0, 7));
    fields.prop_filter_map("it fires", |(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}").parse().ok())
}

proptest! {
    #[test]
    fn nothing_lies_between_a_minute_and_the_next_that_is_named(cron in expressions(), from in 0_i64..60_000_000) {
        let next = cron.wall_from(from).expect("it is not refused, so it fires");
        prop_assert!(next >= from && cron.names(next), "{cron}: {next}");
        for minute in (from..next).take(5_000) {
            prop_assert!(!cron.names(minute), "{cron}: {minute}");
        }
        prop_assert_eq!(cron.wall_until(next), Some(next));
        prop_assert_eq!(cron.wall_until(from).filter(|last| *last > from), None);
        if let Some(last) = cron.wall_until(from - 1) {
            prop_assert!(cron.names(last) && cron.wall_from(last + 1) == Some(next), "{cron}: {last}");
        }
    }
}

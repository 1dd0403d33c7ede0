//! What tests/fixtures/schedules/brute_force.py found by looking at every minute, found again by searching.

use std::collections::BTreeMap;

use drydock::schedule::Timing;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
pub struct Expected {
    pub zones: Vec<Zone>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Zone {
    pub zone: String,
    pub from: String,
    pub until: String,
    clocks_move_by_minutes: BTreeMap<String, i32>,
    pub expressions: Vec<Expression>,
}

#[derive(Deserialize)]
pub struct Expression {
    pub cron: String,
    pub count: usize,
    sha256: String,
    /// The instants around each change of the clocks: what a failure shows.
    near: BTreeMap<String, String>,
}

pub fn expected() -> Expected {
    serde_json::from_str(include_str!("../fixtures/schedules/expected.json")).unwrap()
}

fn minute(text: &str) -> Timestamp {
    super::at(&text.replace('Z', ":00Z"))
}

fn show(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

impl Zone {
    pub fn timing(&self, expression: &Expression) -> Timing {
        Timing { cron: expression.cron.parse().unwrap(), zone: self.zone.parse().unwrap() }
    }

    /// The instants of `expression` in these years, by the code under test; they are the brute force's.
    pub fn instants(&self, expression: &Expression) -> Vec<Timestamp> {
        let (from, until) = (minute(&self.from), minute(&self.until));
        let timing = self.timing(expression);
        let instants: Vec<Timestamp> =
            timing.after(from - SignedDuration::from_nanos(1)).take_while(|instant| *instant < until).collect();
        for (change, expected) in &expression.near {
            let listed: Vec<Timestamp> = expected.split(' ').map(minute).collect();
            let (first, last) = (listed[0], listed[listed.len() - 1]);
            let found = instants.iter().filter(|instant| (first..=last).contains(*instant)).map(|i| show(*i));
            let found = found.collect::<Vec<_>>().join(" ");
            assert_eq!(found, *expected, "`{}` in {} around {change}", expression.cron, self.zone);
        }
        let text: String = instants.iter().map(|instant| show(*instant) + "\n").collect();
        let digest = hex::encode(Sha256::digest(text));
        let what = format!("`{}` in {} from {}", expression.cron, self.zone, self.from);
        assert_eq!((instants.len(), digest), (expression.count, expression.sha256.clone()), "{what}");
        instants
    }
}

#[test]
fn five_years_of_every_expression_in_every_zone_are_as_every_minute_says() {
    let expected = expected();
    let mut all = 0;
    for zone in &expected.zones {
        all += zone.expressions.iter().map(|expression| zone.instants(expression).len()).sum::<usize>();
    }
    let zones: Vec<&str> = expected.zones.iter().map(|zone| zone.zone.as_str()).collect();
    assert_eq!(
        zones,
        [
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "America/Santiago",
            "Africa/Casablanca",
            "Pacific/Apia",
            "America/Santiago",
            "Africa/Casablanca"
        ]
    );
    let changes: Vec<usize> = expected.zones.iter().map(|zone| zone.clocks_move_by_minutes.len()).collect();
    assert_eq!(changes, [0, 10, 10, 10, 10, 14, 8, 10, 10], "the clocks did change in these years");
    assert_eq!(expected.zones[6].clocks_move_by_minutes["2011-12-30T10:00Z"], 24 * 60, "Samoa's day that was not");
    assert!(all > 2_000_000, "{all} instants were compared");
}

//! A query's one value: true, or an instant that is new enough.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use super::{Database, Shown, Unasked};
use crate::context::Context;
use crate::data::postgres::{Answer, ask};
use crate::stack::{FreshnessAssertion, duration};

pub(super) async fn is_true(
    database: Database<'_>,
    query: &str,
    limit: Duration,
    cx: &Context,
) -> Result<Shown, Unasked> {
    let answer = one_value(ask(database.spec, database.name, query, limit, cx).await?)?;
    if answer.kind != "boolean" {
        return Err(Unasked::Because(format!("the query yields a {}, not a boolean", answer.kind)));
    }
    let found = match (answer.rows, answer.value.as_deref()) {
        (0, _) => "no row",
        (_, None) => "null",
        (_, Some("t")) => "true",
        (_, Some(_)) => "false",
    };
    Ok(Shown::new(found == "true", "true", found))
}

pub(super) async fn is_fresh(
    database: Database<'_>,
    assertion: &FreshnessAssertion,
    instant: Timestamp,
    limit: Duration,
    cx: &Context,
) -> Result<Shown, Unasked> {
    let answer = one_value(ask(database.spec, database.name, &assertion.query, limit, cx).await?)?;
    judge(&answer, assertion.within, instant)
}

fn one_value(answer: Answer) -> Result<Answer, Unasked> {
    match (answer.columns, answer.rows) {
        (1, 0 | 1) => Ok(answer),
        (1, _) => Err(Unasked::Because("the query yields several rows, not one value".into())),
        (0, _) => Err(Unasked::Because("the statement yields nothing".into())),
        (n, _) => Err(Unasked::Because(format!("the query yields {n} columns, not one value"))),
    }
}

/// Seen from the instant that the data stands for, not from now: an old recovery point is as fresh as it was.
fn judge(answer: &Answer, within: Duration, instant: Timestamp) -> Result<Shown, Unasked> {
    let expected = format!("at most {} older than the recovery point's instant, {instant:.0}", duration::human(within));
    let Some(text) = &answer.value else { return Ok(Shown::new(false, expected, "no instant")) };
    let newest = read(text, &answer.kind).map_err(Unasked::Because)?;
    let age = instant.duration_since(newest);
    if age.is_negative() {
        let ahead = duration::human(age.unsigned_abs());
        let mut shown = Shown::new(true, expected, format!("{ahead} newer than it"));
        shown.note = Some("dated after the recovery point: a clock that runs ahead makes this blind".into());
        return Ok(shown);
    }
    let age = age.unsigned_abs();
    Ok(Shown::new(age <= within, expected, format!("{} older than it", duration::human(age))))
}

/// An instant as the server prints it under `ISO` and `UTC`; one without a zone is taken for UTC, as Rails writes it.
fn read(text: &str, kind: &str) -> Result<Timestamp, String> {
    let wrong = || format!("an instant of {kind} cannot be understood (infinite, or before the year 1?)");
    let text = text.replacen(' ', "T", 1);
    let civil = |text: &str| text.parse::<civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    match kind {
        "timestamp with time zone" => text.parse().map_err(|_| wrong()),
        "timestamp without time zone" => civil(&text).map(|zoned| zoned.timestamp()).ok_or_else(wrong),
        "date" => civil(&format!("{text}T00:00:00")).map(|zoned| zoned.timestamp()).ok_or_else(wrong),
        kind => Err(format!("the query yields a {kind}, not a timestamp or date")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(value: Option<&str>, kind: &str) -> Result<(bool, String), String> {
        let answer = Answer { value: value.map(str::to_owned), kind: kind.into(), columns: 1, rows: 1 };
        let instant = "2026-11-23T12:00:00Z".parse().unwrap();
        match judge(&answer, Duration::from_secs(86_400), instant) {
            Ok(shown) => Ok((shown.holds, shown.found)),
            Err(Unasked::Because(why)) => Err(why),
            Err(Unasked::Cancelled) => unreachable!(),
        }
    }

    #[test]
    fn freshness_is_seen_from_the_point_and_a_zone_that_is_missing_is_utc() {
        let zoned = "timestamp with time zone";
        let plain = "timestamp without time zone";
        assert_eq!(said(Some("2026-11-22 12:00:00+00"), zoned), Ok((true, "1d older than it".into())));
        assert_eq!(said(Some("2026-11-22 11:59:59.5+00"), zoned), Ok((false, "1d older than it".into())));
        assert_eq!(said(Some("2026-11-23 09:00:00.123456"), plain).unwrap().1, "2h 59m older than it");
        assert_eq!(said(Some("2026-11-22"), "date"), Ok((false, "1d 12h older than it".into())));
        assert_eq!(said(Some("2026-11-23 13:00:00+00"), zoned), Ok((true, "1h newer than it".into())));
        assert_eq!(said(None, zoned), Ok((false, "no instant".into())));
        assert!(said(Some("infinity"), zoned).unwrap_err().contains("infinite"));
        assert!(said(Some("x"), "text").unwrap_err().contains("yields a text"));
    }
}

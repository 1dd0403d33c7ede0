//! Durations as people write them: `30s`, `15m`, `24h`, `8d`, or several units (`1h30m`).

use std::time::Duration;

use super::schema::written_as;

/// How a duration is written.
pub struct Written;

written_as!(Written, {"type": "string", "pattern": "^([0-9]+[smhdw])+$"});

/// Reads `text`; the units are s, m, h, d, w.
///
/// # Errors
/// The text and what was expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is not a duration: expected for example `30s`, `15m`, `24h` or `8d`");
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let next = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u64::from(digit)));
            number = Some(next.ok_or_else(expected)?);
        } else {
            let unit = match c {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                'd' => 86_400,
                'w' => 604_800,
                _ => return Err(expected()),
            };
            let seconds = number.take().and_then(|n| n.checked_mul(unit)).ok_or_else(expected)?;
            total = total.checked_add(seconds).ok_or_else(expected)?;
        }
    }
    if number.is_some() || text.is_empty() {
        return Err(expected());
    }
    Ok(Duration::from_secs(total))
}

/// `duration` with its two largest units: `8d 4h`, `1h 30m`, `42s`; what is below a second is `0.4s`.
#[must_use]
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 10 {
        return format!("{:.1}s", duration.as_secs_f64());
    }
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, length) in units {
        if rest / length > 0 || !parts.is_empty() {
            parts.push((rest / length, unit));
            rest %= length;
        }
    }
    parts.truncate(2);
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect::<Vec<_>>().join(" ")
}

/// `duration` in whole seconds, as [`parse`] reads it: `30d`, `1h30m`, `0s`.
#[must_use]
pub fn exact(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= length {
            text += &format!("{}{unit}", rest / length);
            rest %= length;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// For fields that must be there.
///
/// # Errors
/// As [`parse`].
pub fn required<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    use serde::Deserialize;
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

pub mod option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    /// # Errors
    /// As [`super::parse`].
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| super::parse(&text).map_err(serde::de::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse("2w"), Ok(Duration::from_secs(1_209_600)));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "10", "h", "1x", "-1h", "1.5h", "99999999999999999999s", "9999999999999999w"] {
            assert!(parse(text).unwrap_err().contains("expected for example `30s`"), "{text}");
        }
    }

    #[test]
    fn what_is_written_exactly_is_read_as_it_was() {
        assert_eq!(
            [0, 59, 5_400, 90_061, 2_592_000].map(|s| exact(Duration::from_secs(s))),
            ["0s", "59s", "1h30m", "1d1h1m1s", "30d"]
        );
        assert_eq!(parse("1d1h1m1s"), Ok(Duration::from_secs(90_061)));
    }

    #[test]
    fn people_read_two_units() {
        let shown = [0, 9, 61, 5_400, 90_061, 691_200].map(|s| human(Duration::from_secs(s)));
        assert_eq!(shown, ["0.0s", "9.0s", "1m 1s", "1h 30m", "1d 1h", "8d"]);
    }
}

//! Numbers, instants and ages as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::stack::duration;

/// `1,234,567`.
#[must_use]
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `2 files`; the plural is made with an `s`.
#[must_use]
pub fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", number(n), if n == 1 { "" } else { "s" })
}

/// In the machine's time zone with its offset, so that nobody has to ask which.
#[must_use]
pub fn instant(time: Timestamp) -> String {
    instant_in(time, &TimeZone::system())
}

/// On the walls of `zone`, with its offset.
#[must_use]
pub fn instant_in(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// Milliseconds as a duration.
#[must_use]
pub fn ms(ms: u64) -> String {
    duration::human(std::time::Duration::from_millis(ms))
}

/// How long ago `time` was; what lies in the future says so.
#[must_use]
pub fn age(time: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(time);
    let text = duration::human(passed.unsigned_abs());
    if passed.is_negative() { format!("in {text}") } else { text }
}

/// How long until `time`; nothing of what is past.
#[must_use]
pub fn ahead(time: Timestamp, now: Timestamp) -> String {
    duration::human(time.duration_since(now).max(jiff::SignedDuration::ZERO).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_parted() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((count(1, "file"), count(2_000, "file")), ("1 file".into(), "2,000 files".into()));
    }

    #[test]
    fn a_clock_that_jumped_back_gives_no_negative_age() {
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(age(at(0), at(90_000)), "1d 1h");
        assert_eq!(age(at(3_600), at(0)), "in 1h");
    }
}

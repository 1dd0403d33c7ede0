//! Cron expressions: which minutes of a wall clock they name, and whether they go by that clock or by elapsed time. Knows
//! no zone; time here is the wall's, counted in minutes since 1970-01-01 00:00 of the same wall.

mod field;
mod wall;

use std::fmt;
use std::str::FromStr;

use field::{DAY, HOUR, MINUTE, MONTH, Parsed, WEEKDAY};

/// Five fields as crontab(5) has them: minute, hour, day of month, month, day of week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// As it was written, with single spaces.
    text: String,
    /// One bit a value, here and below.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is bit 0.
    weekdays: u64,
    day_rule: DayRule,
    pace: Pace,
}

/// How day of month and day of week go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayRule {
    /// At least one of the two begins with `*`: a day must be in both.
    Both,
    /// Both are restricted: a day must be in one of them. crontab(5) and POSIX.
    Either,
}

/// What a change of the clocks does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The hours are fixed: once where the clocks repeat an hour, and once, right after it, where they leave one out.
    Wall,
    /// The hour is `*` or `*/n`: in both repeated hours, and not for one that is left out.
    Elapsed,
}

/// Names that stand for expressions, as in crontab(5).
const MACROS: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Cron {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Why no day is ever in it; the largest month counts, so 29 February fires.
    fn never_fires(&self) -> Option<String> {
        // A day of week comes in every month; `*/n` in the other field holds the 1st, which is on it in some year.
        let in_month = |month: u64| self.days.trailing_zeros() <= LONGEST[month as usize - 1];
        let days_decide = self.day_rule == DayRule::Both;
        if !days_decide || (1..=12).any(|month| self.months & (1 << month) != 0 && in_month(month)) {
            return None;
        }
        let months: Vec<&str> = (1..=12).filter(|m| self.months & (1 << m) != 0).map(|m| MONTHS[m - 1]).collect();
        let (has, day) = (if months.len() == 1 { "has" } else { "have" }, self.days.trailing_zeros());
        Some(format!("`{}` never fires: {} {has} no day {day}", self.text, months.join(" and ")))
    }
}

/// Days of the months, in leap years.
const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl FromStr for Cron {
    type Err = String;

    /// Reads `text`; what is wrong is said with the field and what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let expression = if text.starts_with('@') { named(&text)? } else { &text };
        let fields: Vec<&str> = expression.split(' ').collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(wrong_count(&text, fields.len()));
        };
        let of = |field: &field::Field, part: &str| field.parse(part).map_err(|why| format!("`{text}`: {why}"));
        let Parsed { values: minutes, .. } = of(&MINUTE, minute)?;
        let Parsed { values: hours, .. } = of(&HOUR, hour)?;
        let (days, weekdays) = (of(&DAY, day)?, of(&WEEKDAY, weekday)?);
        let Parsed { values: months, .. } = of(&MONTH, month)?;
        let cron = Self {
            minutes,
            hours,
            days: days.values,
            months,
            weekdays: weekdays.values,
            day_rule: if days.is_star || weekdays.is_star { DayRule::Both } else { DayRule::Either },
            pace: if hour == "*" || (hour.starts_with("*/") && !hour.contains(',')) {
                Pace::Elapsed
            } else {
                Pace::Wall
            },
            text,
        };
        cron.never_fires().map_or(Ok(cron), Err)
    }
}

fn named(text: &str) -> Result<&'static str, String> {
    if text == "@reboot" {
        return Err("`@reboot` is no time; expected five fields, such as `15 2 * * *`".into());
    }
    let known = MACROS.iter().find(|(name, _)| *name == text).map(|(_, expression)| *expression);
    known.ok_or_else(|| {
        let names: Vec<String> = MACROS.iter().map(|(name, _)| format!("`{name}`")).collect();
        format!("`{text}` is not known; expected five fields, such as `15 2 * * *`, or one of {}", names.join(", "))
    })
}

fn wrong_count(text: &str, found: usize) -> String {
    let expected = "minute, hour, day of month, month, day of week";
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        return format!("`{text}`: the zone has a field of its own, `timeZone`; expected {expected}");
    }
    let seconds = if found == 6 { "; there is none for seconds" } else { "" };
    let found = if text.is_empty() { "nothing".to_owned() } else { format!("`{text}`, {found} of them") };
    format!("expected five fields, {expected}{seconds}; found {found}")
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
pub mod tests;

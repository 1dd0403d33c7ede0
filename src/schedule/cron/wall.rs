//! The next and the last minute of the wall that an expression names.

use jiff::civil::{Date, date};

use super::{Cron, DayRule};

const MINUTES_A_DAY: i64 = 1_440;
/// Every expression that is not refused fires within this: 29 February is up to eight years away (1896 to 1904, 2096 to
/// 2104), on a given day of the week up to forty.
const HORIZON_DAYS: u32 = 45 * 366;

impl Cron {
    /// The first minute that it names from `minute` on.
    pub(crate) fn wall_from(&self, minute: i64) -> Option<i64> {
        let mut day = day_of(minute)?;
        let mut earliest = minute_of_day(minute);
        for _ in 0..HORIZON_DAYS {
            if !self.has_month(day) {
                day = day.last_of_month().tomorrow().ok()?;
                earliest = 0;
                continue;
            }
            if self.has_day(day)
                && let Some(found) = self.time_from(earliest)
            {
                return Some(number_of(day) * MINUTES_A_DAY + i64::from(found));
            }
            day = day.tomorrow().ok()?;
            earliest = 0;
        }
        None
    }

    /// The last minute that it names up to `minute`.
    pub(crate) fn wall_until(&self, minute: i64) -> Option<i64> {
        let mut day = day_of(minute)?;
        let mut latest = minute_of_day(minute);
        for _ in 0..HORIZON_DAYS {
            if !self.has_month(day) {
                day = day.first_of_month().yesterday().ok()?;
                latest = 1_439;
                continue;
            }
            if self.has_day(day)
                && let Some(found) = self.time_until(latest)
            {
                return Some(number_of(day) * MINUTES_A_DAY + i64::from(found));
            }
            day = day.yesterday().ok()?;
            latest = 1_439;
        }
        None
    }

    /// Whether it names `minute`.
    pub(crate) fn names(&self, minute: i64) -> bool {
        let time = minute_of_day(minute);
        let in_day = self.hours >> (time / 60) & self.minutes >> (time % 60) & 1 == 1;
        in_day && day_of(minute).is_some_and(|day| self.has_month(day) && self.has_day(day))
    }

    fn has_month(&self, day: Date) -> bool {
        self.months >> day.month() & 1 == 1
    }

    fn has_day(&self, day: Date) -> bool {
        let of_month = self.days >> day.day() & 1 == 1;
        let of_week = self.weekdays >> day.weekday().to_sunday_zero_offset() & 1 == 1;
        match self.day_rule {
            DayRule::Both => of_month && of_week,
            DayRule::Either => of_month || of_week,
        }
    }

    /// The first minute of a day from `earliest` on.
    fn time_from(&self, earliest: u32) -> Option<u32> {
        let (hour, minute) = (earliest / 60, earliest % 60);
        if self.hours >> hour & 1 == 1
            && let Some(minute) = first_from(self.minutes, minute)
        {
            return Some(hour * 60 + minute);
        }
        Some(first_from(self.hours, hour + 1)? * 60 + first_from(self.minutes, 0)?)
    }

    fn time_until(&self, latest: u32) -> Option<u32> {
        let (hour, minute) = (latest / 60, latest % 60);
        if self.hours >> hour & 1 == 1
            && let Some(minute) = last_until(self.minutes, minute)
        {
            return Some(hour * 60 + minute);
        }
        Some(last_until(self.hours, hour.checked_sub(1)?)? * 60 + last_until(self.minutes, 59)?)
    }
}

/// The lowest bit from `bit` on.
fn first_from(bits: u64, bit: u32) -> Option<u32> {
    let rest = bits >> bit;
    (rest != 0).then(|| bit + rest.trailing_zeros())
}

/// The highest bit up to `bit`, which is below 63.
fn last_until(bits: u64, bit: u32) -> Option<u32> {
    let rest = bits & ((1 << (bit + 1)) - 1);
    (rest != 0).then(|| 63 - rest.leading_zeros())
}

fn minute_of_day(minute: i64) -> u32 {
    u32::try_from(minute.rem_euclid(MINUTES_A_DAY)).expect("a remainder below 1,440")
}

fn day_of(minute: i64) -> Option<Date> {
    EPOCH.checked_add(jiff::Span::new().try_days(minute.div_euclid(MINUTES_A_DAY)).ok()?).ok()
}

fn number_of(day: Date) -> i64 {
    EPOCH.duration_until(day).as_hours() / 24
}

const EPOCH: Date = date(1970, 1, 1);

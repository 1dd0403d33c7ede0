//! Where the newest runs lie in a bucket that lists by the beginning of a name alone. Pure.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::stack::Name;

/// How ids begin. What a newer drydock knows beside these is listed with everything only.
pub const KINDS: [&str; 9] =
    ["snapshot", "drill", "check", "forget", "prune", "restore", "restore-copy", "restore-undo", "restore-discard"];

/// Beginnings of ids of `kind` on `stack`, each step wider than the one before: today and yesterday, and tomorrow, which
/// another machine's clock may have reached; this month and the last; this year and the last; everything.
pub fn prefixes(kind: &str, stack: &Name, now: Timestamp) -> [Vec<String>; 4] {
    let today = now.to_zoned(TimeZone::UTC).date();
    let neighbours = [today.tomorrow(), Ok(today), today.yesterday()];
    let months = [today.tomorrow(), Ok(today), today.first_of_month().yesterday()];
    let years = [today.tomorrow(), Ok(today), today.first_of_year().yesterday()];
    let of = |dates: [Result<Date, jiff::Error>; 3], format: &str| {
        // Beyond the year 9999 there is no tomorrow.
        let mut found: Vec<String> =
            dates.into_iter().flatten().map(|date| format!("{kind}-{stack}-{}", date.strftime(format))).collect();
        found.dedup();
        found
    };
    [of(neighbours, "%Y%m%dt"), of(months, "%Y%m"), of(years, "%Y"), vec![format!("{kind}-{stack}-")]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_wider_and_none_is_asked_for_twice() {
        let stack = "shop".parse().unwrap();
        let of = |now: &str| prefixes("drill", &stack, now.parse().unwrap());
        let [days, months, years, all] = of("2027-01-01T00:30:00Z");
        assert_eq!(days, ["drill-shop-20270102t", "drill-shop-20270101t", "drill-shop-20261231t"]);
        assert_eq!(months, ["drill-shop-202701", "drill-shop-202612"]);
        assert_eq!(years, ["drill-shop-2027", "drill-shop-2026"]);
        assert_eq!(all, ["drill-shop-"]);
        assert_eq!(of("2026-03-31T12:00:00Z")[1], ["drill-shop-202604", "drill-shop-202603", "drill-shop-202602"]);
    }
}

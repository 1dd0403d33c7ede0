//! Do recoveries get slower? Pure: earlier drills and this one come in.

use jiff::Timestamp;
use serde::Serialize;

/// What an earlier drill of all data sets took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    pub time: Timestamp,
    pub rto_ms: u64,
    pub bytes: u64,
}

/// This drill among those before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trend {
    /// How many drills before this one are counted.
    pub earlier: usize,
    pub earlier_median_rto_ms: u64,
    /// By how much a recovery grows, from the median of all pairs of drills; fewer than three drills show nothing.
    pub rto_ms_per_day: Option<f64>,
    /// Why a person should look although the objective is met.
    pub warning: Option<String>,
}

/// From here on the objective is near: a restore on a bad day takes a quarter longer than on a good one.
const NEAR: f64 = 0.8;
/// How far ahead a growth is followed: a quarter of a year is time enough to do something.
const AHEAD_DAYS: f64 = 90.0;
/// Fewer drills, this one included, are no line.
const DRILLS: usize = 3;
/// A day's noise is no growth over months.
const SPAN_DAYS: f64 = 3.0;

/// Sees `now` against the drills `before` it; `None` for the first.
#[must_use]
pub fn trend(before: &[Past], now: Past, objective_ms: Option<u64>) -> Option<Trend> {
    let mut earlier: Vec<Past> = before.iter().copied().filter(|past| past.time < now.time).collect();
    if earlier.is_empty() {
        return None;
    }
    let mut times: Vec<u64> = earlier.iter().map(|past| past.rto_ms).collect();
    times.sort_unstable();
    let (count, median) = (earlier.len(), times[times.len() / 2]);
    earlier.push(now);
    let slope = slope(&earlier);
    let warning = objective_ms.and_then(|objective| warning(now.rto_ms, slope, objective));
    Some(Trend { earlier: count, earlier_median_rto_ms: median, rto_ms_per_day: slope, warning })
}

/// Theil and Sen's: the median of the slopes between all pairs, which one slow drill does not bend.
fn slope(drills: &[Past]) -> Option<f64> {
    let days = |a: &Past, b: &Past| b.time.duration_since(a.time).as_secs_f64() / 86_400.0;
    let first = drills.iter().min_by_key(|past| past.time)?;
    let last = drills.iter().max_by_key(|past| past.time)?;
    if drills.len() < DRILLS || days(first, last) < SPAN_DAYS {
        return None;
    }
    let mut slopes = Vec::new();
    for (n, a) in drills.iter().enumerate() {
        for b in &drills[n + 1..] {
            let apart = days(a, b);
            if apart != 0.0 {
                slopes.push((b.rto_ms as f64 - a.rto_ms as f64) / apart);
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    // The lower of two middle ones: of few drills the newest alone is half of all pairs.
    slopes.get(slopes.len().saturating_sub(1) / 2).copied()
}

fn warning(rto_ms: u64, slope: Option<f64>, objective_ms: u64) -> Option<String> {
    let (rto, objective) = (rto_ms as f64, objective_ms as f64);
    if rto > objective {
        return None; // missed already, which is said louder
    }
    if let Some(slope) = slope.filter(|slope| *slope > 0.0) {
        let days = (objective - rto) / slope;
        if days <= AHEAD_DAYS {
            return Some(format!("recoveries get slower: at this rate the objective is missed in {days:.0} days"));
        }
    }
    (rto >= NEAR * objective).then(|| format!("the recovery took {:.0} % of its objective", 100.0 * rto / objective))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(day: i64, rto_s: u64) -> Past {
        let time = Timestamp::from_second(day * 86_400).unwrap();
        Past { time, rto_ms: rto_s * 1_000, bytes: 1 << 30 }
    }

    fn warned(before: &[Past], now: Past) -> Option<String> {
        trend(before, now, Some(1_000_000)).and_then(|trend| trend.warning)
    }

    #[test]
    fn a_recovery_that_drifts_towards_its_objective_is_warned_of() {
        assert_eq!(trend(&[], on(1, 100), None), None);
        let weekly = [on(0, 100), on(7, 170), on(14, 240)];
        assert_eq!(
            warned(&weekly, on(21, 310)).unwrap(),
            "recoveries get slower: at this rate the objective is missed in 69 days"
        );
        let steady = [on(0, 300), on(7, 310), on(14, 290)];
        assert_eq!(warned(&steady, on(21, 300)), None);
        assert_eq!(warned(&steady, on(21, 850)).unwrap(), "the recovery took 85 % of its objective");
        assert_eq!(warned(&steady, on(21, 1_200)), None, "that is missed, not near");
    }

    #[test]
    fn one_slow_drill_and_one_afternoon_are_no_trend() {
        let one_slow = [on(0, 100), on(7, 900), on(14, 101), on(21, 100)];
        assert_eq!(warned(&one_slow, on(28, 102)), None);
        let afternoon: Vec<Past> = (0..5).map(|n| Past { rto_ms: 100_000 * (n + 1), ..on(0, 0) }).collect();
        let now = Past { time: on(1, 0).time, ..on(0, 600) };
        assert_eq!(trend(&afternoon, now, Some(1_000_000)).unwrap().rto_ms_per_day, None);
    }
}

//! Which of ten thousand runs are looked at: ids carry their instant, so that the newest are known by name.

use std::cmp::Reverse;

use crate::run::RunId;

/// The instant in a run's id as it stands there, `20261124t021500z`; `None` where there is none. Texts of this shape sort
/// as their instants do.
#[must_use]
pub fn instant_of(run: &RunId) -> Option<&str> {
    let is_instant = |part: &&str| {
        let bytes = part.as_bytes();
        bytes.len() == 16
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                8 => *byte == b't',
                15 => *byte == b'z',
                _ => byte.is_ascii_digit(),
            })
    };
    // The last one is the run's: a stack may be called like an instant, a schedule may not.
    run.as_str().rsplit('-').find(is_instant)
}

/// Sorts by the instants in the ids; those without one come last.
pub fn newest_first(runs: &mut [RunId]) {
    runs.sort_by_cached_key(|run| Reverse((instant_of(run).map(str::to_owned), run.clone())));
}

/// The first word of an id: the kind of run.
pub(super) fn kind_of(run: &RunId) -> &str {
    run.as_str().split('-').next().unwrap_or_default()
}

/// The ids whose journals are worth reading: the newest `most`, and of each kind and each of `schedules` the newest `few`.
/// `runs` are sorted, the newest first.
pub(super) fn worth_reading<'a>(runs: &'a [RunId], schedules: &[String], most: usize, few: usize) -> Vec<&'a RunId> {
    let mut counts = std::collections::HashMap::<&str, usize>::new();
    let mut wanted = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let of_kind = counts.entry(kind_of(run)).or_default();
        *of_kind += 1;
        let is_among_few = *of_kind <= few;
        // `…-<instant>-<schedule>`
        let tail = instant_of(run).and_then(|instant| run.as_str().rsplit_once(&format!("{instant}-")));
        let of_schedule = tail.and_then(|(_, name)| schedules.iter().find(|schedule| *schedule == name));
        let is_schedules = of_schedule.is_some_and(|schedule| {
            let count = counts.entry(schedule.as_str()).or_default();
            *count += 1;
            *count <= few
        });
        if at < most || is_among_few || is_schedules {
            wanted.push(run);
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(ids: &[&str]) -> Vec<RunId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn the_newest_come_first_whatever_they_are_and_those_without_an_instant_last() {
        let mut all = runs(&[
            "snapshot-shop-20261101t021500z-nightly",
            "restore-shop-1",
            "drill-shop-20261122t043000z-weekly-drill",
            "snapshot-20990101t000000z-20261123t021500z-nightly",
            "check-shop-20261122t043000z-1a2b3c4d",
        ]);
        newest_first(&mut all);
        let ids: Vec<&str> = all.iter().map(RunId::as_str).collect();
        assert_eq!(
            ids,
            [
                "snapshot-20990101t000000z-20261123t021500z-nightly",
                "drill-shop-20261122t043000z-weekly-drill",
                "check-shop-20261122t043000z-1a2b3c4d",
                "snapshot-shop-20261101t021500z-nightly",
                "restore-shop-1",
            ]
        );
    }

    #[test]
    fn a_rare_kind_and_a_rare_schedule_are_read_although_many_came_since() {
        let mut all: Vec<String> =
            (10..60).map(|n| format!("snapshot-shop-202611{:02}t000000z-hourly", n % 28 + 1)).collect();
        all.push("check-shop-20261001t000000z-monthly".into());
        all.push("snapshot-shop-20260901t000000z-yearly".into());
        let mut all = runs(&all.iter().map(String::as_str).collect::<Vec<_>>());
        newest_first(&mut all);
        let read = worth_reading(&all, &["yearly".into(), "hourly".into()], 3, 1);
        let ids: Vec<&str> = read.iter().map(|run| run.as_str()).collect();
        assert_eq!(ids.len(), 5);
        assert!(
            ids.contains(&"check-shop-20261001t000000z-monthly")
                && ids.contains(&"snapshot-shop-20260901t000000z-yearly")
        );
    }
}

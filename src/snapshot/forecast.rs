//! How much a snapshot will read and how long that takes, by what the last one took. Pure.

use std::time::Duration;

use serde::Serialize;

use super::SnapshotPlan;
use crate::data::Estimate;
use crate::point::{DataWord, Member};
use crate::stack::Name;

/// What a snapshot is expected to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    pub data: Vec<Expected>,
    pub bytes: u64,
    /// By what the last complete point took; none when that does not tell it of one of the data sets.
    pub expected_ms: Option<u64>,
}

/// One data set's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    pub data: Name,
    pub kind: DataWord,
    pub bytes: u64,
    pub items: u64,
    pub expected_ms: Option<u64>,
}

impl Forecast {
    /// Puts what the sources say of their size beside what the last point took for it.
    #[must_use]
    pub fn of(plan: &SnapshotPlan, estimates: &[(Name, Estimate)]) -> Self {
        let one = |(name, estimate): &(Name, Estimate)| {
            let set = plan.sets.iter().find(|set| set.name == *name)?;
            let expected_ms = plan.former.get(name).and_then(|member| expected_ms(member, estimate, plan.reread));
            let (bytes, items) = (estimate.bytes, estimate.items);
            Some(Expected { data: name.clone(), kind: (&set.kind).into(), bytes, items, expected_ms })
        };
        let data: Vec<Expected> = estimates.iter().filter_map(one).collect();
        let bytes = data.iter().map(|expected| expected.bytes).sum();
        let expected_ms = data.iter().map(|expected| expected.expected_ms).sum();
        Self { data, bytes, expected_ms }
    }

    /// The time it is expected to take.
    #[must_use]
    pub fn expected(&self) -> Option<Duration> {
        self.expected_ms.map(Duration::from_millis)
    }

    /// How large `data` is said to be.
    #[must_use]
    pub fn bytes_of(&self, data: &Name) -> u64 {
        self.data.iter().find(|expected| expected.data == *data).map_or(0, |expected| expected.bytes)
    }
}

/// How long a data set takes now, by what it took when `former` was read.
fn expected_ms(former: &Member, estimate: &Estimate, reread: bool) -> Option<u64> {
    match former.kind {
        // The server tells what tables take on its disk, headers, dead rows and compression included; what was recorded is
        // the rows' text. The two say nothing of each other, so of growth nothing is known.
        DataWord::Postgres => Some(former.took_ms),
        // Likewise memory and the RDB; but keys are counted on both sides.
        DataWord::Redis => Some(scale(former.took_ms, estimate.items, former.items)),
        DataWord::Volume => volume(former, estimate, reread),
    }
}

/// A rate is known only of a time in which at least half of the files were read; otherwise the time went into looking at
/// them, and holds while not more is new than was then.
fn volume(former: &Member, estimate: &Estimate, reread: bool) -> Option<u64> {
    if former.read_bytes >= former.bytes.div_ceil(2) {
        return Some(scale(former.took_ms, estimate.bytes, former.read_bytes));
    }
    let as_before = !reread && estimate.bytes <= former.bytes.saturating_add(former.read_bytes);
    as_before.then(|| scale(former.took_ms, estimate.items, former.items))
}

/// Of nothing no rate can be told: it takes as long as it took.
fn scale(took_ms: u64, now: u64, former: u64) -> u64 {
    if former == 0 {
        return took_ms;
    }
    let scaled = u128::from(took_ms) * u128::from(now) / u128::from(former);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::PointRecord;

    /// A member of the committed recovery point, of another kind and size.
    fn former(kind: DataWord, bytes: u64, read_bytes: u64) -> Member {
        let json = include_bytes!("../../tests/fixtures/formats/point-1.json");
        let record: PointRecord = serde_json::from_slice(json).unwrap();
        Member { kind, bytes, read_bytes, items: 100, took_ms: 60_000, ..record.members[0].clone() }
    }

    fn now(bytes: u64, items: u64) -> Estimate {
        Estimate { bytes, items }
    }

    #[test]
    fn a_servers_own_measure_is_not_held_against_what_was_stored() {
        let database = former(DataWord::Postgres, 10_000, 10_000);
        assert_eq!(expected_ms(&database, &now(1_000, 3), false), Some(60_000), "compressed to a tenth on its disk");
        assert_eq!(expected_ms(&former(DataWord::Redis, 10, 10), &now(99, 200), false), Some(120_000));
    }

    #[test]
    fn the_seconds_of_a_look_at_unchanged_files_are_no_rate() {
        let mostly_looked = former(DataWord::Volume, 10_000, 10);
        assert_eq!(expected_ms(&mostly_looked, &now(10_005, 100), false), Some(60_000));
        assert_eq!(expected_ms(&mostly_looked, &now(10_005, 100), true), None, "all of it is read again");
        assert_eq!(expected_ms(&mostly_looked, &now(20_000, 100), false), None, "half of it is new");
        let mostly_read = former(DataWord::Volume, 10_000, 6_000);
        assert_eq!(expected_ms(&mostly_read, &now(12_000, 100), true), Some(120_000));
        assert_eq!(expected_ms(&former(DataWord::Volume, 0, 0), &now(0, 100), false), Some(60_000));
    }
}

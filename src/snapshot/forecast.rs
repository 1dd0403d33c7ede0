//! How much a snapshot will read and how long that takes, by what the last one took. Pure.

use std::time::Duration;

use serde::Serialize;

use super::SnapshotPlan;
use crate::data::Estimate;
use crate::point::DataWord;
use crate::stack::Name;

/// What a snapshot is expected to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    pub data: Vec<Expected>,
    pub bytes: u64,
    /// By the last complete point's rates; none when it lacks one of the data sets.
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
            let former = plan.former.get(name).filter(|member| member.bytes > 0);
            let scaled = former.map(|member| scale(member.took_ms, estimate.bytes, member.bytes));
            let (bytes, items) = (estimate.bytes, estimate.items);
            Some(Expected { data: name.clone(), kind: (&set.kind).into(), bytes, items, expected_ms: scaled })
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

fn scale(took_ms: u64, bytes: u64, former_bytes: u64) -> u64 {
    let scaled = u128::from(took_ms) * u128::from(bytes) / u128::from(former_bytes);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

//! Is the date right that the point will bear for ever? Points are ordered and dropped by it.

use jiff::Timestamp;

use super::SnapshotError;
use crate::context::Context;
use crate::point::{CLOCK_TOLERANCE, Home, store_time};

/// Holds this machine's clock against the store's, and against the newest complete point of before. Returns what is odd
/// where nobody can tell which of them is wrong.
///
/// # Errors
/// `Clock` where the store's clock differs by more than [`CLOCK_TOLERANCE`]; what the store says.
pub async fn look(home: &Home, former: Option<Timestamp>, cx: &Context) -> Result<Option<String>, SnapshotError> {
    let (store, machine) = (store_time(home).await?, cx.clock.now());
    if machine.duration_since(store).abs() > CLOCK_TOLERANCE {
        return Err(SnapshotError::Clock { machine, store });
    }
    let odd = former.filter(|former| former.duration_since(machine) > CLOCK_TOLERANCE).map(|former| {
        format!(
            "the newest recovery point of before is dated {former:.0}, later than now ({machine:.0}): a clock was wrong then \
             or is now; `latest` passes over what is dated in the future"
        )
    });
    if let Some(odd) = &odd {
        tracing::warn!("{odd}");
    }
    Ok(odd)
}

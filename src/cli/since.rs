//! From when on schedules count, as a daemon has written it down: what was missed since is told by it.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::daemon::{SinceError, read_since};
use crate::schedule::{Schedule, ScheduleName};
use crate::storage::SharedStore;

/// Those that a daemon has seen with their expression and zone of now.
///
/// # Errors
/// When the store cannot be asked, or what lies there is not understood.
pub async fn since(
    store: &SharedStore,
    schedules: &[Schedule],
) -> Result<BTreeMap<ScheduleName, Timestamp>, SinceError> {
    let read = schedules.iter().map(|schedule| async move {
        let timing = &schedule.spec.timing;
        let known = read_since(store, &schedule.name)
            .await?
            .filter(|known| known.cron == timing.cron.to_string() && known.time_zone == timing.zone.to_string());
        Ok(known.map(|known| (schedule.name.clone(), known.since)))
    });
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

//! What time it is by the store's clock.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Home, PointError, PointId};
use crate::storage::StorageError;

/// The store's clock, read off a small object that is written and removed: there is no other way to ask.
///
/// # Errors
/// When the store takes no small object.
pub async fn store_time(home: &Home) -> Result<Timestamp, PointError> {
    let token = PointId::random().to_string();
    let key = format!("probe/clock-{token}");
    home.store.create(&key, Bytes::from(token)).await?;
    let seen = home.store.stat(&key).await;
    home.store.delete(&key).await?;
    let meta = seen?.ok_or_else(|| StorageError::NotFound { location: home.store.location(), key })?;
    Ok(meta.modified)
}

//! What time it is for those who drop things by age.

use bytes::Bytes;
use jiff::Timestamp;

use crate::context::Context;
use crate::point::{Home, PointError, PointId};
use crate::storage::StorageError;

/// The earlier of this machine's clock and the store's, so that neither of them running ahead makes anything look old.
///
/// # Errors
/// When the store takes no small object; whoever is about to drop things finds that out before.
pub async fn earlier(home: &Home, cx: &Context) -> Result<Timestamp, PointError> {
    let token = PointId::random().to_string();
    let key = format!("probe/clock-{token}");
    home.store.create(&key, Bytes::from(token)).await?;
    let seen = home.store.stat(&key).await;
    home.store.delete(&key).await?;
    let meta = seen?.ok_or_else(|| StorageError::NotFound { location: home.store.location(), key })?;
    Ok(cx.clock.now().min(meta.modified))
}

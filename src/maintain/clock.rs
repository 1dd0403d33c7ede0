//! What time it is for those who drop things by age.

use jiff::Timestamp;

use crate::context::Context;
use crate::point::{Home, PointError, store_time};

/// The earlier of this machine's clock and the store's, so that neither of them running ahead makes anything look old.
///
/// # Errors
/// When the store takes no small object; whoever is about to drop things finds that out before.
pub async fn earlier(home: &Home, cx: &Context) -> Result<Timestamp, PointError> {
    let store = store_time(home).await?;
    Ok(cx.clock.now().min(store))
}

//! Whether a server serves: one PING with the application's own login.

use crate::stack::RedisSpec;

use super::connection::Endpoint;
use super::error::RedisError;

/// Asks for a PONG. INFO is not asked: an application's login need not be allowed to, and a server that loads its data
/// answers LOADING to this, too.
///
/// # Errors
/// `Loading` while it reads its data in; every way in which a connection or a login fails.
pub async fn ping(spec: &RedisSpec) -> Result<(), RedisError> {
    Endpoint::new(spec)?.connect().await?.command(&["PING"]).await.map(drop)
}

//! The stack's place in the store, opened at the start and again when the document changes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::board::Board;
use super::documents::told;
use super::health::Health;
use super::{DaemonError, service};
use crate::failure::{Category, Failure};
use crate::point::Home;
use crate::stack::Stack;

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(10);

/// Opens the stack's place; waits while the store cannot be asked, which after a power cut may come up later than this.
///
/// # Errors
/// What waiting does not mend: a wrong password, another stack's place, no repository.
pub async fn open_when_there(stack: &Stack, board: &Board, health: &Health) -> Result<Home, DaemonError> {
    loop {
        health.tick();
        let error = match Home::open(stack.clone()).await {
            Ok(home) => {
                board.set_trouble("store", None);
                return Ok(home);
            }
            Err(error) if matches!(error.category(), Category::Unavailable | Category::Locked) => error,
            Err(error) => return Err(error.into()),
        };
        let why = told(&error);
        service::status(&format!("waiting for the store: {why}"));
        if board.set_trouble("store", Some(why.clone())) {
            tracing::warn!(why, "the store does not answer yet; it is asked again every 10 s");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Where a document that was read anew is tried out before it is in force.
#[async_trait]
pub trait Door: Send + Sync {
    /// Opens the place that `stack` names and hands it to all parts.
    ///
    /// # Errors
    /// When it cannot be opened: the former stays.
    async fn open(&self, stack: &Stack) -> Result<(), DaemonError>;
}

/// The real one.
pub struct Opened(pub watch::Sender<Arc<Home>>);

#[async_trait]
impl Door for Opened {
    async fn open(&self, stack: &Stack) -> Result<(), DaemonError> {
        let home = Home::open(stack.clone()).await?;
        self.0.send_replace(Arc::new(home));
        Ok(())
    }
}

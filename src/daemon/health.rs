//! Whether the main loop still turns: what `/healthz` and systemd's watchdog are told.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// A turn asks the store, with a limit of half of this; a loop that has not turned for longer hangs.
pub const STALLED: Duration = Duration::from_secs(60);

/// When the main loop turned last.
#[derive(Debug)]
pub struct Health(Mutex<Instant>);

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Health {
    /// The main loop has turned.
    pub fn tick(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago that was.
    #[must_use]
    pub fn last_turn(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.last_turn() < STALLED
    }
}

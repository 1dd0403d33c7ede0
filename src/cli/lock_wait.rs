//! The option of every command that locks the repository.

use std::time::Duration;

use crate::stack::duration;

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct LockWait {
    /// How long to wait for another process's lock of the repository
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1m")]
    pub lock_wait: Duration,
}

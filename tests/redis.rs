//! Redis 6.2 and 7.0, taken into a repository and brought back. The judges are `DEBUG DIGEST` and redis-server itself.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "redis/capture.rs"]
mod capture;
#[path = "redis/fixtures.rs"]
mod fixtures;
#[path = "redis/hardships.rs"]
mod hardships;
#[path = "redis/helpers.rs"]
mod helpers;
#[path = "redis/refusals.rs"]
mod refusals;
#[path = "redis/restore.rs"]
mod restore;
mod support;

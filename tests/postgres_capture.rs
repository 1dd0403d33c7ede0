//! PostgreSQL 9.5 to 18, read into a repository. The judges are psql, pg_dump and restic.

#[path = "postgres_capture/consistency.rs"]
mod consistency;
#[path = "postgres_capture/content.rs"]
mod content;
#[path = "postgres_capture/doctor.rs"]
mod doctor;
#[path = "postgres_capture/helpers.rs"]
mod helpers;
#[path = "postgres_capture/kindness.rs"]
mod kindness;
#[path = "postgres_capture/login.rs"]
mod login;
#[path = "postgres_capture/records.rs"]
mod records;
mod support;

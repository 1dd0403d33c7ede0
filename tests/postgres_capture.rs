//! PostgreSQL 9.5 to 18, read into a repository. The judges are psql, pg_dump and restic.

#[path = "postgres_capture/content.rs"]
mod content;
#[path = "postgres_capture/doctor.rs"]
mod doctor;
#[path = "postgres_capture/helpers.rs"]
mod helpers;
mod support;

//! PostgreSQL databases, taken into a repository and brought back, on servers from 9.5 to 18. The judge is `pg_dump`.

#[path = "postgres_restore/encodings.rs"]
mod encodings;
#[path = "postgres_restore/helpers.rs"]
mod helpers;
#[path = "postgres_restore/in_place.rs"]
mod in_place;
#[path = "postgres_restore/refusals.rs"]
mod refusals;
#[path = "postgres_restore/roles.rs"]
mod roles;
#[path = "postgres_restore/round_trip.rs"]
mod round_trip;
mod support;

//! What a database has, asked of its catalogs inside the exported snapshot. Every query runs on 9.5 to 18 or says
//! which of its parts does.

mod database;
mod relations;
mod types;

pub use database::{CatalogRecord, database_record, properties, roles_and_tablespaces, server_position};
pub use relations::{Relation, RelationKind, measure, relations};

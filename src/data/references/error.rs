//! Why rows and files cannot be compared.

use crate::data::postgres::PostgresError;
use crate::failure::{Category, Failure};
use crate::repository::RepositoryError;

#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("`{reference}` finds no table {table} with the columns {columns}")]
    NoTable { reference: &'static str, table: &'static str, columns: String },
    #[error("the table {table} is in several schemas: {schemas}")]
    SeveralTables { table: &'static str, schemas: String },
    #[error("the list of verified files cannot be used: {0}")]
    Checked(&'static str),
    #[error("cancelled")]
    Cancelled,
}

impl Failure for ReferenceError {
    fn category(&self) -> Category {
        match self {
            Self::Postgres(error) => error.category(),
            Self::Repository(error) => error.category(),
            Self::NoTable { .. } | Self::SeveralTables { .. } => Category::Usage,
            Self::Checked(_) => Category::Integrity,
            Self::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Postgres(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::NoTable { .. } => Some("check `database`, `databaseName` and the rights of the user".into()),
            Self::SeveralTables { .. } => Some("drydock compares the one in `public`, and there is none".into()),
            _ => None,
        }
    }
}

//! Where runs are read from.

use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::point::{self, Home};
use crate::run::{Journals, journal};
use crate::stack::Stack;
use crate::storage::SharedStore;

/// The runs of `-f`'s stack.
pub struct Place {
    pub stack: Stack,
    pub store: SharedStore,
    pub journals: Box<dyn Journals>,
}

impl Place {
    /// Those of a stack that is open already.
    pub fn of(home: &Home) -> Self {
        let (stack, store) = (home.stack.clone(), home.store.clone());
        let journals = journal::of(&stack, &store);
        Self { stack, store, journals }
    }
}

/// Looks whose the store is; needs no password of the repository.
pub async fn open(session: &Session) -> Result<Place, Failed> {
    let stack = session.stack()?;
    let store = crate::storage::open(&point::store_spec(&stack)?).await?;
    point::owner(&store, &stack.name).await?;
    let journals = journal::of(&stack, &store);
    Ok(Place { stack, store, journals })
}

//! `stack.json`: whose the prefix is. Lies outside the encrypted repository, so that a wrong stack is told before a
//! password is asked. Format version 1.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PointError, PointId, versioned};
use crate::stack::Name;
use crate::storage::{Created, SharedStore, StorageError};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    pub format_version: u32,
    pub stack: Name,
    pub created: Timestamp,
    pub tool: String,
    /// Random, so that of two that create it at once each knows its own.
    pub token: String,
}

/// Whether the prefix was claimed now or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Now,
    Before,
}

impl Owner {
    pub const FORMAT_VERSION: u32 = 1;
    /// Its key in the store.
    pub const KEY: &str = "stack.json";

    fn new(stack: &Name, now: Timestamp) -> Self {
        Self {
            format_version: Self::FORMAT_VERSION,
            stack: stack.clone(),
            created: now,
            tool: crate::TOOL.into(),
            token: PointId::random().to_string(),
        }
    }
}

/// Makes `store`'s prefix `stack`'s, if it is nobody's.
///
/// # Errors
/// [`PointError::OtherStack`] when it is another's.
pub async fn claim(store: &SharedStore, stack: &Name, now: Timestamp) -> Result<Claim, PointError> {
    let json = serde_json::to_vec_pretty(&Owner::new(stack, now)).expect("names and texts are JSON");
    match store.create(Owner::KEY, Bytes::from(json)).await? {
        Created::New => Ok(Claim::Now),
        Created::Exists => owner(store, stack).await.map(|_| Claim::Before),
    }
}

/// Whose the prefix is; it must be `stack`'s.
///
/// # Errors
/// [`PointError::NotInitialised`] when it is nobody's, [`PointError::OtherStack`] when it is another's.
pub async fn owner(store: &SharedStore, stack: &Name) -> Result<Owner, PointError> {
    let location = store.location();
    let json = match store.get(Owner::KEY).await {
        Ok(json) => json,
        Err(StorageError::NotFound { .. }) => return Err(PointError::NotInitialised { location }),
        Err(error) => return Err(error.into()),
    };
    let owner: Owner = versioned::read(&format!("{location}/{}", Owner::KEY), &json, Owner::FORMAT_VERSION)?;
    if owner.stack != *stack {
        return Err(PointError::OtherStack { location, owner: owner.stack, stack: stack.clone() });
    }
    Ok(owner)
}

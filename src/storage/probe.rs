//! Finds out whether a store keeps its word about create-if-absent: some ignore the condition, some race.

use futures_util::future::join_all;

use bytes::Bytes;

use super::{Created, StorageError, Store};

/// Where probes lie: beside the repository, where restic does not look.
pub const PROBES: &str = "probe/";

/// SeaweedFS 4.16 let two of two win in some of 45 races and one of its kind always; five races of four find either.
const ROUNDS: usize = 5;
const RACERS: usize = 4;

/// What a store does with two creations of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateIfAbsent {
    /// One wins, the others are told so.
    Honoured,
    /// A second creation of an object that was there already was accepted.
    Ignored,
    /// Of creations at one time more than one was told that it won, or the object is not the winner's.
    Races,
    /// The store says that it does not know how.
    Refused,
}

/// Lets creations race for a few new keys and looks who won. Leaves nothing behind.
///
/// # Errors
/// Where the store could not be asked.
pub async fn probe_create_if_absent(store: &dyn Store) -> Result<CreateIfAbsent, StorageError> {
    for _ in 0..ROUNDS {
        let key = format!("{PROBES}create-{:032x}", rand::random::<u128>());
        let seen = race(store, &key).await;
        store.delete(&key).await?;
        match seen {
            Ok(CreateIfAbsent::Honoured) => {}
            Err(StorageError::Misconfigured(reason)) => {
                tracing::debug!(reason, "create-if-absent is refused");
                return Ok(CreateIfAbsent::Refused);
            }
            seen => return seen,
        }
    }
    Ok(CreateIfAbsent::Honoured)
}

async fn race(store: &dyn Store, key: &str) -> Result<CreateIfAbsent, StorageError> {
    let contents: Vec<Bytes> = (0..RACERS).map(|n| format!("{n} {:032x}", rand::random::<u128>()).into()).collect();
    let told = join_all(contents.iter().map(|content| store.create(key, content.clone()))).await;
    let mut winners = Vec::new();
    for (created, content) in told.into_iter().zip(&contents) {
        if created? == Created::New {
            winners.push(content);
        }
    }
    if store.create(key, "late".into()).await? == Created::New {
        return Ok(CreateIfAbsent::Ignored);
    }
    let there = store.get(key).await?;
    Ok(if winners == [&there] { CreateIfAbsent::Honoured } else { CreateIfAbsent::Races })
}

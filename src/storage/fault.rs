//! A store that misbehaves on demand, for tests of what stands on it. A decorator: production code never sees it.
//! Power cuts are simulated one level lower, by [`Forgetful`](super::Forgetful).

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Created, ObjectMeta, SharedStore, StorageError, Store, Swept};

/// The operations that a fault can hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Get,
    GetRange,
    Put,
    Create,
    Delete,
    Stat,
    List,
    Sweep,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is done, and an error is reported.
    FailBefore,
    /// All is done, and an error is reported: an answer that was lost on its way.
    FailAfter,
    /// Nothing is done and no answer comes, for this long; then it is done.
    Stall(Duration),
    /// Of what is written only this many bytes arrive, under the object's name, and an error is reported. Worse than
    /// what our own stores may do; other tools and file systems do it.
    Tear(usize),
    /// The byte at this place (modulo the length) comes back altered; what is stored is untouched.
    Corrupt(usize),
    /// The store reports that it is full; nothing is done.
    NoSpace,
}

/// One fault: when it strikes and what it does.
#[derive(Debug, Clone)]
pub struct Fault {
    effect: Effect,
    on: Option<Operation>,
    key: String,
    skip: usize,
    times: usize,
}

impl Fault {
    /// Strikes every operation; narrow it with the methods below.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self { effect, on: None, key: String::new(), skip: 0, times: usize::MAX }
    }

    /// Only this operation.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.on = Some(operation);
        self
    }

    /// Only keys that hold this text.
    #[must_use]
    pub fn key(mut self, text: &str) -> Self {
        text.clone_into(&mut self.key);
        self
    }

    /// Lets the first so many pass.
    #[must_use]
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    /// Strikes so often, then never again.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Whether it strikes now; counts.
    fn strikes(&mut self, operation: Operation, key: &str) -> bool {
        if self.on.is_some_and(|on| on != operation) || !key.contains(&self.key) || self.times == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// A store with faults. The first fault that strikes is the one that acts.
#[derive(Debug)]
pub struct Faulty {
    inner: SharedStore,
    faults: Mutex<Vec<Fault>>,
}

impl Faulty {
    #[must_use]
    pub fn new(inner: SharedStore) -> Arc<Self> {
        Arc::new(Self { inner, faults: Mutex::default() })
    }

    pub fn inject(&self, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// All is well from now on.
    pub fn heal(&self) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn effect(&self, operation: Operation, key: &str) -> Option<Effect> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter_mut().find_map(|fault| fault.strikes(operation, key).then_some(fault.effect))
    }

    /// What happens before the operation.
    async fn before(&self, effect: Option<Effect>, key: &str) -> Result<(), StorageError> {
        match effect {
            Some(Effect::FailBefore) => Err(self.injected(key)),
            Some(Effect::NoSpace) => Err(StorageError::NoSpace { location: self.location(), key: key.to_owned() }),
            Some(Effect::Stall(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What happens after it.
    fn after<T>(&self, effect: Option<Effect>, key: &str, value: T) -> Result<T, StorageError> {
        match effect {
            Some(Effect::FailAfter) => Err(self.injected(key)),
            _ => Ok(value),
        }
    }

    fn injected(&self, key: &str) -> StorageError {
        let (location, key) = (self.location(), key.to_owned());
        StorageError::Unavailable { location, key, action: "use", reason: "injected fault".into() }
    }
}

/// Alters one byte of a stored object, as a bad disk does.
///
/// # Errors
/// Where the object cannot be read or written.
///
/// # Panics
/// On an empty object.
pub async fn corrupt_at_rest(store: &dyn Store, key: &str, place: usize) -> Result<(), StorageError> {
    let bytes = store.get(key).await?;
    assert!(!bytes.is_empty(), "{key} has no byte to alter");
    store.put(key, vec![altered(&bytes, place)]).await
}

fn altered(bytes: &Bytes, place: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(place) = place.checked_rem(bytes.len()) {
        bytes[place] ^= 0x40;
    }
    bytes.into()
}

fn read(effect: Option<Effect>, bytes: Bytes) -> Bytes {
    match effect {
        Some(Effect::Corrupt(place)) => altered(&bytes, place),
        _ => bytes,
    }
}

#[async_trait]
impl Store for Faulty {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        let effect = self.effect(Operation::Get, key);
        self.before(effect, key).await?;
        let bytes = self.inner.get(key).await?;
        self.after(effect, key, read(effect, bytes))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let effect = self.effect(Operation::GetRange, key);
        self.before(effect, key).await?;
        let bytes = self.inner.get_range(key, range).await?;
        self.after(effect, key, read(effect, bytes))
    }

    async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        let effect = self.effect(Operation::Put, key);
        self.before(effect, key).await?;
        if let Some(Effect::Tear(bytes)) = effect {
            let whole: Vec<u8> = parts.concat();
            self.inner
                .put(key, vec![Bytes::from(whole).slice(..bytes.min(parts.iter().map(Bytes::len).sum()))])
                .await?;
            return Err(self.injected(key));
        }
        self.inner.put(key, parts).await?;
        self.after(effect, key, ())
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
        let effect = self.effect(Operation::Create, key);
        self.before(effect, key).await?;
        if let Some(Effect::Tear(size)) = effect {
            self.inner.create(key, bytes.slice(..size.min(bytes.len()))).await?;
            return Err(self.injected(key));
        }
        let created = self.inner.create(key, bytes).await?;
        self.after(effect, key, created)
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let effect = self.effect(Operation::Delete, key);
        self.before(effect, key).await?;
        self.inner.delete(key).await?;
        self.after(effect, key, ())
    }

    async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        let effect = self.effect(Operation::Stat, key);
        self.before(effect, key).await?;
        let found = self.inner.stat(key).await?;
        self.after(effect, key, found)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        let effect = self.effect(Operation::List, prefix);
        self.before(effect, prefix).await?;
        let found = self.inner.list(prefix).await?;
        self.after(effect, prefix, found)
    }

    async fn sweep(&self, older_than: Duration) -> Result<Swept, StorageError> {
        let effect = self.effect(Operation::Sweep, "");
        self.before(effect, "").await?;
        let swept = self.inner.sweep(older_than).await?;
        self.after(effect, "", swept)
    }
}

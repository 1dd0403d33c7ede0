//! Trees that are read one after the other, as a walk does: neighbours come with one request. A tree is a kilobyte or two;
//! asked for one by one, a hundred thousand folders at an object store's 50 ms are more than an hour.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::failure::{Category, Failure};
use crate::repository::index::{self, Location};
use crate::repository::{BlobKind, FileKind, PackId, Repository, RepositoryError, TreeId};

/// What one request reads: some hundreds of trees; at 50 MB/s less than an object store's latency.
const WINDOW: u64 = 1 << 20;

/// Windows that are kept: a walk goes to and fro between a folder and those below it, which lie before it in the packs.
const KEPT: usize = 16;

/// Reads trees with what lies beside them. Keeps at most 32 MiB.
#[derive(Debug)]
pub struct TreeReader {
    repository: Repository,
    /// Where the trees of each pack end: beyond is its header, and beyond that nothing that a store would give.
    ends: OnceCell<HashMap<PackId, u64>>,
    windows: Mutex<VecDeque<Window>>,
}

#[derive(Debug, Clone)]
struct Window {
    pack: PackId,
    range: Range<u64>,
    bytes: Bytes,
}

impl TreeReader {
    #[must_use]
    pub fn new(repository: Repository) -> Self {
        Self { repository, ends: OnceCell::new(), windows: Mutex::default() }
    }

    /// A folder's JSON, decrypted, decompressed and hashed again.
    ///
    /// # Errors
    /// As [`Repository::blob`].
    pub async fn json(&self, id: &TreeId) -> Result<Bytes, RepositoryError> {
        let blob = (*id).into();
        let copies = self.repository.locate(BlobKind::Tree, &blob).await?;
        if let [copy] = copies.as_slice()
            && let Some(sealed) = self.beside(copy).await?
        {
            return self.repository.open_on_a_thread(*copy, sealed).await;
        }
        self.repository.blob(BlobKind::Tree, &blob).await
    }

    /// The sealed bytes out of a window; `None` where this is not the way to read it.
    async fn beside(&self, at: &Location) -> Result<Option<Bytes>, RepositoryError> {
        let (start, length) = (u64::from(at.blob.offset), u64::from(at.blob.length));
        let wanted = start..start + length;
        if length > WINDOW {
            return Ok(None);
        }
        if let Some(bytes) = self.kept(at.pack, &wanted) {
            return Ok(Some(bytes));
        }
        let Some(end) = self.ends().await?.get(&at.pack).copied() else { return Ok(None) };
        let range = start - start % WINDOW..wanted.end.next_multiple_of(WINDOW).min(end);
        let key = FileKind::Pack.key(&at.pack.0);
        let bytes = match self.repository.store().get_range(&key, range.clone()).await {
            Ok(bytes) => bytes,
            // The pack may be cut behind what is wanted.
            Err(error) if error.category() == Category::Integrity => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let window = Window { pack: at.pack, range, bytes };
        let found = window.slice(&wanted);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.truncate(KEPT - 1);
        windows.push_front(window);
        Ok(found)
    }

    /// Out of a window that is kept, which becomes the last to go.
    fn kept(&self, pack: PackId, wanted: &Range<u64>) -> Option<Bytes> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let at = windows.iter().position(|window| window.pack == pack && window.slice(wanted).is_some())?;
        let window = windows.remove(at)?;
        let found = window.slice(wanted);
        windows.push_front(window);
        found
    }

    async fn ends(&self) -> Result<&HashMap<PackId, u64>, RepositoryError> {
        let read = || async {
            let index = self.repository.index().await?.read().expect(index::NO_PANIC);
            let mut ends = HashMap::new();
            for at in index.iter().filter(|at| at.blob.kind == BlobKind::Tree) {
                let end = u64::from(at.blob.offset) + u64::from(at.blob.length);
                ends.entry(at.pack).and_modify(|known: &mut u64| *known = end.max(*known)).or_insert(end);
            }
            Ok(ends)
        };
        self.ends.get_or_try_init(read).await
    }
}

impl Window {
    fn slice(&self, wanted: &Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(wanted.start.checked_sub(self.range.start)?).ok()?;
        let end = usize::try_from(wanted.end.checked_sub(self.range.start)?).ok()?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::testing::{MemoryStore, repository};
    use super::*;
    use crate::repository::WriterOptions;
    use crate::storage::Faulty;
    use crate::storage::fault::{Effect, Fault, Operation};

    /// Trees of some size that do not compress away, as they were handed to the writer.
    async fn stored(store: &Arc<MemoryStore>, count: u64) -> Vec<(TreeId, Vec<u8>)> {
        let repository = repository(store).await;
        let writer = repository.writer(WriterOptions::default());
        let mut trees = Vec::new();
        for seed in 0..count {
            let noise = hex::encode(super::super::super::testing::noise(seed, 700));
            let json = format!(r#"{{"nodes":[],"noise":"{noise}"}}"#).into_bytes();
            trees.push((writer.tree_json(json.clone()).await.unwrap(), json));
        }
        writer.finish().await.unwrap();
        trees
    }

    #[tokio::test]
    async fn trees_that_lie_together_come_with_few_requests() {
        let store = MemoryStore::new();
        let trees = stored(&store, 4_000).await;
        let counted = Faulty::new(store.clone());
        let repository = Repository::open(counted.clone(), &"password".into()).await.unwrap();
        let reader = TreeReader::new(repository);
        // All that is asked for after these fails.
        counted.inject(Fault::new(Effect::FailBefore).on(Operation::GetRange).after(6));
        for (id, json) in &trees {
            assert_eq!(reader.json(id).await.unwrap(), json);
        }
    }

    #[tokio::test]
    async fn a_tree_that_is_damaged_is_said_and_its_neighbours_are_read() {
        let store = MemoryStore::new();
        let trees = stored(&store, 20).await;
        for key in store.keys("repository/data/") {
            let mut bytes = store.bytes(&key).to_vec();
            bytes[20] ^= 1;
            store.tamper(&key, bytes);
        }
        let reader = TreeReader::new(super::super::super::testing::open(&store).await);
        let mut damaged = 0;
        for (id, json) in &trees {
            match reader.json(id).await {
                Ok(read) => assert_eq!(read, json),
                Err(error) => {
                    assert_eq!(error.category(), Category::Integrity, "{error}");
                    damaged += 1;
                }
            }
        }
        assert_eq!(damaged, store.keys("repository/data/").len());
    }
}

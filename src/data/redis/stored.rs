//! A snapshot as it lies in the repository, and the comparison with what is somewhere else.

use std::path::Path;

use crate::data::Comparison;
use crate::progress::Task;
use crate::repository::{BlobId, NodeKind, Repository, TreeId};

use super::error::RedisError;
use super::manifest::{DatabaseRecord, FunctionsRecord, Manifest};
use super::rdb::{self, Contents, Settings};
use super::receive;

pub(super) const RDB: &str = "dump.rdb";
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const ACL: &str = "acl.txt";
/// A manifest has a few hundred bytes a database.
const MANIFEST_BYTES: u64 = 64 << 20;

/// A snapshot whose manifest is read.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) manifest: Manifest,
    pub(super) rdb: Vec<BlobId>,
    pub(super) rdb_bytes: u64,
    acl: Option<Vec<BlobId>>,
}

impl Stored {
    pub(super) async fn open(repository: &Repository, tree: &TreeId) -> Result<Self, RedisError> {
        let mut files = [None, None, None];
        for (slot, name) in files.iter_mut().zip([MANIFEST, RDB, ACL]) {
            *slot = match repository.find(tree, &[name]).await?.map(|node| node.kind) {
                Some(NodeKind::File { content, bytes }) => Some((content, bytes)),
                _ => None,
            };
        }
        let [manifest, rdb, acl] = files;
        let missing = |name: &str| RedisError::NoSnapshot(format!("it has no file {name}"));
        let (manifest, bytes) = manifest.ok_or_else(|| missing(MANIFEST))?;
        let (rdb, rdb_bytes) = rdb.ok_or_else(|| missing(RDB))?;
        if bytes > MANIFEST_BYTES {
            return Err(RedisError::NoSnapshot(format!("its manifest has {bytes} bytes")));
        }
        let manifest = whole(repository, manifest).await?;
        let manifest = Manifest::parse(&manifest).map_err(RedisError::NoSnapshot)?;
        if manifest.rdb.bytes != rdb_bytes {
            let recorded = manifest.rdb.bytes;
            return Err(RedisError::NoSnapshot(format!("{RDB} has {rdb_bytes} bytes where {recorded} were recorded")));
        }
        Ok(Self { manifest, rdb, rdb_bytes, acl: acl.map(|(content, _)| content) })
    }

    /// The lines of `acl.txt`.
    pub(super) async fn users(&self, repository: &Repository) -> Result<Vec<String>, RedisError> {
        let Some(content) = &self.acl else { return Ok(Vec::new()) };
        let text = whole(repository, content.clone()).await?;
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    /// Reads the stored RDB again, to its checksum; keys that have passed at `passed_at_ms` are left out.
    pub(super) async fn read(
        &self,
        repository: &Repository,
        passed_at_ms: Option<u64>,
        task: &Task,
    ) -> Result<Contents, RedisError> {
        let settings = Settings { passed_at_ms, streams: 0 };
        let blobs = Box::pin(repository.stream(self.rdb.clone()));
        receive::from_repository(blobs, settings, "the repository", task).await
    }
}

async fn whole(repository: &Repository, content: Vec<BlobId>) -> Result<Vec<u8>, RedisError> {
    use futures_util::TryStreamExt;
    let blobs = repository.stream(content);
    let whole = blobs.try_fold(Vec::new(), |mut all, bytes| async move {
        all.extend_from_slice(&bytes);
        Ok(all)
    });
    Ok(whole.await?)
}

/// Compares an RDB file somewhere else (restored into a folder) with what was recorded.
///
/// # Errors
/// When the snapshot or the file cannot be read; a difference is no error.
pub async fn compare_rdb(repository: &Repository, tree: &TreeId, file: &Path) -> Result<Comparison, RedisError> {
    let manifest = Stored::open(repository, tree).await?.manifest;
    let origin = file.display().to_string();
    let path = file.to_owned();
    let settings = manifest.settings(None);
    let work = tokio::task::spawn_blocking(move || {
        let file = std::fs::File::open(path).map_err(|source| rdb::RdbError::Read { offset: 0, source })?;
        rdb::read(file, &settings)
    });
    let found = work.await.map_err(|_| RedisError::Thread { doing: "reading the RDB" })?;
    let found = found.map_err(RedisError::rdb(origin))?;
    Ok(compare(&Record::of(&manifest), &Record::found(&found)))
}

/// What two looks at the same data must agree in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    databases: Vec<DatabaseRecord>,
    functions: FunctionsRecord,
    not_comparable: Vec<String>,
}

impl Record {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            databases: manifest.databases.clone(),
            functions: manifest.functions,
            not_comparable: manifest.not_comparable.clone(),
        }
    }

    pub(super) fn found(contents: &Contents) -> Self {
        Self::of(&Manifest::of(contents, String::new(), String::new(), jiff::Timestamp::UNIX_EPOCH))
    }
}

/// Database by database: keys, types, expiries, content; then the functions.
pub(super) fn compare(recorded: &Record, found: &Record) -> Comparison {
    let mut comparison = Comparison { not_comparable: recorded.not_comparable.clone(), ..Comparison::default() };
    let numbers: std::collections::BTreeSet<u64> =
        recorded.databases.iter().chain(&found.databases).map(|database| database.number).collect();
    for number in numbers {
        let of = |record: &Record| record.databases.iter().find(|database| database.number == number).cloned();
        let (recorded, found) = (of(recorded), of(found));
        comparison.count("databases", 1);
        comparison.count("keys", recorded.as_ref().map_or(0, |database| database.keys));
        if recorded != found {
            comparison.differs(format!("database {number}"), describe(recorded.as_ref()), describe(found.as_ref()));
        }
    }
    comparison.count("functionLibraries", recorded.functions.libraries);
    if recorded.functions != found.functions {
        let text =
            |functions: FunctionsRecord| format!("{} libraries, digest {}", functions.libraries, functions.digest);
        comparison.differs("functions", text(recorded.functions), text(found.functions));
    }
    comparison
}

fn describe(database: Option<&DatabaseRecord>) -> String {
    let Some(database) = database else { return "no keys".into() };
    let types: Vec<String> = database.types.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let DatabaseRecord { keys, expiring_keys, digest, .. } = database;
    format!("{keys} keys ({}; {expiring_keys} expiring), digest {digest}", types.join(", "))
}

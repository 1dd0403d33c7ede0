//! The small files: config, keys, indexes, snapshots.

use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};

use super::super::index::Index;
use super::super::{FileKind, IndexId, KeyId, Repository, RepositoryError, Snapshot, SnapshotId};
use super::report::{Findings, Object};
use crate::context::Context;

/// Index files that are under way: each may be 8 MiB of JSON and as much again when it is parsed.
const INDEXES: usize = 4;
const SNAPSHOTS: usize = 16;

/// The config can be opened with the key at hand: nothing else in the store says what it should be.
pub async fn check_config(repository: &Repository, findings: &mut Findings) -> Result<(), RepositoryError> {
    let sealed = match repository.store().get(&FileKind::Config.prefix()).await {
        Ok(sealed) => sealed,
        Err(error) => return findings.take(Object::Config, error.into()),
    };
    let mut json = Vec::new();
    if repository.cipher().open(&sealed, &mut json).is_err() {
        findings.damage(Object::Config, "its MAC does not fit".into());
    } else if !json.windows(repository.id().len()).any(|window| window == repository.id().as_bytes()) {
        findings.damage(Object::Config, format!("it is not that of the repository {}", repository.id()));
    }
    Ok(())
}

/// Keys are named by the hash of their bytes; whether their passwords open them cannot be known here.
pub async fn check_keys(repository: &Repository, findings: &mut Findings) -> Result<(), RepositoryError> {
    for file in repository.list_files(FileKind::Key).await? {
        let object = Object::Key(KeyId(file.id));
        match repository.store().get(&FileKind::Key.key(&file.id)).await {
            Ok(bytes) if <[u8; 32]>::from(Sha256::digest(&bytes)) == file.id => {}
            Ok(_) => findings.damage(object, "its bytes do not hash to its name".into()),
            Err(error) => findings.take(object, error.into())?,
        }
    }
    Ok(())
}

/// All that the index files say that can be read.
pub async fn load_indexes(
    repository: &Repository,
    findings: &mut Findings,
    cx: &Context,
) -> Result<Index, RepositoryError> {
    let files = repository.list_files(FileKind::Index).await?;
    let task = cx.progress.task("read indexes", 0, files.len() as u64);
    let mut loaded = std::pin::pin!(
        stream::iter(files)
            .map(|file| async move { (IndexId(file.id), repository.load_index_file(&IndexId(file.id)).await) })
            .buffer_unordered(INDEXES)
    );
    let mut index = Index::default();
    while let Some((id, file)) = next(&mut loaded, cx).await? {
        task.add_items(1);
        match file {
            Ok(file) => file.packs.iter().for_each(|pack| index.insert(pack.id, &pack.blobs)),
            Err(error) => findings.take(Object::Index(id), error)?,
        }
        findings.report.index_files += 1;
    }
    task.finish();
    Ok(index)
}

/// The snapshots that can be read.
pub async fn load_snapshots(
    repository: &Repository,
    findings: &mut Findings,
    cx: &Context,
) -> Result<Vec<(SnapshotId, Snapshot)>, RepositoryError> {
    let files = repository.list_files(FileKind::Snapshot).await?;
    let mut loaded = std::pin::pin!(
        stream::iter(files)
            .map(|file| async move { (SnapshotId(file.id), repository.snapshot(&SnapshotId(file.id)).await) })
            .buffer_unordered(SNAPSHOTS)
    );
    let mut snapshots = Vec::new();
    while let Some((id, snapshot)) = next(&mut loaded, cx).await? {
        findings.report.snapshots += 1;
        match snapshot {
            Ok(snapshot) => snapshots.push((id, snapshot)),
            Err(error) => findings.take(Object::Snapshot(id), error)?,
        }
        if let Some(number) = findings.number(&Object::Snapshot(id)) {
            findings.report.damage[number].snapshots.insert(id);
            findings.report.damaged_snapshots.insert(id);
        }
    }
    Ok(snapshots)
}

/// The next item, or `Cancelled`.
pub async fn next<S: Stream + Unpin>(stream: &mut S, cx: &Context) -> Result<Option<S::Item>, RepositoryError> {
    tokio::select! {
        () = cx.cancel.cancelled() => Err(RepositoryError::Cancelled),
        item = stream.next() => Ok(item),
    }
}

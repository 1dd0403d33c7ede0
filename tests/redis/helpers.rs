//! What the stories of this binary share.

use std::sync::Arc;

use drydock::context::Context;
use drydock::data::Captured;
use drydock::data::redis::{self, Manifest, RedisError};
use drydock::repository::{KeyCost, NodeKind, Repository, TreeId, WriterOptions};
use drydock::stack::{RedisSpec, Secret};
use drydock::storage::{Limited, Limits, LocalStore, SharedStore};
use futures_util::TryStreamExt;

use crate::support::Folder;

/// A repository in a folder of its own.
pub struct Store {
    pub repository: Repository,
    pub folder: Folder,
}

impl Store {
    pub async fn new() -> Self {
        let folder = Folder::new("redis-repository");
        let store = Arc::new(LocalStore::open(folder.path()).await.unwrap());
        Self::over(folder, store).await
    }

    /// A store that takes so many bytes a second.
    pub async fn limited_to(bytes_per_second: u64) -> Self {
        let folder = Folder::new("redis-repository");
        let store = Arc::new(LocalStore::open(folder.path()).await.unwrap());
        let limits = Limits { upload: Some(bytes_per_second), ..Limits::default() };
        Self::over(folder, Limited::new(store, limits)).await
    }

    async fn over(folder: Folder, store: SharedStore) -> Self {
        let password: Secret = "a password".to_owned().into();
        let repository = Repository::create(store, &password, KeyCost::negligible()).await.unwrap();
        Self { repository, folder }
    }

    pub async fn capture(&self, spec: &RedisSpec) -> Result<Captured, RedisError> {
        self.capture_with(spec, &Context::default()).await
    }

    pub async fn capture_with(&self, spec: &RedisSpec, cx: &Context) -> Result<Captured, RedisError> {
        let writer = self.repository.writer(options());
        let captured = redis::capture(spec, &writer, cx).await?;
        writer.finish().await?;
        Ok(captured)
    }

    pub async fn bytes(&self, tree: &TreeId, name: &str) -> Vec<u8> {
        let node = self.repository.find(tree, &[name]).await.unwrap().unwrap_or_else(|| panic!("there is no {name}"));
        let NodeKind::File { content, .. } = node.kind else { panic!("{name} is no file") };
        let blobs: Vec<bytes::Bytes> = self.repository.stream(content).try_collect().await.unwrap();
        blobs.concat()
    }

    pub async fn manifest(&self, tree: &TreeId) -> Manifest {
        Manifest::parse(&self.bytes(tree, "manifest.json").await).unwrap()
    }
}

pub fn options() -> WriterOptions {
    WriterOptions { compression_level: 1, self_check: true, workers: 2 }
}

pub fn spec(port: u16) -> RedisSpec {
    spec_with(&format!("{{host: 127.0.0.1, port: {port}}}"))
}

/// A spec as people write it.
pub fn spec_with(yaml: &str) -> RedisSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

/// A server with nothing in it that restores come into; `DEBUG DIGEST` is the judge.
pub fn target(version: &'static str, more: &[&str]) -> crate::support::redis::Redis {
    let mut args = vec!["--repl-diskless-sync-delay", "0"];
    args.extend(more);
    crate::support::redis::Redis::start_with(version, &args)
}

/// The `redis-server` of that version rehearses.
pub fn spec_rehearsed_by(port: u16, version: &str) -> RedisSpec {
    let program = crate::support::cache().join(format!("redis-server-{version}"));
    spec_with(&format!("{{host: 127.0.0.1, port: {port}, scratchServer: {}}}", program.display()))
}

pub const EMPTY: redis::RestoreOptions = redis::RestoreOptions { allow_not_empty: false, acl: false };
pub const OVER: redis::RestoreOptions = redis::RestoreOptions { allow_not_empty: true, acl: false };

impl Store {
    /// The snapshot with its RDB changed and, if wanted, a manifest that says what the changed one holds.
    pub async fn tampered(&self, tree: &TreeId, change: impl FnOnce(&mut Vec<u8>), with_manifest: bool) -> TreeId {
        let mut rdb = self.bytes(tree, "dump.rdb").await;
        change(&mut rdb);
        let mut manifest = self.manifest(tree).await;
        manifest.rdb.bytes = rdb.len() as u64;
        if with_manifest {
            let contents = redis::rdb::read(&rdb[..], &redis::rdb::Settings::default()).unwrap();
            manifest = Manifest::of(&contents, manifest.server, manifest.taken_from, manifest.instant);
        }
        let writer = self.repository.writer(options());
        let mut whole = self.repository.tree(tree).await.unwrap();
        for node in &mut whole.nodes {
            let content = match &node.name[..] {
                b"dump.rdb" => writer.bytes(rdb.clone().into()).await.unwrap(),
                b"manifest.json" => writer.bytes(serde_json::to_vec(&manifest).unwrap().into()).await.unwrap(),
                _ => continue,
            };
            node.kind = NodeKind::File { content: content.blobs, bytes: content.bytes };
        }
        let tree = writer.tree(&whole).await.unwrap();
        writer.finish().await.unwrap();
        tree
    }
}

/// A right checksum again, after a change that only Redis' own loader can notice.
pub fn sum_again(rdb: &mut [u8]) {
    let (content, sum) = rdb.split_at_mut(rdb.len() - 8);
    sum.copy_from_slice(&crc::Crc::<u64>::new(&crc::CRC_64_REDIS).checksum(content).to_le_bytes());
}

pub fn role(server: &crate::support::redis::Redis) -> String {
    server.cli(&["role"]).lines().next().unwrap().to_owned()
}

/// Nothing of it has changed: primary, same data, settings as they were.
pub fn is_untouched(server: &crate::support::redis::Redis, digest: &str) {
    assert_eq!(role(server), "master");
    assert_eq!(server.digest(), digest);
    assert_eq!(server.cli(&["config", "get", "repl-diskless-load"]), "repl-diskless-load\ndisabled");
}

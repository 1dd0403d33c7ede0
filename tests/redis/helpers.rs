//! What the stories of this binary share.

use std::sync::Arc;

use drydock::context::Context;
use drydock::data::Captured;
use drydock::data::redis::{self, Manifest, RedisError};
use drydock::repository::{KeyCost, Repository, TreeId, WriterOptions};
use drydock::stack::{RedisSpec, Secret};
use drydock::storage::LocalStore;
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
        let drydock::repository::NodeKind::File { content, .. } = node.kind else { panic!("{name} is no file") };
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

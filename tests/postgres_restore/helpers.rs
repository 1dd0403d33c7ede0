//! What the stories of this binary share: one server of each version, and a repository each.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use drydock::context::Context;
use drydock::data::postgres::restore::{
    self, RestoreError, RestoreOptions, RestorePreview, Restored, Target, plan_restore,
};
use drydock::data::postgres::{self};
use drydock::data::{Captured, Comparison};
use drydock::repository::{KeyCost, Repository, TreeId, WriterOptions};
use drydock::stack::{PostgresSpec, Secret};
use drydock::storage::LocalStore;

use crate::support::postgres::{Postgres, VERSIONS};
use crate::support::{Folder, cache};

/// The server of this version that all stories share; each works in databases of its own.
pub fn server(version: &'static str) -> &'static Postgres {
    static SERVERS: LazyLock<BTreeMap<&'static str, OnceLock<Postgres>>> =
        LazyLock::new(|| VERSIONS.iter().map(|version| (*version, OnceLock::new())).collect());
    SERVERS[version].get_or_init(|| Postgres::start(version))
}

/// Nothing else is called so, in fixtures or elsewhere.
pub const TORTURE: &str = "the_original";

/// The torture database of this version, made once, called [`TORTURE`].
pub fn torture(version: &'static str) -> &'static Postgres {
    static MADE: LazyLock<BTreeMap<&'static str, OnceLock<()>>> =
        LazyLock::new(|| VERSIONS.iter().map(|version| (*version, OnceLock::new())).collect());
    let server = server(version);
    MADE[version].get_or_init(|| server.create_torture_database(TORTURE));
    server
}

/// A name that no other story uses.
pub fn unique(name: &str) -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    format!("{name}_{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// A spec as people write it.
pub fn spec(server: &Postgres, more: &str) -> PostgresSpec {
    // pg_dump 18 reads every server; of 15 and 16 the folders are by version.
    let client = match server.version {
        "18" => "pg-18",
        "16" => "pg-16",
        _ => "pg-15",
    };
    let client = cache().join(client).join("bin");
    let yaml = format!(
        "{{host: 127.0.0.1, port: {}, user: postgres, clientBinaries: {}, {more}}}",
        server.port,
        client.display()
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

/// A repository in a folder of its own.
pub struct Store {
    pub repository: Repository,
    _folder: Folder,
}

impl Store {
    pub async fn new() -> Self {
        let folder = Folder::new("postgres-repository");
        let store = Arc::new(LocalStore::open(folder.path()).await.unwrap());
        let password: Secret = "a password".to_owned().into();
        let repository = Repository::create(store, &password, KeyCost::negligible()).await.unwrap();
        Self { repository, _folder: folder }
    }

    pub async fn capture(&self, spec: &PostgresSpec) -> Captured {
        let cx = Context::default();
        let writer = self.repository.writer(WriterOptions { compression_level: 1, self_check: true, workers: 2 });
        let source = postgres::open(spec, &cx).await.unwrap();
        let captured = source.read(&writer, &cx).await.unwrap();
        source.close().await;
        writer.finish().await.unwrap();
        captured
    }

    pub async fn restore(
        &self,
        tree: &TreeId,
        spec: &PostgresSpec,
        options: &RestoreOptions,
    ) -> Result<Restored, RestoreError> {
        restore::restore(&self.repository, tree, spec, options, &Context::default()).await
    }

    pub async fn plan(
        &self,
        tree: &TreeId,
        spec: &PostgresSpec,
        options: &RestoreOptions,
    ) -> Result<RestorePreview, RestoreError> {
        plan_restore(&self.repository, tree, spec, options, &Context::default()).await
    }

    /// Compares the database called `live` with what was recorded of `recorded`.
    pub async fn compare(&self, tree: &TreeId, spec: &PostgresSpec, recorded: &str, live: &str) -> Comparison {
        let names = BTreeMap::from([(recorded.to_owned(), live.to_owned())]);
        restore::compare(&self.repository, tree, spec, &names, &Context::default()).await.unwrap()
    }
}

pub fn named(old: &str, new: &str) -> RestoreOptions {
    RestoreOptions::new(Target::Named(BTreeMap::from([(old.to_owned(), new.to_owned())])), unique("restore-test"))
}

pub fn in_place() -> RestoreOptions {
    RestoreOptions::new(Target::InPlace, unique("restore-test"))
}

/// The differences as people read them.
pub fn differences(comparison: &Comparison) -> Vec<String> {
    comparison.differences.iter().map(ToString::to_string).collect()
}

/// Every database of the server, with whether it lets sessions in and its comment.
pub fn databases(server: &Postgres) -> Vec<String> {
    let sql = "select datname || ' ' || datallowconn || ' ' || coalesce(shobj_description(oid, 'pg_database'), '-') \
               from pg_database order by 1";
    server.psql("postgres", sql).lines().map(str::to_owned).collect()
}

//! A Postgres restore without verification, which only the library can do: the command line has no such switch.

use std::collections::BTreeMap;
use std::time::Duration;

use drydock::context::Context;
use drydock::data::postgres::restore::{RestoreOptions, Target, restore};
use drydock::repository::{NodeKind, Repository, SnapshotId, TreeId};
use drydock::stack::{PostgresSpec, Secret};
use drydock::storage::LocalStore;

use crate::measure::timed;
use crate::stack::Stack;
use crate::support::postgres::Postgres;

/// Restores the newest snapshot of `bench` as the database `again`, from opening the repository on.
pub fn into_a_new_database(stack: &Stack, server: &Postgres) -> Duration {
    let snapshots: serde_json::Value =
        serde_json::from_str(&stack.restic().run(&["snapshots", "--json", "--no-lock"])).unwrap();
    let newest = snapshots.as_array().unwrap().iter().rev().find(|s| s["paths"][0] == "/db").unwrap();
    let id: SnapshotId = newest["id"].as_str().unwrap().parse().unwrap();
    let spec = serde_json::json!({"host": "127.0.0.1", "port": server.port, "database": "bench", "user": "postgres"});
    let spec: PostgresSpec = serde_json::from_value(spec).unwrap();
    let password = Secret::from(std::fs::read_to_string(stack.password_file()).unwrap().trim_end().to_owned());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    timed(|| {
        runtime.block_on(async {
            let store = std::sync::Arc::new(LocalStore::open(stack.store()).await.unwrap());
            let repository = Repository::open(store, &password).await.unwrap();
            let tree = data_set(&repository, &id).await;
            let names = BTreeMap::from([("bench".to_owned(), "again".to_owned())]);
            let options = RestoreOptions { verify: false, ..RestoreOptions::new(Target::Named(names), "bench") };
            restore(&repository, &tree, &spec, &options, &Context::default()).await.unwrap();
        });
    })
}

async fn data_set(repository: &Repository, id: &SnapshotId) -> TreeId {
    let root = repository.snapshot(id).await.unwrap().tree;
    let node = repository.find(&root, &["db"]).await.unwrap().unwrap();
    let NodeKind::Dir { subtree } = node.kind else { panic!("the data set is no folder") };
    subtree
}

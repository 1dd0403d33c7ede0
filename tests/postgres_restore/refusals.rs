//! What must not begin, and says why before anything changes; what fails half-way, and takes back what it has made.

use std::collections::BTreeMap;
use std::net::TcpListener;

use drydock::data::postgres::restore::{Action, Observer, Refusal, RestoreError, RestoreOptions, Step, Target};
use drydock::failure::{Category, Failure};
use drydock::stack::PostgresSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::helpers::{Store, databases, differences, in_place, named, server, spec, unique};
use crate::support::postgres::Postgres;

/// A database with one small table, and its snapshot.
struct Small {
    server: &'static Postgres,
    name: String,
    spec: PostgresSpec,
    store: Store,
    tree: drydock::repository::TreeId,
}

impl Small {
    async fn on(version: &'static str, sql: &str) -> Self {
        Self::at(server(version), sql).await
    }

    async fn at(server: &'static Postgres, sql: &str) -> Self {
        let name = unique("small");
        server.create_database(&name);
        server.psql(&name, &format!("create table t (id integer primary key); insert into t values (1), (2); {sql}"));
        let spec = spec(server, &format!("database: {name}"));
        let store = Store::new().await;
        let tree = store.capture(&spec).await.tree;
        Self { server, name, spec, store, tree }
    }

    /// The plan and the restore refuse for the same reasons, and the restore has changed nothing.
    async fn refusals(&self, spec: &PostgresSpec, options: &RestoreOptions) -> Vec<Refusal> {
        let before = databases(self.server);
        let planned = self.store.plan(&self.tree, spec, options).await.unwrap().refusals;
        let error = self.store.restore(&self.tree, spec, options).await.unwrap_err();
        assert_eq!(error.category(), Category::Usage, "{error}");
        let RestoreError::Refused(refused) = error else { panic!("{error:?}") };
        assert_eq!(planned, refused);
        let mine = |all: Vec<String>| all.into_iter().filter(|line| line.starts_with(&self.name)).collect::<Vec<_>>();
        assert_eq!(mine(databases(self.server)), mine(before));
        assert!(refused.iter().all(|refusal| !refusal.to_string().is_empty()));
        refused
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_older_than_the_snapshot_is_refused() {
    let small = Small::on("16", "").await;
    let older = spec(server("15"), "database: x, ");
    let older = PostgresSpec { client_binaries: small.spec.client_binaries.clone(), ..older };
    let refused = small.refusals(&older, &named(&small.name, "never_made")).await;
    let [Refusal::TargetOlder { source_version, target }] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((source_version.major_text(), target.major_text()), ("16".into(), "15".into()));
    assert!(!databases(server("15")).iter().any(|line| line.starts_with("never_made")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_empty_is_filled_only_when_that_is_allowed() {
    let small = Small::on("16", "").await;
    let target = unique("occupied");
    small.server.create_database(&target);
    small.server.psql(&target, "create table other (id integer); create type e as enum ('a'); select lo_create(7)");
    let options = named(&small.name, &target);
    let refused = small.refusals(&small.spec, &options).await;
    let [Refusal::NotEmpty { database, found }] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((database, found.as_str()), (&target, "relation public.other, type public.e, large object 7"));
    let options = RestoreOptions { allow_not_empty: true, ..options };
    assert!(small.store.restore(&small.tree, &small.spec, &options).await.unwrap().promoted);
    assert_eq!(small.server.psql(&target, "select count(*) from t"), "2");
    assert_eq!(small.server.psql(&target, "select count(*) from other"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_filled_as_it_is() {
    let small = Small::on("9.6", "").await;
    let target = unique("empty");
    small.server.create_database(&target);
    small.server.psql("postgres", &format!("comment on database {target} is 'mine'"));
    let options = named(&small.name, &target);
    let plan = small.store.plan(&small.tree, &small.spec, &options).await.unwrap();
    assert_eq!((plan.databases[0].action, plan.databases[0].rows), (Action::Fill, 2));
    let restored = small.store.restore(&small.tree, &small.spec, &options).await.unwrap();
    assert!(restored.promoted);
    assert_eq!(small.server.psql(&target, "select sum(id) from t"), "3");
    assert!(databases(small.server).contains(&format!("{target} true mine")));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_the_snapshot_does_not_hold_or_that_meet_are_refused() {
    let small = Small::on("16", "").await;
    let refused = small.refusals(&small.spec, &named("another", "x")).await;
    assert_eq!(refused, [Refusal::UnknownDatabase { database: "another".into(), holds: small.name.clone() }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_a_live_database_keeps_it_in_its_place() {
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start_with("16", &["wal_level=logical"])));
    let small = Small::at(server, "").await;
    let refused = async || small.refusals(&small.spec, &in_place()).await;
    server.psql(&small.name, "select pg_create_logical_replication_slot('following', 'pgoutput')");
    let slots = "following".to_owned();
    assert_eq!(refused().await, [Refusal::LogicalSlots { database: small.name.clone(), slots }]);
    server.psql(&small.name, "select pg_drop_replication_slot('following')");

    server.psql(
        &small.name,
        "create subscription pulls connection 'host=nowhere' publication p with (connect = false, slot_name = none)",
    );
    let subscriptions = "pulls".to_owned();
    assert_eq!(refused().await, [Refusal::Subscriptions { database: small.name.clone(), subscriptions }]);
    server.psql(&small.name, "drop subscription pulls");

    server.psql(&small.name, "begin; insert into t values (9); prepare transaction 'waiting'");
    let transactions = "waiting".to_owned();
    assert_eq!(refused().await, [Refusal::PreparedTransactions { database: small.name.clone(), transactions }]);
    server.psql(&small.name, "rollback prepared 'waiting'");
    assert!(small.store.restore(&small.tree, &small.spec, &in_place()).await.unwrap().promoted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_the_server_lacks_is_named() {
    // 17 has dropped it.
    let small = Small::on("15", "create extension adminpack").await;
    let refused = small.refusals(&spec(server("18"), ""), &named(&small.name, "never_made")).await;
    let expected = Refusal::ExtensionMissing {
        database: small.name.clone(),
        name: "adminpack".into(),
        version: small.server.psql(&small.name, "select extversion from pg_extension where extname = 'adminpack'"),
    };
    assert_eq!(refused, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_a_right_is_told_which() {
    let small = Small::on("15", "").await;
    let user = unique("weak");
    small.server.psql("postgres", &format!("create role {user} login"));
    let weak = PostgresSpec { user: user.clone(), ..small.spec.clone() };
    let refused = small.refusals(&weak, &in_place()).await;
    let said: Vec<String> = refused.iter().map(ToString::to_string).collect();
    let name = &small.name;
    assert_eq!(
        said,
        [
            format!("`{user}` may not create database `{name}` (CREATEDB)"),
            format!("`{user}` may not rename database `{name}` of another owner"),
            format!("`{user}` may not end other roles' sessions on `{name}` (pg_signal_backend, since 9.6)"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_nothing_is_swapped() {
    let small = Small::on("16", "").await;
    let pooled = PostgresSpec { port: pooler(small.server.port).await, ..small.spec.clone() };
    let refused = small.refusals(&pooled, &in_place()).await;
    let [Refusal::Pooler { evidence, .. }] = &refused[..] else { panic!("{refused:?}") };
    assert!(evidence.contains("outlived its connection"), "{evidence}");
}

/// Keeps its server connections when a client is gone, as a pool in session mode does.
async fn pooler(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            let upstream = tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (mut from_server, mut to_server) = upstream.into_split();
            let (mut from_client, mut to_client) = client.into_split();
            kept.push(tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await.ok() }));
            kept.push(tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                loop {
                    let read = from_client.read(&mut buffer).await.unwrap_or(0);
                    // Neither the goodbye (`X`, length 4) nor the end of the connection is passed on.
                    if read == 0 || buffer[..read] == *b"X\0\0\0\x04" {
                        std::future::pending::<()>().await;
                    }
                    to_server.write_all(&buffer[..read]).await.unwrap();
                }
            }));
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_takes_back_what_it_made_and_names_the_statement() {
    let small = Small::on("15", "create table bad (a integer)").await;
    let target = unique("fails");
    // Somebody makes a table of the same name in the new database before the restore does.
    let (server, prefix) = (small.server, target.clone());
    let observer = Observer::new(move |step| {
        let prefix = prefix.clone();
        Box::pin(async move {
            if step == Step::Provisioned {
                let sql = format!("select datname from pg_database where datname like '{prefix}\\_\\_drydock\\_%'");
                server.psql(&server.psql("postgres", &sql), "create table bad (b text)");
            }
        })
    });
    let options = RestoreOptions { observer, ..named(&small.name, &target) };
    let error = small.store.restore(&small.tree, &small.spec, &options).await.unwrap_err();
    let RestoreError::Statement { entry, statement, .. } = &error else { panic!("{error:?}") };
    assert_eq!(entry, "TABLE public.bad");
    assert!(statement.starts_with("CREATE TABLE public.bad"), "{statement}");
    assert!(!databases(small.server).iter().any(|line| line.starts_with(&target)));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_come_back_at_once_or_not_at_all() {
    let server = server("18");
    let names = [unique("first"), unique("second")];
    for (n, name) in names.iter().enumerate() {
        server.create_database(name);
        server.psql(name, &format!("create table t (id integer); insert into t values ({n})"));
    }
    let spec = spec(server, &format!("databases: [{}]", names.join(", ")));
    let store = Store::new().await;
    let tree = store.capture(&spec).await.tree;
    for name in &names {
        server.psql(name, "delete from t");
    }
    let restored = store.restore(&tree, &spec, &in_place()).await.unwrap();
    assert!(restored.promoted);
    for (n, name) in names.iter().enumerate() {
        assert_eq!(server.psql(name, "select id from t"), n.to_string());
    }
    // Both into one name.
    let both: BTreeMap<String, String> = names.iter().map(|name| (name.clone(), "same".to_owned())).collect();
    let options = RestoreOptions::new(Target::Named(both), unique("restore-test"));
    let refused = store.plan(&tree, &spec, &options).await.unwrap().refusals;
    assert!(matches!(&refused[..], [Refusal::SameTarget { .. }]), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_that_was_filled_and_differs_is_named_with_what_drops_it() {
    let (server, name, copy) = (server("15"), unique("filled"), unique("filled_copy"));
    server.create_database(&name);
    server.psql(&name, "create table t (id int); insert into t values (1)");
    server.create_database(&copy);
    let spec = spec(server, &format!("database: {name}"));
    let store = Store::new().await;
    let tree = store.capture(&spec).await.tree;
    let filled = copy.clone();
    let observer = Observer::new(move |step| {
        let filled = filled.clone();
        Box::pin(async move {
            if step == Step::Provisioned {
                server.psql(&filled, "create table more ()");
            }
        })
    });
    let options = RestoreOptions { observer, ..named(&name, &copy) };
    let restored = store.restore(&tree, &spec, &options).await.unwrap();
    assert!(!restored.promoted);
    assert_eq!(differences(&restored.comparison), ["table public.more: one where none was recorded"]);
    assert_eq!(restored.databases.iter().map(|one| &one.database).collect::<Vec<_>>(), [&copy]);
    assert!(
        restored.notes.iter().any(|note| note.ends_with(&format!("DROP DATABASE \"{copy}\""))),
        "{:?}",
        restored.notes
    );
    assert_eq!(server.psql(&copy, "select count(*) from t"), "1");
}

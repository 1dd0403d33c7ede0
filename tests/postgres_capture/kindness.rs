//! Production comes first: whoever waits behind a snapshot, or for its end, wins; a snapshot that fails leaves nothing.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drydock::context::Context;
use drydock::data::Captured;
use drydock::data::postgres::{OpenSource, PostgresError, open};
use drydock::failure::{Category, Failure};
use drydock::repository::WriterOptions;

use crate::helpers::{Store, server, spec, spec_of};
use crate::support::postgres::{Postgres, VERSIONS};
use crate::support::wait_until;

/// psql that goes on by itself.
fn background(server: &Postgres, database: &str, sql: &str) -> Child {
    let port = server.port.to_string();
    Command::new("psql")
        .args([
            "-X",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-d",
            database,
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
        ])
        .env("PGAPPNAME", "a migration")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn read(store: &Store, source: &OpenSource, cx: &Context) -> Result<Captured, PostgresError> {
    let writer = store.repository.writer(WriterOptions { workers: 1, ..WriterOptions::default() });
    source.read(&writer, cx).await
}

/// No session of ours is left on `database`.
fn nobody_is_left(server: &Postgres, database: &str) {
    let sql =
        format!("select count(*) from pg_stat_activity where datname = '{database}' and application_name = 'drydock'");
    wait_until("the end of our sessions", Duration::from_secs(10), || server.psql("postgres", &sql) == "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_behind_the_snapshot_wins() {
    let store = Store::new().await;
    for version in VERSIONS {
        let server = server(version);
        server.create_database("in_the_way");
        server
            .psql("in_the_way", "create table orders (id integer); insert into orders select generate_series(1, 1000)");
        let source = open(&spec(server, "in_the_way"), &Context::default()).await.unwrap();
        let mut migration = background(server, "in_the_way", "alter table orders add column note text");
        wait_until("the migration", Duration::from_secs(10), || {
            server.psql("postgres", "select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'")
                == "1"
        });
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let error = read(&store, &source, &Context::default()).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("waits for an ACCESS EXCLUSIVE lock on public.orders behind this snapshot"),
            "{version}: {text}"
        );
        assert!(text.contains("(user postgres, application `a migration`)"), "{text}");
        assert_eq!(error.category(), Category::Unavailable);
        source.close().await;
        assert!(migration.wait().unwrap().success(), "{version}");
        nobody_is_left(server, "in_the_way");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_gets_too_old_is_given_up() {
    let store = Store::new().await;
    let server = server("16");
    let mut spec = spec(server, "torture");
    spec.max_duration = Some(Duration::from_millis(300));
    let source = open(&spec, &Context::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let error = read(&store, &source, &Context::default()).await.unwrap_err();
    assert!(matches!(error, PostgresError::TooLong { .. }), "{error:?}");
    assert!(error.to_string().contains("database `torture` got older than maxDuration"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_is_waited_for_as_long_as_said() {
    let server = server("15");
    server.create_database("locked");
    server.psql("locked", "create table busy (id integer)");
    let mut holder = background(server, "locked", "begin; lock table busy; select pg_sleep(30)");
    wait_until("the lock", Duration::from_secs(10), || {
        server.psql("locked", "select count(*) from pg_locks where granted and mode = 'AccessExclusiveLock' and relation = 'busy'::regclass") == "1"
    });
    let mut spec = spec(server, "locked");
    spec.lock_timeout = Some(Duration::from_millis(500));
    let began = Instant::now();
    let error = open(&spec, &Context::default()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10));
    let text = error.to_string();
    assert!(
        text.contains("locking table public.busy (held by process") && text.contains("application `a migration`)"),
        "{text}"
    );
    server.psql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'a migration' and datname = 'locked'");
    holder.wait().unwrap();
    nobody_is_left(server, "locked");
}

/// Between the snapshot and the lock a table is emptied and another filled, in one transaction: neither the old rows of
/// the one (gone) nor the state between may be what is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_truncated_before_it_was_locked_is_not_read_as_empty() {
    let store = Store::new().await;
    for version in ["9.5", "18"] {
        let server = server(version);
        server.create_database("truncated");
        server.psql(
            "truncated",
            "create table a (id integer); create table b (id integer); insert into a values (1), (2)",
        );
        let sql = "begin; insert into b select id from a; truncate a; select pg_sleep(2); commit";
        let mut mover = background(server, "truncated", sql);
        wait_until("the truncation", Duration::from_secs(10), || {
            server.psql("truncated", "select count(*) from pg_locks where granted and mode = 'AccessExclusiveLock' and relation = 'a'::regclass") == "1"
        });
        let taken = store.taken(&spec(server, "truncated")).await;
        assert!(mover.wait().unwrap().success());
        let rows: Vec<(String, u64)> = taken.database().tables.iter().map(|t| (t.name.clone(), t.rows)).collect();
        assert_eq!(rows, [("a".to_owned(), 0), ("b".to_owned(), 2)], "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_sessions_at_once() {
    let server = server("18");
    server.create_database("cancelled");
    // A row takes a while: the view of a snapshot of a long COPY without gigabytes.
    server.psql(
        "cancelled",
        "create function slow(i integer) returns integer language sql immutable as 'select 1 from pg_sleep(20)';
        create domain sluggish as integer; create table t (id integer); insert into t select generate_series(1, 10)",
    );
    let store = Store::new().await;
    let cx = Context::default();
    let source = open(&spec(server, "cancelled"), &cx).await.unwrap();
    let rows = source.rows(None, "select public.slow(1)");
    let cancel = cx.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    });
    let began = Instant::now();
    let asked = async {
        let mut rows = Box::pin(rows.await?);
        futures_util::StreamExt::next(&mut rows).await.unwrap_or(Err(PostgresError::Cancelled)).map(|_| ())
    };
    tokio::select! {
        answered = asked => assert!(matches!(answered, Err(PostgresError::Cancelled)), "{answered:?}"),
        () = cx.cancel.cancelled() => {}
    }
    let error = read(&store, &source, &cx).await.unwrap_err();
    assert!(matches!(error, PostgresError::Cancelled), "{error:?}");
    assert_eq!(error.category(), Category::Interrupted);
    source.close().await;
    nobody_is_left(server, "cancelled");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_server_ends_fails_the_snapshot() {
    let store = Store::new().await;
    for version in ["9.6", "16"] {
        let server = server(version);
        server.create_database("ended");
        server.psql("ended", "create table t (id integer); insert into t values (1)");
        let source = open(&spec(server, "ended"), &Context::default()).await.unwrap();
        server.psql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'drydock' and datname = 'ended'");
        let error = read(&store, &source, &Context::default()).await.unwrap_err();
        let told =
            matches!(error, PostgresError::Lost { .. } | PostgresError::Stopped { .. } | PostgresError::Tool { .. })
                || error.to_string().contains("invalid snapshot identifier");
        assert!(told, "{version}: {error:?}");
        assert_eq!(error.category(), Category::Unavailable, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_named() {
    let store = Store::new().await;
    for version in ["9.5", "18"] {
        let server = server(version);
        server.create_database("forbidden");
        server.psql("postgres", "drop role if exists curious; create role curious login");
        server.psql("forbidden", "create table public_one (id integer); create table private_one (id integer); grant select on public_one to curious");
        let clients = crate::helpers::clients(server);
        let yaml = format!(
            "{{host: 127.0.0.1, port: {}, user: curious, database: forbidden, clientBinaries: {}}}",
            server.port,
            clients.display()
        );
        let error = store.capture(&spec_of(&yaml)).await.unwrap_err();
        assert!(matches!(error, PostgresError::Privilege { .. }), "{error:?}");
        assert!(error.to_string().contains("private_one"), "{error}");
        assert!(error.hint().unwrap().contains("\"curious\""));

        server.psql(
            "forbidden",
            "grant select on private_one to curious; alter table private_one enable row level security;
            insert into private_one values (1)",
        );
        let error = store.capture(&spec_of(&yaml)).await.unwrap_err();
        assert!(matches!(error, PostgresError::RowSecurity { .. }), "{error:?}");
        assert!(error.to_string().contains("hides rows of public.private_one from `curious`"), "{error}");

        server.psql("forbidden", "alter table private_one disable row level security");
        let captured = store.capture(&spec_of(&yaml)).await.unwrap();
        assert!(captured.notes.iter().any(|n| n.contains("role passwords not kept")), "{:?}", captured.notes);
        server.psql("postgres", "drop database forbidden");
        server.psql("postgres", "drop role curious");
    }
}

/// The catalog has lost an enum's label: the value is there and cannot be printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_sent_is_named_with_its_key() {
    let store = Store::new().await;
    for version in VERSIONS {
        let server = server(version);
        server.create_database("broken");
        server.psql("broken", "create type e as enum ('a', 'b'); create table t (x text, \"Key\" integer, y integer, v e, primary key (\"Key\", y));
            insert into t select 'x', i, i % 7, 'a' from generate_series(1, 5000) i; update t set v = 'b' where \"Key\" = 3210;
            delete from t where \"Key\" < 100; delete from pg_enum where enumlabel = 'b'");
        let error = store.capture(&spec(server, "broken")).await.unwrap_err();
        let ctid = server.psql("broken", "select ctid from t where \"Key\" = 3210");
        assert!(matches!(error, PostgresError::Row { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("the server cannot send row ctid {ctid}, Key 3210, y 4 of table public.t:")),
            "{version}: {text}"
        );
    }
}

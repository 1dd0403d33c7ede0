//! Who may what on the target: roles that it lacks, roles that it has, and a restore by somebody who is no superuser.

use drydock::data::postgres::restore::RestoreOptions;
use drydock::stack::PostgresSpec;

use crate::helpers::{Store, differences, in_place, named, server, spec, unique};
use crate::support::postgres::Postgres;
use crate::support::run;

fn own_server(version: &'static str) -> &'static Postgres {
    Box::leak(Box::new(Postgres::start(version)))
}

/// Roles, memberships and role settings as pg_dumpall prints them.
fn globals(server: &Postgres) -> Vec<String> {
    let mut command = std::process::Command::new(server.newest_client("pg_dumpall"));
    command.args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", "postgres", "--globals-only"]);
    run(&mut command)
        .lines()
        .filter(|line| !line.starts_with('\\') && !line.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

const ROLES: &str = "
    create role app login password 'secret' connection limit 3 valid until '2040-01-01';
    create role \"Wei\"\"rd; role\" nologin createdb bypassrls;
    create role boss superuser; create role readers;
    grant readers to app with admin option; set role app; grant readers to \"Wei\"\"rd; role\"; reset role;
    grant pg_read_all_stats to app;
    alter role app set search_path = a, \"B c\"; alter role app set work_mem = '5MB';
    comment on role app is 'it''s; the app'";

#[tokio::test(flavor = "multi_thread")]
async fn missing_roles_come_back_with_passwords_memberships_settings_and_comments() {
    for version in ["9.6", "15", "18"] {
        let (source, target) = (own_server(version), own_server(version));
        let roles =
            if version == "9.6" { ROLES.replace("pg_read_all_stats", "pg_signal_backend") } else { ROLES.to_owned() };
        source.psql("postgres", &roles);
        source.create_database("d");
        source.psql("d", "create table t (id integer); alter table t owner to app; grant select on t to readers");
        let store = Store::new().await;
        let tree = store.capture(&spec(source, "database: d")).await.tree;
        let into = spec(target, "database: d");
        let planned = store.plan(&tree, &into, &named("d", "d")).await.unwrap();
        assert_eq!(planned.roles_missing.len(), 4, "{:?}", planned.roles_missing);
        let restored = store.restore(&tree, &into, &named("d", "d")).await.unwrap();
        assert!(restored.promoted);
        assert!(
            restored.notes.contains(&"roles created: Wei\"rd; role, app, boss, readers".to_owned()),
            "{:?}",
            restored.notes
        );
        assert_eq!(globals(source), globals(target), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_are_there_are_altered_only_when_that_is_asked_for() {
    let (source, target) = (own_server("15"), own_server("15"));
    source.psql("postgres", ROLES);
    source.create_database("d");
    let store = Store::new().await;
    let tree = store.capture(&spec(source, "database: d")).await.tree;
    target.psql("postgres", "create role app nologin createrole; create role readers");
    let into = spec(target, "database: d");
    let before = globals(target);
    let is_apps = |line: &&String| line.contains("ROLE app ") || line.contains("ROLE app;");
    store.restore(&tree, &into, &named("d", "d1")).await.unwrap();
    assert_eq!(
        before.iter().filter(is_apps).collect::<Vec<_>>(),
        globals(target).iter().filter(is_apps).collect::<Vec<_>>()
    );
    let restored = store.restore(&tree, &into, &RestoreOptions { roles: true, ..named("d", "d2") }).await.unwrap();
    assert!(restored.notes.contains(&"role postgres was not altered: it is the one that restores".to_owned()));
    assert_eq!(globals(source), globals(target));
}

/// What an administrator of a managed server is: may make roles and databases, and is no superuser.
async fn as_a_managed_servers_administrator(version: &'static str) {
    let server = server(version);
    let (manager, app) = (unique("manager"), unique("app"));
    server.psql("postgres", &format!("create role {app} login; create role {manager} login createdb createrole; grant {app}, pg_signal_backend to {manager}"));
    let name = unique("managed");
    server.create_database(&name);
    server.psql("postgres", &format!("alter database {name} owner to {app}; comment on database {name} is 'managed'"));
    server.psql(
        &name,
        &format!(
            "create table t (id serial primary key, v text); insert into t (v) select 'row ' || i from generate_series(1, 100) i;
             alter table t owner to {app}; create view v as select * from t; alter view v owner to {app};
             create table of_postgres (id integer); insert into of_postgres values (1);
             create function watch() returns event_trigger language plpgsql as 'begin end';
             create event trigger watching on sql_drop execute procedure watch();
             alter default privileges for role postgres in schema public grant select on tables to {app};
             select lo_from_bytea(77, 'large'); alter large object 77 owner to {app}; select lo_from_bytea(78, 'of postgres');"
        ),
    );
    let store = Store::new().await;
    let own = spec(server, &format!("database: {name}"));
    let tree = store.capture(&own).await.tree;
    let managed = PostgresSpec { user: manager.clone(), ..own.clone() };
    let copy = unique("managed_copy");
    let restored = store.restore(&tree, &managed, &named(&name, &copy)).await.unwrap();
    assert_eq!(differences(&restored.comparison), Vec::<String>::new());
    assert!(restored.promoted);
    let said = restored.notes.join("\n");
    for part in [
        "EVENT TRIGGER watching",
        "DEFAULT PRIVILEGES FOR TABLES",
        &format!("owned by `{manager}` instead of postgres ("),
        "large object 78",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    assert_eq!(
        server
            .psql(&copy, "select tableowner from pg_tables where tablename in ('t', 'of_postgres') order by tablename"),
        format!("{manager}\n{app}")
    );
    assert_eq!(
        server.psql("postgres", &format!("select pg_get_userbyid(datdba) from pg_database where datname = '{copy}'")),
        app
    );

    // In place as well: the live one belongs to a role of which the manager is a member.
    server.psql(&name, "drop event trigger watching; update t set v = 'damaged'");
    let restored = store.restore(&tree, &managed, &in_place()).await.unwrap();
    assert!(restored.promoted, "{:?}", differences(&restored.comparison));
    assert_eq!(server.psql(&name, "select count(*) from t where v like 'row %'"), "100");
    assert_eq!(
        server.psql(
            "postgres",
            &format!("select shobj_description(oid, 'pg_database') from pg_database where datname = '{name}'")
        ),
        "managed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_servers_administrator_restores_on_15() {
    as_a_managed_servers_administrator("15").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_servers_administrator_restores_on_16() {
    as_a_managed_servers_administrator("16").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_servers_administrator_restores_on_18() {
    as_a_managed_servers_administrator("18").await;
}

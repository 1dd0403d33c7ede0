//! Databases in other encodings than UTF-8, names and definitions included.

use crate::helpers::{Store, differences, named, server, spec, unique};

async fn comes_back(version: &'static str, encoding: &str, sql: &str) {
    let server = server(version);
    let (name, copy) = (unique("encoded"), unique("encoded_copy"));
    server.psql(
        "postgres",
        &format!("create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"),
    );
    server.psql(&name, sql);
    let spec = spec(server, &format!("database: {name}"));
    let store = Store::new().await;
    let tree = store.capture(&spec).await.tree;
    let restored = store.restore(&tree, &spec, &named(&name, &copy)).await.unwrap();
    assert_eq!(differences(&restored.comparison), Vec::<String>::new());
    assert!(restored.promoted);
    let dump = |database: &str| server.pg_dump(database, &["--encoding", encoding]).replace(database, "DATABASE");
    assert_eq!(dump(&name), dump(&copy));
}

#[tokio::test(flavor = "multi_thread")]
async fn latin_1_comes_back() {
    let sql = "set client_encoding = 'UTF8'; create table \"größe\" (\"maß\" text default 'süß' check (\"maß\" <> 'ß')); \
               insert into \"größe\" values ('älter'), (default); comment on table \"größe\" is 'für größere'; \
               create function \"straße\"() returns text language sql as 'select ''müßig''::text'; \
               create type \"föhn\" as enum ('ü', 'ö')";
    for version in ["9.5", "15", "18"] {
        comes_back(version, "LATIN1", sql).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_no_encoding_come_back() {
    let sql = "create table t (id integer, bytes text); insert into t values (1, E'\\xff\\xfe\\x80'), (2, 'plain'), (3, E'caf\\xe9')";
    for version in ["9.6", "16"] {
        comes_back(version, "SQL_ASCII", sql).await;
    }
}

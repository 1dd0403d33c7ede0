use drydock::migration::strapi::{Database, Facts, Next, Why, decide};

use crate::{facts, servers};

/// As Strapi 5.0.6 makes it.
const BOOKKEEPING: &str = "
create table strapi_migrations (id serial primary key, name varchar(255), time timestamp without time zone);
create table strapi_migrations_internal (id serial primary key, name varchar(255), time timestamp without time zone);
create table strapi_database_schema (id serial primary key, schema json, time timestamp without time zone, hash varchar(255));
insert into strapi_migrations_internal (name, time) values ('5.0.0-01-convert-identifiers', now()),
    ('5.0.0-02-document-id', now()), ('5.0.0-02-document-id', now());
insert into strapi_database_schema (schema, time, hash) values ('{}', now(), '0a1b2c');
create table articles (id serial primary key, title varchar(255));";

#[tokio::test]
async fn strapis_schema_and_migrations_are_read_and_a_half_done_start_is_seen() {
    for server in servers() {
        server.create_database("strapi");
        let empty = facts!(strapi, server, "strapi", "postgres").unwrap();
        assert_eq!(empty, Database::default());

        server.psql("strapi", BOOKKEEPING);
        let whole = facts!(strapi, server, "strapi", "postgres").unwrap();
        let migrations =
            [("5.0.0-01-convert-identifiers".to_owned(), 1), ("5.0.0-02-document-id".to_owned(), 2)].into();
        assert_eq!(whole, Database { tables: 1, schema_hashes: Some(vec!["0a1b2c".into()]), migrations });

        server.psql("strapi", "delete from strapi_database_schema");
        let half = facts!(strapi, server, "strapi", "postgres").unwrap();
        let version = "5.54.0".parse().unwrap();
        let facts = Facts {
            database: &half,
            pods: &[],
            version: &version,
            migrated_to: Some(&version),
            before: &whole,
            expected: None,
        };
        assert_eq!(decide(&facts), Ok(Next::StartOne(Why::HalfDone)));
    }
}

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use drydock::migration::chatwoot::{Database, Effect, Facts, Next, Refused, Versions, advisory_lock, decide};

use crate::support::wait_until;
use crate::{facts, servers};

/// As Rails makes them.
const BOOKKEEPING: &str = "
create table schema_migrations (version character varying not null primary key);
create table ar_internal_metadata (key character varying not null primary key, value character varying,
    created_at timestamp(6) without time zone not null, updated_at timestamp(6) without time zone not null);
insert into ar_internal_metadata values ('environment', 'production', now(), now()), ('schema_sha1', 'c0de', now(), now());
insert into schema_migrations values ('20230101000000'), ('20230101000001');
create table accounts (id bigserial primary key, name character varying);";

fn versions(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|version| (*version).to_owned()).collect()
}

fn decided(database: &Database) -> Result<Next, Refused> {
    let image =
        Versions::of_listing("20230101000000_base.rb\n20230101000001_storage.rb\n20240601000000_sentiment.rb\n");
    decide(&Facts { database, image: &image, needs: &[], environment: "production", migrated_to: None })
}

#[tokio::test]
async fn what_rails_left_is_read_and_a_lost_table_is_seen() {
    for server in servers() {
        let absent = facts!(chatwoot, server, "chatwoot_absent", "postgres").unwrap();
        assert_eq!((absent.exists, decided(&absent)), (false, Ok(Next::Prepare(Effect::Create))));

        server.create_database("chatwoot");
        let of_an_extension =
            "create table spatial_ref_sys (id int); alter extension plpgsql add table spatial_ref_sys";
        server.psql("chatwoot", of_an_extension);
        let empty = facts!(chatwoot, server, "chatwoot", "postgres").unwrap();
        assert_eq!((empty.exists, empty.tables, &empty.schema_migrations), (true, 0, &None));
        assert!(empty.extensions.contains("plpgsql"), "{:?}", empty.extensions);
        assert_eq!(decided(&empty), Ok(Next::Prepare(Effect::Load)));

        server.psql("chatwoot", BOOKKEEPING);
        let whole = facts!(chatwoot, server, "chatwoot", "postgres").unwrap();
        let expected = Database {
            exists: true,
            tables: 3,
            schema_migrations: Some(versions(&["20230101000000", "20230101000001"])),
            has_internal_metadata: true,
            environment: Some("production".into()),
            extensions: empty.extensions.clone(),
            is_locked: false,
        };
        assert_eq!(whole, expected);
        assert_eq!(decided(&whole), Ok(Next::Prepare(Effect::Migrate(vec!["20240601000000".into()]))));

        server.psql("chatwoot", "drop table ar_internal_metadata");
        let partial = facts!(chatwoot, server, "chatwoot", "postgres").unwrap();
        assert!(matches!(decided(&partial), Err(Refused::Wipe { tables: 2, migrations: 2, .. })), "{partial:?}");
    }
}

#[tokio::test]
async fn the_lock_of_a_migration_under_way_is_seen_and_another_databases_is_not() {
    for server in servers() {
        for name in ["chatwoot_busy", "chatwoot_idle"] {
            server.create_database(name);
            server.psql(name, BOOKKEEPING);
        }
        let key = advisory_lock("chatwoot_busy");
        let mut holder = Command::new("psql")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &server.port.to_string(),
                "-U",
                "postgres",
                "-d",
                "chatwoot_busy",
                "-X",
                "-q",
            ])
            .args(["-c", &format!("select pg_advisory_lock({key})"), "-c", "select pg_sleep(60)"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let held = "select count(*) from pg_locks where locktype = 'advisory' and granted";
        wait_until("the lock", std::time::Duration::from_secs(10), || server.psql("postgres", held) == "1");
        let busy = facts!(chatwoot, server, "chatwoot_busy", "postgres").unwrap();
        let idle = facts!(chatwoot, server, "chatwoot_idle", "postgres").unwrap();
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!((decided(&busy), busy.is_locked), (Ok(Next::Wait), true));
        assert!(!idle.is_locked);
    }
}

#[tokio::test]
async fn a_login_that_may_not_read_the_rows_is_an_error_and_not_an_empty_history() {
    let server = servers()[1];
    server.create_database("chatwoot_foreign");
    server.psql("chatwoot_foreign", BOOKKEEPING);
    server.psql("chatwoot_foreign", "create role nobody_in_particular login");
    let error = facts!(chatwoot, server, "chatwoot_foreign", "nobody_in_particular").unwrap_err();
    assert!(error.to_string().contains("permission denied for table schema_migrations"), "{error}");
}

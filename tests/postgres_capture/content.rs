//! What is stored is what the server holds.

use drydock::data::postgres::manifest::Table;
use drydock::data::postgres::naming::{identifier, qualified};

use crate::helpers::{Store, Taken, by_hand, copied_by_psql, server, spec};
use crate::support::postgres::{Postgres, VERSIONS};

/// As a person would write it.
fn copy_statement(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|c| identifier(&c.name)).collect();
    let name = qualified(&table.schema, &table.name);
    match &table.condition {
        Some(condition) => format!("COPY (SELECT {} FROM ONLY {name} {condition}) TO STDOUT", columns.join(", ")),
        None if columns.is_empty() => format!("COPY {name} TO STDOUT"),
        None => format!("COPY {name} ({}) TO STDOUT", columns.join(", ")),
    }
}

fn holds_what_psql_copies(server: &Postgres, taken: &Taken) {
    for table in &taken.database().tables {
        let theirs = copied_by_psql(server, "torture", &copy_statement(table));
        let ours = taken.bytes(&table.file);
        assert!(
            ours == theirs,
            "{} {}: {} bytes where psql has {}",
            server.version,
            table.table_name(),
            ours.len(),
            theirs.len()
        );
        assert_eq!(table.bytes, ours.len() as u64);
        let count = format!("select count(*) from only {}", qualified(&table.schema, &table.name));
        if table.condition.is_none() {
            assert_eq!(table.rows.to_string(), server.psql("torture", &count), "{}", table.table_name());
        }
        let mut expected = table.expected(taken.manifest.server.version);
        expected.digester.update(&ours);
        let again = expected.digester.finish();
        assert_eq!((again.rows, again.digest), (table.rows, expected.digest), "{}", table.table_name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_what_psql_copies() {
    let store = Store::new().await;
    for version in VERSIONS {
        let server = server(version);
        let taken = store.taken(&spec(server, "torture")).await;
        holds_what_psql_copies(server, &taken);
        let tables = server.psql(
            "torture",
            "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace
            where relkind = 'r' and relpersistence <> 't' and nspname !~ '^pg_' and nspname <> 'information_schema'
              and nspname <> 'torture_ext'",
        );
        // And two of the extension's three.
        assert_eq!((taken.database().tables.len() - 2).to_string(), tables, "{version}");
    }
    let check = store.restic().run(&["check", "--read-data"]);
    assert!(!check.contains("error"), "{check}");
}

/// `RESTORE.md` is a runbook: its commands, run as they stand on an empty server, bring back what pg_dump cannot tell
/// from the original.
#[tokio::test(flavor = "multi_thread")]
async fn by_hand_with_stock_tools_everything_comes_back() {
    let store = Store::new().await;
    for version in ["9.5", "15", "18"] {
        let source = server(version);
        let taken = store.taken(&spec(source, "torture")).await;
        let target = Postgres::start(source.version);
        let text = String::from_utf8(taken.bytes("RESTORE.md")).unwrap();
        let commands: Vec<&str> =
            text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
        assert_eq!(commands.len(), 2, "{text}");
        by_hand(&target, taken.folder.path(), &commands.join("\n"));

        // A row of a table that is hash-partitioned by an enum may be in another partition afterwards.
        let left_out = ["-T", "public.hashed_by_mood_*"];
        let (before, after) = (source.pg_dump("torture", &left_out), target.pg_dump("torture", &left_out));
        assert_same(version, &before, &after);
        let properties = |server: &Postgres| {
            let dump = server.pg_dump("torture", &["--create", "--schema-only"]);
            dump.lines().filter(|l| l.contains("DATABASE") && !l.starts_with("--")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(properties(source), properties(&target), "{version}");
        let roles = |server: &Postgres| {
            server.psql(
                "torture",
                "select rolname, rolconnlimit, rolvaliduntil from pg_roles where rolname !~ '^pg_' order by 1",
            )
        };
        assert_eq!(roles(source), roles(&target));
        if source.version.parse::<f32>().unwrap() >= 11.0 {
            let moods = |server: &Postgres| server.psql("torture", "select * from hashed_by_mood order by 1, 2");
            assert_eq!(moods(source), moods(&target));
        }
    }
}

fn assert_same(version: &str, before: &str, after: &str) {
    if before != after {
        let different: Vec<String> = before
            .lines()
            .zip(after.lines())
            .filter(|(a, b)| a != b)
            .take(20)
            .map(|(a, b)| format!("-{}\n+{}", &a[..a.len().min(300)], &b[..b.len().min(300)]))
            .collect();
        panic!("{version}: pg_dump differs\n{}", different.join("\n"));
    }
}

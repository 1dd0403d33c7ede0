//! The manifest says what was there, as the server's own catalogs do; what cannot be kept is said.

use std::collections::BTreeMap;

use drydock::data::postgres::manifest::{Floats, LargeObject, Manifest};
use drydock::data::postgres::{PostgresError, objects};
use xxhash_rust::xxh3::xxh3_128;

use crate::helpers::{Store, server, spec};
use crate::support::postgres::VERSIONS;

#[tokio::test(flavor = "multi_thread")]
async fn the_torture_database_is_recorded_as_the_catalogs_have_it() {
    let store = Store::new().await;
    for version in VERSIONS {
        let server = server(version);
        let captured = store.capture(&spec(server, "torture")).await.unwrap();
        let taken = store.restored_by_restic(&captured).await;
        let (manifest, database) = (&taken.manifest, taken.database());
        let major = version.parse::<f32>().unwrap();

        for sequence in &database.sequences {
            let name = drydock::data::postgres::naming::qualified(&sequence.schema, &sequence.name);
            let theirs = server.psql("torture", &format!("select last_value, is_called from {name}"));
            let ours = format!("{}|{}", sequence.last_value, if sequence.is_called { "t" } else { "f" });
            assert_eq!(ours, theirs, "{version} {name}");
        }
        let count = server.psql("torture", "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace where relkind = 'S' and nspname !~ '^pg_'");
        assert_eq!(database.sequences.len().to_string(), count);
        assert!(database.sequences.iter().any(|s| s.schema == "torture_ext"), "configuration sequences too");

        let properties = &database.properties;
        assert_eq!((properties.encoding.as_str(), properties.connection_limit), ("UTF8", 50));
        assert_eq!(properties.comment.as_deref(), Some("the torture database\nwith two lines"));
        let settings: Vec<String> =
            properties.settings.iter().map(|s| format!("{:?} {}={}", s.role, s.name, s.value)).collect();
        assert_eq!(
            settings,
            [
                "None statement_timeout=5min",
                "None search_path=public, \"Mixed Case\"",
                "Some(\"torture_owner\") lock_timeout=3s",
            ]
        );
        let grants = properties.grants.as_ref().unwrap();
        assert!(
            grants
                .iter()
                .any(|g| g.grantee.as_deref() == Some("torture_reader") && g.privilege == "CONNECT" && g.grantable)
        );
        assert!(
            grants.iter().any(|g| g.grantee.as_deref() == Some("Torture \"Quoted\" Role") && g.privilege == "CREATE")
        );

        let settings = taken.table("torture_ext.settings");
        assert_eq!(settings.extension.as_deref(), Some("drydock_torture"));
        assert_eq!((settings.condition.as_deref(), settings.rows), (Some("WHERE user_made"), 2));
        assert!(!taken.table_names().contains(&"torture_ext.constants".to_owned()));
        assert!(taken.table("public.unlogged").unlogged);

        let said = captured.notes.join("\n");
        assert!(said.contains("database torture: rows of foreign tables (public.foreign_rows) not kept:"), "{said}");
        assert!(said.contains("rows of materialized views (public.of_totals, public.totals) not kept"), "{said}");
        assert_eq!(said.contains("embed floating-point numbers"), major < 12.0, "{said}");
        assert_eq!(database.event_triggers, ["sleeping", "watch"]);
        assert_eq!(
            database.publications.len(),
            if major >= 15.0 {
                4
            } else if major >= 10.0 {
                2
            } else {
                0
            }
        );
        assert!(database.extensions.iter().any(|e| e.name == "drydock_torture" && e.version == "1.0"));
        assert!(manifest.globals.role_passwords && manifest.globals.roles.contains(&"torture_owner".to_owned()));
        assert!(String::from_utf8(taken.bytes("globals.sql")).unwrap().contains("CREATE ROLE torture_reader"));

        let all = taken.table("public.all_types");
        let floats = |name: &str| all.columns.iter().find(|c| c.name == name).unwrap().floats;
        if major < 12.0 {
            for (column, expected) in [
                ("f4", Floats::Single),
                ("ra", Floats::Single),
                ("f8", Floats::Double),
                ("pta", Floats::Double),
                ("po", Floats::None),
                ("ra1", Floats::Double),
                ("ral", Floats::Double),
                ("me", Floats::Embedded),
                ("mea", Floats::Embedded),
                ("fr", Floats::Embedded),
                ("a", Floats::None),
                ("n", Floats::None),
                ("nr", Floats::None),
                ("ci", Floats::Double),
            ] {
                assert_eq!(floats(column), expected, "{column}");
            }
        }
        if major >= 11.0 {
            let leaf = taken.table("public.hashed_by_mood_1").load_through.clone().unwrap();
            assert_eq!(leaf.to_string(), "public.hashed_by_mood");
            assert_eq!(taken.table("public.hashed_1").load_through, None);
            assert!(taken.table("public.Parted North.New").columns[0].name == "amount");
            assert!(!taken.table_names().contains(&"public.parted".to_owned()), "a partitioned parent has no rows");
        }
        if major >= 12.0 {
            let names: Vec<&str> = taken.table("public.generated").columns.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(names, ["a", "b"]);
            assert_eq!(taken.table("public.only_generated").rows, 2);
        }
        assert_eq!(captured.items, database.tables.len() as u64);
        assert_eq!(
            captured.source_version,
            format!("postgresql {}", server.psql("torture", "show server_version").split(' ').next().unwrap())
        );
        let again = store.capture(&spec(server, "torture")).await.unwrap();
        assert_eq!(again.digest, captured.digest, "the same content has the same digest");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_are_what_the_server_returns() {
    let store = Store::new().await;
    for version in VERSIONS {
        let server = server(version);
        let taken = store.taken(&spec(server, "torture")).await;
        let record = &taken.database().large_objects;
        let list = String::from_utf8(taken.bytes(&record.list.as_ref().unwrap().file)).unwrap();
        let objects: Vec<LargeObject> = list.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((record.count, objects.len()), (204, 204));
        assert!(objects.windows(2).all(|pair| pair[0].oid < pair[1].oid));
        let mut digest = 0u128;
        for object in &objects {
            let bytes = taken.bytes(&format!("databases/torture/large-objects/{}", object.oid));
            assert_eq!((object.bytes, object.hash.0), (bytes.len() as u64, xxh3_128(&bytes)), "{}", object.oid);
            digest = digest.wrapping_add(object.share_of_digest());
        }
        assert_eq!((digest, objects.iter().map(|o| o.bytes).sum::<u64>()), (record.digest.0, record.bytes));
        for oid in [4242u32, 4243, 4244, 4_294_967_295, 50_007] {
            let theirs = server.psql("torture", &format!("select md5(lo_get({oid}))"));
            let ours = taken.path(&format!("databases/torture/large-objects/{oid}"));
            let ours = crate::support::run(std::process::Command::new("md5sum").arg(ours));
            assert_eq!(&ours[..32], theirs, "{version} {oid}");
        }
        let named = |oid: u32| objects.iter().find(|o| o.oid == oid).unwrap();
        assert_eq!(named(4243).owner, "torture_owner");
        assert_eq!(named(4243).comment.as_deref(), Some("five bytes, one's a newline"));
        let grants = named(4242).grants.as_ref().unwrap();
        assert!(grants.iter().any(|g| g.grantee.as_deref() == Some("torture_reader") && g.privilege == "SELECT"));
        assert_eq!(named(4244).grants, None);
        assert_eq!(record.owners, BTreeMap::from([("postgres".to_owned(), 203), ("torture_owner".to_owned(), 1)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_objects_names_each_kind_and_is_the_same_again() {
    let store = Store::new().await;
    for version in VERSIONS {
        let server = server(version);
        let taken = store.taken(&spec(server, "torture")).await;
        let record = &taken.database().objects;
        let file = taken.bytes(&record.file);
        assert_eq!(objects::digest(&file), record.digest);
        let text = String::from_utf8(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len() as u64, record.count);
        assert!(lines.is_sorted());
        for expected in [
            "table public.all_types",
            "table public.guarded row security forced",
            "table public.unlogged unlogged",
            "table \"dots.and/slashes%\".\"a.b/c%d\\\\e\"\"f'g\"",
            "column public.\"new\\nline\".\"col\\numn\" text",
            "view public.view_two",
            "materialized view public.not_filled not filled",
            "sequence public.backwards",
            "foreign table public.foreign_rows",
            "composite type public.address",
            "child public.child of public.parent_two",
            "constraint public.referencing.\"to the other\" foreign key",
            "constraint public.referencing.not_yet_valid check not valid",
            "constraint public.positive.above_zero check",
            "trigger public.referenced.disabled disabled",
            "rule public.log.quiet",
            "policy public.guarded.own_rows all",
            "function \"Mixed Case\".\"Add\"(a integer, b integer, VARIADIC rest integer[]) security definer",
            "aggregate public.product(numeric)",
            "enum public.mood 'sad', 'meh', 'ok', 'happy', 'it''s \"complicated\"', 'tab\tbed'",
            "domain public.email text not null",
            "range public.float_range",
            "operator public.=== (public.address, public.address)",
            "operator class public.reversed_int using btree",
            "cast (public.mood as integer)",
            "conversion public.torture_conversion",
            "collation public.\"C copy\"",
            "text search configuration public.plain",
            "foreign data wrapper nowhere",
            "server elsewhere",
            "user mapping for torture_owner on elsewhere",
            "event trigger sleeping disabled",
            "extension drydock_torture",
            "default privileges of torture_owner in \"Mixed Case\" on r",
            "schema empty_schema",
            "index public.many_account on many",
        ] {
            assert!(lines.contains(&expected), "{version}: {expected} is not in\n{text}");
        }
        assert!(!text.contains("torture_ext.answer") && !text.contains("multirange("), "{text}");
    }
}

#[test]
fn a_newer_manifest_is_refused_and_an_unknown_field_too() {
    let newer = br#"{"formatVersion": 2, "somethingNew": true}"#;
    let error = Manifest::read(newer).unwrap_err();
    assert!(matches!(error, PostgresError::ManifestTooNew { found: 2, known: 1 }));
    assert_eq!(error.to_string(), "the manifest has format version 2; this drydock reads up to 1");
    let error = Manifest::read(br#"{"formatVersion": 1, "somethingNew": true}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `somethingNew`"), "{error}");
    assert!(Manifest::read(b"{").is_err());
}

//! One instant, whatever goes on; the same content is the same digest, however it lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drydock::context::Context;
use drydock::data::postgres::naming::{identifier, qualified};
use drydock::data::postgres::version::Version;
use drydock::data::postgres::{PostgresError, open};
use futures_util::TryStreamExt;

use crate::helpers::{Store, Taken, copied_by_psql, server, spec, spec_of};
use crate::support::postgres::Postgres;

fn column_sum(taken: &Taken, table: &str, column: usize) -> i64 {
    let text = String::from_utf8(taken.bytes(&taken.table(table).file)).unwrap();
    text.lines().map(|l| l.split('\t').nth(column).unwrap().parse::<i64>().unwrap()).sum()
}

/// Money moves between two tables all the time; the sum is always the same, and so it must be in every snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_while_the_snapshot_is_taken_never_show() {
    let store = Store::new().await;
    for version in ["9.5", "16"] {
        let server = server(version);
        server.create_database("bank");
        server.psql("bank", "create table checking (id integer primary key, amount bigint); create table savings (id integer primary key, amount bigint);
            create table journal (id serial primary key, account integer); insert into checking select i, 1000 from generate_series(1, 300) i;
            insert into savings select i, 1000 from generate_series(1, 300) i;
            create function transfer() returns void language plpgsql as $$ declare a integer := 1 + floor(random() * 300); begin
              update checking set amount = amount - 7 where id = a; insert into journal (account) values (a);
              update savings set amount = amount + 7 where id = 1 + (a * 31) % 300; end $$");
        let over = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (over, port) = (Arc::clone(&over), server.port.to_string());
                std::thread::spawn(move || {
                    let script = "select transfer();\n".repeat(200);
                    while !over.load(Ordering::Relaxed) {
                        let mut psql = std::process::Command::new("psql")
                            .args(["-X", "-q", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "bank"])
                            .stdin(std::process::Stdio::piped())
                            .stdout(std::process::Stdio::null())
                            .spawn()
                            .unwrap();
                        std::io::Write::write_all(&mut psql.stdin.take().unwrap(), script.as_bytes()).unwrap();
                        assert!(psql.wait().unwrap().success());
                    }
                })
            })
            .collect();
        let mut journals = Vec::new();
        for _ in 0..3 {
            let taken = store.taken(&spec(server, "bank")).await;
            assert_eq!(
                column_sum(&taken, "public.checking", 1) + column_sum(&taken, "public.savings", 1),
                600_000,
                "{version}"
            );
            let moved = (300_000 - column_sum(&taken, "public.checking", 1)) / 7;
            let journal = taken.table("public.journal").rows;
            assert_eq!(journal, u64::try_from(moved).unwrap(), "each transfer has its line");
            let sequence = taken.database().sequences.iter().find(|s| s.name == "journal_id_seq").unwrap();
            assert!(u64::try_from(sequence.last_value).unwrap() >= journal, "a sequence is never behind the rows");
            journals.push(journal);
        }
        over.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|w| w.join().unwrap());
        assert!(journals[2] > journals[0], "nothing was written meanwhile: {journals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_does_not_depend_on_how_rows_lie() {
    let store = Store::new().await;
    let server = server("18");
    server.create_database("layout");
    server.psql("layout", "create table t (id integer primary key, note text); insert into t select i, md5(i::text) from generate_series(1, 3000) i");
    let before = store.taken(&spec(server, "layout")).await;
    server.psql(
        "layout",
        "create index by_note on t (note); cluster t using by_note; update t set note = note where id % 3 = 0",
    );
    let after = store.taken(&spec(server, "layout")).await;
    let (before_table, after_table) = (before.table("public.t"), after.table("public.t"));
    assert_ne!(before.bytes(&before_table.file), after.bytes(&after_table.file));
    assert_eq!((before_table.digest, before_table.rows), (after_table.digest, after_table.rows));
    server.psql("layout", "update t set note = 'x' where id = 7");
    let changed = store.taken(&spec(server, "layout")).await;
    assert_ne!(changed.table("public.t").digest, before_table.digest);
}

/// What 9.5 sends, loaded into 18 and sent again, is other text and the same digest; embedded floats are left out.
#[tokio::test(flavor = "multi_thread")]
async fn digests_of_9_5_can_be_compared_with_18() {
    let store = Store::new().await;
    let (old, new) = (server("9.5"), server("18"));
    for server in [old, new] {
        server.create_database("floats");
        server.psql("floats", "create type pair as (label text, value float8);
            create table f (id integer, f4 real, f8 float8, a4 real[], a8 float8[], p point, l line, s lseg, b box, pa path, po polygon, c circle, pb point[], e pair)");
    }
    let value = "random() * 10::float8 ^ (i % 600 - 300)";
    old.psql("floats", &format!("insert into f select i, (random() * 10 ^ (i % 70 - 35))::real, {value}, array[random(), null, 'NaN'], array[{value}, '-Infinity', -0.0],
        point(random(), random()), line(point(0, 0), point(random() + 1, 1)), lseg(point(0, random()), point(1, 1)), box(point(0, random()), point(1, 1)),
        path('((0.1,0.2),(' || random() || ',1))'), polygon(box(point(0, random()), point(1, 1))), circle(point(random(), 0), random()),
        array[point(random(), 1e23)], row('x 1.10', random())::pair from generate_series(1, 2000) i where i % 600 > 1"));
    let taken = store.taken(&spec(old, "floats")).await;
    let table = taken.table("public.f");
    let file = taken.path(&table.file);
    new.psql("floats", &format!("\\copy f from '{}'", file.display()));
    let again = copied_by_psql(new, "floats", "COPY public.f TO STDOUT");
    assert_ne!(again, taken.bytes(&table.file));
    let mut expected = table.expected(Version::V18);
    expected.digester.update(&again);
    assert_eq!(expected.digester.finish().digest, expected.digest);
    assert_eq!(expected.left_out, ["e"]);
    // And with itself nothing is left out.
    let mut same = table.expected(taken.manifest.server.version);
    same.digester.update(&copied_by_psql(old, "floats", "COPY public.f TO STDOUT"));
    assert_eq!((same.digester.finish().digest, same.left_out), (same.digest, vec![]));
    new.psql("floats", "update f set f8 = f8 * 1.0000000000000002 where id = 77");
    let mut changed = table.expected(Version::V18);
    changed.digester.update(&copied_by_psql(new, "floats", "COPY public.f TO STDOUT"));
    assert_ne!(changed.digester.finish().digest, changed.digest);
}

/// A quarter of a gigabyte of pages with little in them: read by ranges of ctids, stored as one file.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_read_in_parts_is_one_file() {
    let store = Store::new().await;
    for version in ["9.6", "16"] {
        let server = server(version);
        server.create_database("large");
        server.psql("large", "create unlogged table wide (id integer, pad text) with (fillfactor = 10);
            insert into wide select i, repeat('x', 500) || i from generate_series(1, 33000) i; delete from wide where id % 100 = 0;
            create table small (id integer)");
        let taken = store.taken(&spec(server, "large")).await;
        let table = taken.table("public.wide");
        let theirs = copied_by_psql(server, "large", "COPY public.wide (id, pad) TO STDOUT");
        assert!(taken.bytes(&table.file) == theirs, "{version}");
        assert_eq!(table.parts.len(), if version == "16" { 3 } else { 1 }, "{version}: {:?}", table.parts);
        assert_eq!(table.parts.iter().map(|p| p.rows).sum::<u64>(), table.rows);
        assert_eq!(table.parts.iter().map(|p| p.bytes).sum::<u64>(), table.bytes);
        assert!(table.parts.iter().all(|p| p.rows > 0));
        server.psql("postgres", "drop database large");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_other_than_utf8_keep_their_bytes() {
    let store = Store::new().await;
    for version in ["9.5", "18"] {
        let server = server(version);
        for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP"] {
            let name = format!("in_{}", encoding.to_lowercase());
            server.psql(
                "postgres",
                &format!("create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"),
            );
            let value = if encoding == "EUC_JP" { "日本語" } else { "größe" };
            let table = if encoding == "SQL_ASCII" { "plain" } else { value };
            server.psql(&name, &format!("create table \"{table}\" (id integer, \"{table}\" text); insert into \"{table}\" values (1, '{value}')"));
            if encoding == "SQL_ASCII" {
                server.psql(&name, "insert into plain values (2, e'\\xff\\xfe latin1 \\xe9')");
            }
            let taken = store.taken(&spec(server, &name)).await;
            let record = &taken.database().tables[0];
            assert_eq!(taken.database().properties.encoding, encoding);
            let columns: Vec<String> = record.columns.iter().map(|c| identifier(&c.name)).collect();
            let copy = format!(
                "COPY {} ({}) TO STDOUT (ENCODING '{encoding}')",
                qualified(&record.schema, &record.name),
                columns.join(", ")
            );
            let bytes = taken.bytes(&record.file);
            assert_eq!(bytes, copied_by_psql(server, &name, &copy), "{version} {encoding}");
            let own: &[u8] = match encoding {
                "LATIN1" => b"1\tgr\xf6\xdfe\n",
                "SQL_ASCII" => b"1\tgr\xc3\xb6\xc3\x9fe\n2\t\xff\xfe latin1 \xe9\n",
                _ => b"1\t\xc6\xfc\xcb\xdc\xb8\xec\n",
            };
            assert_eq!(bytes, own, "{version} {encoding}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_of_one_server_are_one_snapshot() {
    let store = Store::new().await;
    let server = server("16");
    for name in ["first/one", "second"] {
        server.create_database(name);
        server.psql(name, "create table t (name text); insert into t values (current_database())");
    }
    let clients = crate::helpers::clients(server);
    let spec = spec_of(&format!(
        "{{host: 127.0.0.1, port: {}, user: postgres, databases: [first/one, second], clientBinaries: {}}}",
        server.port,
        clients.display()
    ));
    let taken = store.taken(&spec).await;
    let names: Vec<&str> = taken.manifest.databases.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["first/one", "second"]);
    assert_eq!(taken.bytes("databases/first%2Fone/tables/public.t.copy"), b"first/one\n");
    assert_eq!(taken.bytes("databases/second/tables/public.t.copy"), b"second\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_answered_inside_the_snapshot() {
    let server = server("15");
    server.create_database("asked");
    server.psql("asked", "create table t (id integer, v text); insert into t values (1, 'old'), (2, null)");
    let source = open(&spec(server, "asked"), &Context::default()).await.unwrap();
    server.psql("asked", "update t set v = 'new'; insert into t values (3, 'new')");
    let ask = async |database: Option<&str>, sql: &str| -> Result<Vec<Vec<Option<String>>>, PostgresError> {
        source.rows(database, sql).await?.try_collect().await
    };
    let row = |id: &str, v: Option<&str>| vec![Some(id.to_owned()), v.map(str::to_owned)];
    assert_eq!(ask(None, "select * from public.t order by id").await.unwrap(), [row("1", Some("old")), row("2", None)]);
    let error = ask(Some("asked"), "select * from nowhere").await.unwrap_err();
    assert!(error.to_string().contains("relation \"nowhere\" does not exist"), "{error}");
    let error = ask(Some("other"), "select 1").await.unwrap_err();
    assert_eq!(error.to_string(), "the data set has no database `other`");
    // A question that fails leaves the snapshot as it is.
    assert_eq!(ask(None, "select count(*) from public.t").await.unwrap(), [[Some("2".to_owned())]]);
    let many = ask(None, "select i from generate_series(1, 100000) i").await.unwrap();
    assert_eq!(many.len(), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_as_it_is() {
    let primary = Postgres::start("15");
    primary.create_torture_database("torture");
    let standby = primary.start_standby(&["hot_standby_feedback=on"]);
    let store = Store::new().await;
    let captured = store.capture(&spec(&standby, "torture")).await.unwrap();
    let taken = store.restored_by_restic(&captured).await;
    assert!(taken.manifest.server.standby);
    assert!(!taken.table_names().contains(&"public.unlogged".to_owned()));
    assert!(
        captured.notes.iter().any(|n| n.contains("rows of unlogged tables (public.unlogged) not kept")),
        "{:?}",
        captured.notes
    );
    let many = taken.table("public.many");
    let theirs = copied_by_psql(&primary, "torture", "COPY public.many TO STDOUT");
    assert!(taken.bytes(&many.file) == theirs);
}

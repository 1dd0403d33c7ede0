//! A restored database takes the live one's place, or nothing has changed: also when the process dies on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drydock::context::Context;
use drydock::data::postgres::PostgresError;
use drydock::data::postgres::restore::{self, Observer, RestoreError, RestoreOptions, Step};
use drydock::failure::{Category, Failure};
use drydock::repository::TreeId;
use drydock::stack::PostgresSpec;
use tokio::sync::Notify;

use crate::helpers::{Store, databases, differences, in_place, server, spec, unique};
use crate::support::Folder;
use crate::support::postgres::Postgres;

/// A shop's database with a thousand messages, whose owner is `shop`, and everything that hangs on a database.
struct Shop {
    server: &'static Postgres,
    name: String,
    spec: PostgresSpec,
    store: Store,
    tree: TreeId,
}

impl Shop {
    async fn on(version: &'static str) -> Self {
        Self::at(server(version)).await
    }

    async fn at(server: &'static Postgres) -> Self {
        let name = unique("shop");
        server.create_database(&name);
        server.psql(&name, SHOP);
        server.psql(
            "postgres",
            &format!(
                "alter database {name} owner to shop; alter database {name} connection limit 20; \
                 alter database {name} set work_mem = '7MB'; alter role shop in database {name} set lock_timeout = '9s'; \
                 grant connect on database {name} to clerk with grant option; revoke temporary on database {name} from public; \
                 comment on database {name} is 'the shop''s'"
            ),
        );
        let spec = spec(server, &format!("database: {name}"));
        let store = Store::new().await;
        let tree = store.capture(&spec).await.tree;
        Self { server, name, spec, store, tree }
    }

    fn damage(&self) {
        self.server.psql(&self.name, "delete from messages where id % 2 = 0; update messages set text = 'gone'");
    }

    fn messages(&self, database: &str) -> String {
        self.server
            .psql(database, "select count(*) || ' ' || md5(string_agg(id || text, ',' order by id)) from messages")
    }

    /// What `pg_dump --create` says of the database itself.
    fn properties(&self) -> String {
        let dump = self.server.pg_dump(&self.name, &["--create", "--schema-only"]);
        dump.lines().filter(|l| l.contains("DATABASE") && !l.starts_with("--")).collect::<Vec<_>>().join("\n")
    }

    async fn restore(&self, options: &RestoreOptions) -> Result<restore::Restored, RestoreError> {
        self.store.restore(&self.tree, &self.spec, options).await
    }

    /// Names on this server that begin as the shop's does.
    fn mine(&self) -> Vec<String> {
        let mine = |line: &String| {
            line.starts_with(&format!("{} ", self.name)) || line.starts_with(&format!("{}_", self.name))
        };
        databases(self.server).into_iter().filter(mine).collect()
    }
}

const SHOP: &str = "
    do $$ begin
      create role shop login; create role clerk login;
    exception when duplicate_object then null; end $$;
    create table messages (id serial primary key, text text not null);
    insert into messages (text) select md5(i::text) from generate_series(1, 1000) i;
    create index on messages (text);
    alter table messages owner to shop;
    grant select on messages to clerk;";

/// An application that logs in as its own user, writes, and logs in again whenever its session is lost.
struct Application {
    written: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Application {
    fn on(shop: &Shop) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let (count, to) =
            (Arc::clone(&written), format!("host=127.0.0.1 port={} user=shop dbname={}", shop.server.port, shop.name));
        let task = tokio::spawn(async move {
            loop {
                if let Ok((client, connection)) = tokio_postgres::connect(&to, tokio_postgres::NoTls).await {
                    tokio::spawn(connection);
                    while client.execute("insert into messages (text) values ('live')", &[]).await.is_ok() {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { written, task }
    }

    async fn writes_on(&self) {
        let (before, start) = (self.written.load(Ordering::SeqCst), Instant::now());
        while self.written.load(Ordering::SeqCst) < before + 3 {
            assert!(start.elapsed() < Duration::from_secs(10), "the application writes no more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn takes_the_place_under_a_running_application(version: &'static str) {
    let shop = Shop::on(version).await;
    let (recorded, properties) = (shop.messages(&shop.name), shop.properties());
    shop.damage();
    let application = Application::on(&shop);
    application.writes_on().await;
    let restored = shop.restore(&in_place()).await.unwrap();
    assert!(restored.promoted, "{:?}", differences(&restored.comparison));
    application.writes_on().await;
    drop(application);

    let kept =
        "select count(*) || ' ' || md5(string_agg(id || text, ',' order by id)) from messages where text <> 'live'";
    assert_eq!(shop.server.psql(&shop.name, kept), recorded);
    assert_eq!(shop.properties(), properties);
    let former = restored.databases[0].former.clone().unwrap();
    assert!(former.starts_with(&format!("{}_before_2", shop.name)), "{former}");
    let expected = [format!("{} true the shop's", shop.name), format!("{former} false the shop's")];
    assert_eq!(shop.mine(), expected);
    // The former one is as it was: damaged, and with what the application wrote until the swap.
    shop.server.psql("postgres", &format!("alter database {former} allow_connections true"));
    assert_eq!(shop.server.psql(&former, "select count(*) from messages where text = 'gone'"), "500");
    assert_ne!(shop.server.psql(&former, "select count(*) from messages where text = 'live'"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_9_5_a_running_application_goes_on_with_the_restored_database() {
    takes_the_place_under_a_running_application("9.5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_18_a_running_application_goes_on_with_the_restored_database() {
    takes_the_place_under_a_running_application("18").await;
}

/// Lets the restore come as far as `step` and kills it there, as a crash does: nothing of it runs on.
async fn kill_at(shop: &Shop, step: Step) {
    let reached = Arc::new(Notify::new());
    let told = Arc::clone(&reached);
    let observer = Observer::new(move |now| {
        let told = Arc::clone(&told);
        Box::pin(async move {
            if now == step {
                told.notify_one();
                std::future::pending::<()>().await;
            }
        })
    });
    let options = RestoreOptions { observer, ..in_place() };
    tokio::select! {
        done = shop.restore(&options) => panic!("it came to its end: {done:?}"),
        () = reached.notified() => {}
    }
}

/// What a person or the next run does; the killed one's session may live a moment longer.
async fn undo(shop: &Shop) {
    let start = Instant::now();
    while !restore::unfinished(&shop.spec).await.unwrap().iter().all(|left| left.database != shop.name) {
        restore::undo(&shop.spec).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", restore::unfinished(&shop.spec).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_killed_at_any_step_is_undone_or_finished_by_the_next() {
    // A server of its own: what others undo on a shared one is all that was killed there.
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start("16")));
    for step in Step::ALL {
        let shop = Shop::at(server).await;
        let (recorded, before, properties) = (shop.messages(&shop.name), shop.mine(), shop.properties());
        shop.damage();
        let damaged = shop.messages(&shop.name);
        kill_at(&shop, step).await;

        let now = shop.mine();
        assert_ne!(now, before, "{step:?} left no trace, so the test kills nothing");
        let is_closed = now.iter().any(|line| line.starts_with(&format!("{} false", shop.name)));
        assert_eq!(is_closed, matches!(step, Step::Closed | Step::SessionsEnded), "{step:?}: {now:?}");
        undo(&shop).await;
        assert_eq!(shop.properties(), properties, "{step:?}");
        if matches!(step, Step::Renamed | Step::Proved) {
            assert_eq!(shop.messages(&shop.name), recorded, "{step:?}");
            let kept = shop.mine();
            assert_eq!(kept.len(), 2, "{step:?}: {kept:?}");
            assert!(kept[1].contains("_before_") && kept[1].ends_with(" false the shop's"), "{step:?}: {kept:?}");
        } else {
            assert_eq!(shop.messages(&shop.name), damaged, "{step:?}");
            assert_eq!(shop.mine(), before, "{step:?}");
        }
        // The next run needs nobody to clean up before it.
        let restored = shop.restore(&in_place()).await.unwrap();
        assert!(restored.promoted);
        assert_eq!(shop.messages(&shop.name), recorded, "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_its_record_is_not_promoted() {
    let shop = Shop::on("16").await;
    let before = shop.mine();
    let (server, name) = (shop.server, shop.name.clone());
    let observer = Observer::new(move |step| {
        let name = name.clone();
        Box::pin(async move {
            if step == Step::Filled {
                let sql = format!("select datname from pg_database where datname like '{name}\\_\\_drydock\\_%'");
                server.psql(&server.psql("postgres", &sql), "drop index messages_text_idx; create table more ()");
            }
        })
    });
    let restored = shop.restore(&RestoreOptions { observer, ..in_place() }).await.unwrap();
    assert!(!restored.promoted);
    assert_eq!(
        differences(&restored.comparison),
        [
            "index public.messages_text_idx on messages: nothing where one was recorded",
            "table public.more: one where none was recorded"
        ]
    );
    assert_eq!(shop.mine(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_a_privilege_and_a_comment_that_differ_keep_it_from_being_promoted() {
    let shop = Shop::on("16").await;
    shop.server.psql(
        &shop.name,
        "comment on column messages.text is 'what was said'; grant select (id) on messages to clerk with grant option;
         create function f() returns int language sql as 'select 1'; revoke execute on function f() from public",
    );
    let tree = shop.store.capture(&shop.spec).await.tree;
    let whole = shop.store.compare(&tree, &shop.spec, &shop.name, &shop.name).await;
    assert_eq!(differences(&whole), Vec::<String>::new());
    assert!(whole.compared["owners, privileges and comments"] >= 7, "{:?}", whole.compared);
    shop.server.psql(
        &shop.name,
        "comment on column messages.text is null; grant insert on messages to clerk; revoke all (id) on messages from clerk;
         alter function f() owner to clerk; grant execute on function f() to public",
    );
    let told = differences(&shop.store.compare(&tree, &shop.spec, &shop.name, &shop.name).await);
    let begins: Vec<&str> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "comment on table column public.messages.text",
        "owner of function public.f()",
        "privileges on column public.messages.id",
        "privileges on function public.f()",
        "privileges on table public.messages",
    ];
    assert_eq!(begins, expected, "{told:?}");
    assert_eq!(told[1], "owner of function public.f(): clerk where postgres was recorded");
    assert_eq!(told[2], "privileges on column public.messages.id: none where clerk=SELECT*/shop was recorded");
    // And all of it comes back.
    let restored = shop.store.restore(&tree, &shop.spec, &in_place()).await.unwrap();
    assert!(restored.promoted, "{:?}", differences(&restored.comparison));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_changed_behind_our_back_is_told_with_table_digest_and_count() {
    let shop = Shop::on("15").await;
    let compare = || shop.store.compare(&shop.tree, &shop.spec, &shop.name, &shop.name);
    let untouched = compare().await;
    assert_eq!(differences(&untouched), Vec::<String>::new());
    assert_eq!(untouched.compared["rows"], 1_000);
    shop.server.psql(&shop.name, "update messages set text = 'x' where id = 7");
    let told = differences(&compare().await);
    let [line] = &told[..] else { panic!("{told:?}") };
    let (digests, count) = line.split_once(" was recorded ").unwrap();
    assert_eq!(count, "(1,000 rows, as recorded)");
    let (what, recorded) = digests.split_once(" where ").unwrap();
    let found = what.strip_prefix("table public.messages: digest ").unwrap();
    assert!(found.len() > 8 && recorded.len() > 8 && found != recorded, "{line}");
    shop.server.psql(&shop.name, "delete from messages where id > 990; select setval('messages_id_seq', 5)");
    let told = differences(&compare().await);
    assert!(told[0].starts_with("table public.messages: 990 rows where 1,000 was recorded"), "{told:?}");
    assert_eq!(told[1], "sequence public.messages_id_seq: 5 where 1000 was recorded");
    shop.server.psql(&shop.name, "drop table messages");
    let told = differences(&compare().await);
    assert!(
        told[0].starts_with("table public.messages: relation \"public.messages\" does not exist where"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_log_in_keeps_the_former_database() {
    // The servers of these tests trust everybody: one of its own asks the application for its password.
    let folder = Folder::new("hba");
    let hba = folder.path().join("pg_hba.conf");
    std::fs::write(&hba, "host all shop 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 trust\n").unwrap();
    let server: &'static Postgres =
        Box::leak(Box::new(Postgres::start_with("16", &[&format!("hba_file={}", hba.display())])));
    let shop = Shop::at(server).await;
    server.psql("postgres", "alter role shop password 'right'");
    let before = shop.mine();
    let password = folder.path().join("password");
    let application = format!("application: {{user: shop, password: {{fromFile: {}}}}}", password.display());
    let shop = Shop { spec: spec(server, &format!("database: {}, {application}", shop.name)), ..shop };
    assert!(matches!(shop.restore(&in_place()).await.unwrap_err(), RestoreError::Postgres(PostgresError::Secret(_))));
    std::fs::write(&password, "wrong").unwrap();
    let refused = shop.restore(&in_place()).await.unwrap_err();
    assert!(matches!(refused, RestoreError::Application { .. }), "{refused:?}");
    assert_eq!(shop.mine(), before);

    // Found out only after the swap: both renames are undone.
    std::fs::write(&password, "right").unwrap();
    let observer = Observer::new(move |step| {
        Box::pin(async move {
            if step == Step::Renamed {
                server.psql("postgres", "alter role shop nologin");
            }
        })
    });
    let refused = shop.restore(&RestoreOptions { observer, ..in_place() }).await.unwrap_err();
    let RestoreError::Left { source, left } = &refused else { panic!("{refused:?}") };
    assert!(matches!(**source, RestoreError::LoginRefused { .. }), "{refused:?}");
    assert!(left[0].contains("__refused_"), "{left:?}");
    assert_eq!(shop.mine()[0], before[0]);
    server.psql("postgres", "alter role shop login");
    // What had the live name for a moment may have been written to: no later run drops it.
    let restored = shop.restore(&in_place()).await.unwrap();
    let told = |note: &String| note.contains("__refused_") && note.contains("DROP DATABASE");
    assert!(restored.promoted && restored.notes.iter().any(told), "{:?}", restored.notes);
    let aside = shop.mine().into_iter().find(|line| line.contains("__refused_")).expect("it is gone");
    let name = aside.split(' ').next().unwrap();
    server.psql("postgres", &format!("alter database {name} allow_connections true"));
    assert_eq!(shop.messages(name), shop.messages(&shop.name));
    assert_eq!(shop.mine().len(), 3);
}

/// Somebody who may undo what is left of a restore, and who is no superuser: limits on connections hold for him.
fn restorer(shop: &Shop) -> PostgresSpec {
    shop.server.psql(
        "postgres",
        "create role restorer login createdb; grant shop to restorer; grant pg_signal_backend to restorer",
    );
    PostgresSpec { user: "restorer".into(), ..shop.spec.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_finds_no_connection_free_takes_nothing_from_the_applications() {
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start("16")));
    let shop = Shop::at(server).await;
    let restorer = restorer(&shop);
    let limit =
        |number: i32| server.psql("postgres", &format!("alter database {} connection limit {number}", shop.name));
    shop.damage();
    kill_at(&shop, Step::Renamed).await;
    server.psql(&shop.name, "insert into messages (text) values ('written since')");
    limit(0);
    let start = Instant::now();
    let error = loop {
        match restore::undo(&restorer).await {
            Err(error) => break error,
            // The killed one's lock may live a moment longer.
            Ok(done) => assert!(done.is_empty() && start.elapsed() < Duration::from_secs(10), "{done:?}"),
        }
    };
    assert!(matches!(error, RestoreError::Unproven { .. }), "{error:?}");
    assert_eq!(error.category(), Category::NeedsOperator);
    assert!(error.hint().unwrap().contains("RENAME TO"), "{error:?}");
    let written = "select count(*) from messages where text = 'written since'";
    assert_eq!(server.psql(&shop.name, written), "1");
    limit(20);
    let done = restore::undo(&restorer).await.unwrap();
    assert!(done[0].contains("is the restored one"), "{done:?}");
    assert_eq!(server.psql(&shop.name, written), "1");

    // The same in the run itself: the application's own login finds nothing free.
    let (name, before) = (shop.name.clone(), shop.mine().len());
    let observer = Observer::new(move |step| {
        let name = name.clone();
        Box::pin(async move {
            if step == Step::Renamed {
                server.psql("postgres", &format!("alter database {name} connection limit 0"));
            }
        })
    });
    let shop = Shop { spec: spec(server, &format!("database: {}, application: {{user: shop}}", shop.name)), ..shop };
    let error = shop.restore(&RestoreOptions { observer, ..in_place() }).await.unwrap_err();
    assert!(matches!(error, RestoreError::Unproven { .. }), "{error:?}");
    assert_eq!(server.psql(&shop.name, "select count(*) from messages"), "1000");
    assert_eq!(shop.mine().len(), before + 1, "{:?}", shop.mine());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_database_is_set_aside_also_when_that_is_cut_short() {
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start("16")));
    let shop = Shop::at(server).await;
    let (restorer, before) = (restorer(&shop), shop.mine());
    shop.damage();
    let damaged = shop.messages(&shop.name);
    kill_at(&shop, Step::Renamed).await;
    let recorded = shop.messages(&shop.name);
    // As far as it comes before the renames back: closed, and marked so.
    let former = shop.mine().into_iter().find(|line| line.contains("_before_")).unwrap();
    let (name, comment) = former.split_once(" false ").unwrap();
    let comment = comment.replace("\"replaced\"", "\"reverting\"").replace('\'', "''");
    server.psql(
        "postgres",
        &format!("comment on database {name} is '{comment}'; alter database {} allow_connections false", shop.name),
    );
    let start = Instant::now();
    while restore::undo(&restorer).await.unwrap().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", shop.mine());
    }
    assert_eq!(shop.mine()[0], before[0]);
    assert_eq!(shop.messages(&shop.name), damaged);
    assert!(restore::undo(&restorer).await.unwrap().is_empty());
    assert!(restore::unfinished(&restorer).await.unwrap().is_empty());
    let aside = shop.mine().into_iter().find(|line| line.contains("__refused_")).expect("it is gone");
    let aside = aside.split(' ').next().unwrap();
    server.psql("postgres", &format!("alter database {aside} allow_connections true"));
    assert_eq!(shop.messages(aside), recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_that_somebody_dropped_leaves_the_former_one_alone() {
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start("16")));
    let shop = Shop::at(server).await;
    kill_at(&shop, Step::Renamed).await;
    shop.server.psql("postgres", &format!("drop database {} with (force)", shop.name));
    undo(&shop).await;
    let kept = shop.mine();
    assert!(kept.len() == 1 && kept[0].contains("_before_") && kept[0].ends_with(" false the shop's"), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_restores_database_is_nobody_elses_to_drop_wherever_it_is_locked() {
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start("16")));
    let shop = Shop::at(server).await;
    // One that replaces `postgres` as well cannot be logged in there; all others are.
    let both = spec(server, &format!("databases: [postgres, {}]", shop.name));
    let tree = shop.store.capture(&both).await.tree;
    let (other, name) = (shop.spec.clone(), shop.name.clone());
    let observer = Observer::new(move |step| {
        let (other, name) = (other.clone(), name.clone());
        Box::pin(async move {
            if step == Step::Filled {
                assert_eq!(restore::undo(&other).await.unwrap(), Vec::<String>::new());
                assert_eq!(
                    restore::unfinished(&other).await.unwrap().iter().filter(|one| one.database == name).count(),
                    1
                );
            }
        })
    });
    let restored = shop.store.restore(&tree, &both, &RestoreOptions { observer, ..in_place() }).await.unwrap();
    assert!(restored.promoted, "{:?}", differences(&restored.comparison));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_cancelled_takes_everything_back() {
    for step in [Step::Provisioned, Step::Closed] {
        let shop = Shop::on("18").await;
        let (before, content) = (shop.mine(), shop.messages(&shop.name));
        let cx = Context::default();
        let cancel = cx.cancel.clone();
        let observer = Observer::new(move |now| {
            let cancel = cancel.clone();
            Box::pin(async move {
                if now == step {
                    cancel.cancel();
                }
            })
        });
        let options = RestoreOptions { observer, ..in_place() };
        let done = restore::restore(&shop.store.repository, &shop.tree, &shop.spec, &options, &cx).await;
        if step == Step::Provisioned {
            assert_eq!(done.unwrap_err().category(), Category::Interrupted);
            assert_eq!(shop.mine(), before);
        } else {
            // Nobody was logged in: the swap was quicker than the word to stop, and is whole.
            assert!(done.unwrap().promoted);
            assert_eq!(shop.mine().len(), 2);
        }
        assert_eq!(shop.messages(&shop.name), content);
    }
}

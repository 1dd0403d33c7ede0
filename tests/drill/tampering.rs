//! What goes wrong by hand in the real sandbox, between filling and comparing, fails the drill with the reason.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

use drydock::context::Context;
use drydock::drill::{self, Address, Outcome, Report, Sandbox};
use drydock::failure::Category;
use sha2::Digest;

use crate::scene::{Scene, UPLOADS};
use crate::support::run;

static SCENE: LazyLock<Scene> = LazyLock::new(|| Scene::new("tampering", ""));

/// What stands in the way between a drill and its sandbox.
struct Hands<'a>(&'a Sandbox);

impl Hands<'_> {
    fn address(&self, data: &str) -> Address {
        self.0.address(&data.parse().unwrap()).unwrap()
    }

    fn sql(&self, sql: &str) {
        let Address::Postgres { host, port, user, databases } = self.address("db") else { panic!() };
        let mut psql = Command::new("psql");
        psql.arg("-h").arg(host).args(["-p", &port.to_string(), "-U", &user, "-d", &databases[0]]);
        run(psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]));
    }

    fn redis(&self, args: &[&str]) {
        let Address::Redis { socket } = self.address("cache") else { panic!() };
        run(Command::new("redis-cli").arg("-s").arg(socket).args(args));
    }

    fn upload(&self, n: usize) -> std::path::PathBuf {
        let Address::Volume { path } = self.address("uploads") else { panic!() };
        let key = UPLOADS[n].0;
        path.join(&key[..2]).join(&key[2..4]).join(key)
    }
}

/// The steps of a drill one after the other, with `tamper` between filling and comparing.
async fn drilled(name: &str, tamper: impl FnOnce(&Hands<'_>)) -> Report {
    let (home, cx) = (SCENE.home().await, Context::default());
    let (plan, points) = SCENE.plan(&home, &format!("drill-shop-{name}")).await;
    let begun = Instant::now();
    let mut report = Report::begun(&plan, cx.clock.now());
    drill::room(&home, &plan, &cx).await.unwrap();
    let mut sandbox = drill::provision(&home, &plan, &cx).await.unwrap();
    for part in &plan.parts {
        let filled = drill::fill(&home, &plan, &mut sandbox, part, &cx).await.unwrap().unwrap();
        report.filled(part, &sandbox, filled);
    }
    tamper(&Hands(&sandbox));
    for part in &plan.parts {
        let (comparison, took) = drill::verify(&home, &sandbox, part, &cx).await.unwrap().unwrap();
        report.compared(part, comparison, took);
    }
    report.references = drill::references(&home, &plan, &sandbox, &report.data, &cx).await.unwrap();
    report.verified_after(begun.elapsed());
    let folder = sandbox.folder().to_owned();
    drill::discard(sandbox).await.unwrap();
    assert!(!folder.exists());
    drill::measure(&plan, &points, &mut report);
    report
}

/// What the drill says when `tamper` was at it: exactly one thing.
async fn failure(name: &str, tamper: impl FnOnce(&Hands<'_>)) -> String {
    let report = drilled(name, tamper).await;
    assert_eq!((report.outcome, report.category()), (Outcome::NotVerified, Some(Category::DrillFailed)));
    let failures = report.failures();
    assert_eq!(failures.len(), 1, "{failures:#?}");
    failures.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_done_to_it_it_passes() {
    let report = drilled("untouched", |_| ()).await;
    assert_eq!((report.outcome, report.failures()), (Outcome::Verified, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_missing() {
    let said = failure("row", |hands| hands.sql("delete from messages where id = 7")).await;
    assert!(said.starts_with("db: table public.messages: 99 rows where 100 was recorded (digest "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_changed_and_the_count_is_equal() {
    let said = failure("changed", |hands| hands.sql("update messages set content = 'x' where id = 7")).await;
    assert!(
        said.starts_with("db: table public.messages: digest ") && said.ends_with(" (100 rows, as recorded)"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_missing() {
    let report = drilled("upload", |hands| {
        let upload = hands.upload(0);
        let times = times(upload.parent().unwrap());
        std::fs::remove_file(&upload).unwrap();
        set_times(upload.parent().unwrap(), &times);
    });
    let failures = report.await.failures();
    assert_eq!(failures, ["uploads: file aa/bb/aabbfirst: nothing where file was recorded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_uploads_of_equal_size_are_swapped() {
    let report = drilled("swapped", |hands| {
        let (a, b) = (hands.upload(0), hands.upload(1));
        assert_eq!(std::fs::metadata(&a).unwrap().size(), std::fs::metadata(&b).unwrap().size());
        let (content, times) = ([&a, &b].map(|path| std::fs::read(path).unwrap()), [&a, &b].map(|path| times(path)));
        std::fs::write(&a, &content[1]).unwrap();
        std::fs::write(&b, &content[0]).unwrap();
        set_times(&a, &times[0]);
        set_times(&b, &times[1]);
    });
    let report = report.await;
    let failures = report.failures();
    let sum = |content: &str| hex::encode(sha2::Sha256::digest(content));
    let said = |file: &str, found: usize, expected: usize| {
        let [found, expected] = [found, expected].map(|n| sum(UPLOADS[n].1));
        format!(
            "uploads: file {file}: bytes 0 to 16 with SHA-256 {found} where bytes 0 to 16 with SHA-256 {expected} was recorded"
        )
    };
    assert_eq!(failures, [said("aa/bb/aabbfirst", 1, 0), said("cc/dd/ccddother", 0, 1)]);
    assert!(!report.references[0].is_compared, "a volume that differs is not asked for its rows' files");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_key_is_changed() {
    let said = failure("key", |hands| hands.redis(&["set", "session:1", "another"])).await;
    assert!(said.starts_with("cache: database 0: ") && said.contains("digest"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_is_wrong() {
    let said = failure("sequence", |hands| hands.sql("select setval('messages_id_seq', 7)")).await;
    assert_eq!(said, "db: sequence public.messages_id_seq: 7 where 100 was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_missing() {
    let said = failure("index", |hands| hands.sql("drop index index_messages_on_created_at")).await;
    assert!(
        said.starts_with("db: index public.index_messages_on_created_at")
            && said.ends_with(": nothing where one was recorded"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_altered() {
    let said = failure("large", |hands| hands.sql("select lo_put(424242, 2, 'L')")).await;
    assert!(said.starts_with("db: large object 424242: "), "{said}");
}

/// Each step begins by making anew what an attempt before it has left.
#[tokio::test(flavor = "multi_thread")]
async fn steps_that_are_taken_twice_end_as_if_taken_once() {
    let (home, cx) = (SCENE.home().await, Context::default());
    let (plan, _) = SCENE.plan(&home, "drill-shop-twice").await;
    drop(drill::provision(&home, &plan, &cx).await.unwrap());
    let mut sandbox = drill::provision(&home, &plan, &cx).await.unwrap();
    for part in &plan.parts {
        drill::fill(&home, &plan, &mut sandbox, part, &cx).await.unwrap().unwrap();
    }
    Hands(&sandbox).sql("delete from messages; create table more ()");
    Hands(&sandbox).redis(&["set", "more", "of it"]);
    std::fs::write(Hands(&sandbox).upload(0).with_file_name("more"), "of it").unwrap();
    for part in &plan.parts {
        drill::fill(&home, &plan, &mut sandbox, part, &cx).await.unwrap().unwrap();
    }
    for part in plan.parts.iter().chain(&plan.parts) {
        let (comparison, _) = drill::verify(&home, &sandbox, part, &cx).await.unwrap().unwrap();
        assert!(comparison.holds(), "{}: {:#?}", part.name(), comparison.differences);
    }
    let folder = sandbox.folder().to_owned();
    drop(sandbox);
    assert!(!folder.exists(), "a sandbox that is dropped is gone, too");
}

type Times = (i64, i64);

fn times(path: &Path) -> Times {
    let found = std::fs::metadata(path).unwrap();
    (found.mtime(), found.mtime_nsec())
}

fn set_times(path: &Path, (seconds, nanoseconds): &Times) {
    run(Command::new("touch").args(["-d", &format!("@{seconds}.{nanoseconds:09}")]).arg(path));
}

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use drydock::migration::gate::{State, mend_kong};
use drydock::migration::kong::{self, Database, Facts, Goal, Lock, Next, Refused, Status, decide};

use crate::support::{Folder, run};
use crate::{OLD, facts};

/// A folder with `kong-3.4.2` and `kong-3.9.1`; none where there is no Go.
static PROGRAMS: LazyLock<Option<Folder>> = LazyLock::new(|| {
    let go = [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")]
        .into_iter()
        .find(|go| Command::new(go).arg("version").output().is_ok_and(|output| output.status.success()))?;
    let folder = Folder::new("kong");
    for version in ["3.4.2", "3.9.1"] {
        let mut build = Command::new(&go);
        build.args(["build", "-ldflags", &format!("-X main.version={version}"), "-o"]);
        build.arg(folder.path().join(format!("kong-{version}"))).arg(".");
        run(build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kong")));
    }
    Some(folder)
});

/// `kong migrations WORDS`: exit code and standard output.
fn kong(version: &str, database: &str, words: &[&str]) -> (i32, String) {
    let programs = PROGRAMS.as_ref().unwrap().path();
    let output = Command::new(programs.join(format!("kong-{version}")))
        .arg("migrations")
        .args(words)
        .env_clear()
        .env("KONG_PG_PORT", OLD.port.to_string())
        .env("KONG_PG_DATABASE", database)
        .env("KONG_PG_USER", "postgres")
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Decides by what the database and `version` say now.
async fn next(version: &str, database: &str, goal: Goal) -> Result<Next, Refused> {
    let (code, output) = kong(version, database, &["status"]);
    assert_eq!(code, 0);
    let status = Status::parse(&output).unwrap();
    let (list, _) = kong(version, database, &["list"]);
    let found = facts!(kong, &OLD, database, "postgres").unwrap();
    decide(&Facts { database: &found, status: &status, list: Some(list), lock_is_abandoned: false }, goal, None)
}

/// Does what is next until nothing is; returns the words of the commands that it took.
async fn carry_out(version: &str, database: &str, goal: Goal) -> Vec<&'static str> {
    let mut took = Vec::new();
    loop {
        match next(version, database, goal).await.unwrap() {
            Next::Done => return took,
            Next::Mend(mend) => {
                let answer = mend_kong(&crate::spec(&OLD, database, "postgres"), &mend, &crate::cx()).await;
                assert_eq!(answer.state, State::Healthy, "{answer:?}");
                took.push("mend");
            }
            Next::Run(command) => {
                assert_eq!(kong(version, database, &[command.word()]).0, 0);
                took.push(command.word());
            }
            other => panic!("{other:?}"),
        }
        assert!(took.len() < 8, "it goes round: {took:?}");
    }
}

/// Makes a database; false, and said, where there is nothing to run on it.
fn fresh(name: &str) -> bool {
    if PROGRAMS.is_none() {
        eprintln!("left out: there is no Go to build Kong's stand-in");
        return false;
    }
    OLD.create_database(name);
    true
}

#[tokio::test]
async fn from_an_empty_database_over_two_phases_to_a_newer_version_and_not_back() {
    if !fresh("kong") {
        return;
    }
    assert_eq!(carry_out("3.4.2", "kong", Goal::Finished).await, ["bootstrap"]);
    assert_eq!(carry_out("3.9.1", "kong", Goal::Expanded).await, ["up"]);
    let expanded = facts!(kong, &OLD, "kong", "postgres").unwrap();
    let core = &expanded.schema_meta.as_ref().unwrap()["core"];
    assert!(core.pending.contains("023_360_to_370") && core.executed.contains("024_380_to_390"), "{core:?}");
    assert_eq!(carry_out("3.9.1", "kong", Goal::Finished).await, ["finish"]);
    assert_eq!(kong("3.4.2", "kong", &["list"]).0, 0, "the older version notices nothing");
    let refused = next("3.4.2", "kong", Goal::Finished).await.unwrap_err().to_string();
    assert!(refused.contains("core 022_350_to_360, core 023_360_to_370, core 024_380_to_390"), "{refused}");
}

#[tokio::test]
async fn a_bootstrap_that_was_cut_off_is_completed() {
    if !fresh("kong_cut") {
        return;
    }
    let meta = "create table schema_meta (key text, subsystem text, last_executed text, executed text[], pending text[], \
                primary key (key, subsystem))";
    OLD.psql("kong_cut", meta);
    assert_eq!(kong("3.9.1", "kong_cut", &["bootstrap"]).0, 0, "`already bootstrapped`");
    assert_eq!(carry_out("3.9.1", "kong_cut", Goal::Finished).await, ["mend", "up", "finish"]);
    assert_eq!(kong("3.9.1", "kong_cut", &["list"]).0, 0);
    let whole = facts!(kong, &OLD, "kong_cut", "postgres").unwrap();
    assert_eq!(whole.schema_meta.unwrap()["ai-proxy"].executed.first().unwrap(), "001_360_to_370");
}

#[tokio::test]
async fn a_lock_is_read_until_it_expires_and_old_tables_are_known() {
    OLD.create_database("kong_locked");
    OLD.psql(
        "kong_locked",
        "create table locks (key text primary key, owner text, ttl timestamp with time zone);
         insert into locks values ('migrations', '8f1c', '2999-01-01T00:00:00Z'), ('other', 'x', '2999-01-01T00:00:00Z')",
    );
    let locked = facts!(kong, &OLD, "kong_locked", "postgres").unwrap();
    let lock = Lock { owner: "8f1c".into(), until: "2999-01-01T00:00:00Z".parse().unwrap() };
    assert_eq!(locked, Database { has_locks: true, lock: Some(lock), ..Database::default() });
    OLD.psql(
        "kong_locked",
        "update locks set ttl = now() - interval '1 second'; create table schema_migrations (id text, migrations text[])",
    );
    let expired: kong::Database = facts!(kong, &OLD, "kong_locked", "postgres").unwrap();
    assert_eq!((expired.lock, expired.is_before_one), (None, true));
}

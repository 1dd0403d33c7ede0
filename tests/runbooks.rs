//! What a person would type at 3 a.m. works: the runbooks' commands are executed as they stand.

mod support;

use std::path::Path;
use std::process::Command;

use support::postgres::Postgres;
use support::redis::Redis;
use support::{Folder, run};

/// Its folder in the snapshot is called otherwise.
const DATABASE: &str = "my.shop";

#[test]
fn a_stack_comes_back_without_drydock() {
    let folder = Folder::new("runbook");
    let path = |name: &str| folder.path().join(name);
    let (postgres, redis) = (Postgres::start("15"), Redis::start_with("7.0", &["--repl-diskless-sync-delay", "0"]));
    postgres.create_database(DATABASE);
    postgres.psql(
        DATABASE,
        "create table items (id int primary key, name text); insert into items select n, 'item ' || n from generate_series(1, 500) n;
         create sequence tickets start 41; select nextval('tickets'); select lo_from_bytea(77, 'a large object')",
    );
    redis.cli(&["rpush", "queue", "one", "two", "three"]);
    std::fs::create_dir_all(path("uploads/deep")).unwrap();
    std::fs::write(path("uploads/deep/photo"), "pixels").unwrap();
    std::fs::write(path("password"), "correct horse battery staple runbook").unwrap();
    std::fs::write(path("stack.yaml"), document(folder.path(), postgres.port, redis.port)).unwrap();
    for command in ["init", "snapshot"] {
        run(Command::new(env!("CARGO_BIN_EXE_drydock")).arg(command).arg("-f").arg(path("stack.yaml")));
    }

    let (recorded, digest) = (postgres.pg_dump(DATABASE, &[]), redis.digest());
    std::fs::create_dir(path("recorded")).unwrap();
    run(Command::new("cp").arg("-a").args([path("uploads"), path("recorded")]));

    // Newer points that are not what is wanted: what an in-place restore replaced, and a part of the stack.
    postgres.psql(DATABASE, "delete from items where id > 7");
    redis.cli(&["rpush", "queue", "four"]);
    std::fs::write(path("uploads/deep/photo"), "damaged").unwrap();
    for arguments in [
        &["restore", "--point", "latest", "--in-place", "--data", "uploads", "--yes"][..],
        &["snapshot", "--data", "db"],
    ] {
        run(Command::new(env!("CARGO_BIN_EXE_drydock")).args(arguments).arg("-f").arg(path("stack.yaml")));
    }

    let runbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks/run");
    run(Command::new("bash")
        .arg(runbooks)
        .arg("restore-without-drydock")
        .env("REPOSITORY", path("store/repository"))
        .env("PASSWORD_FILE", path("password"))
        .envs([("STACK", "shop"), ("POSTGRES_DATA", "db"), ("DATABASE", DATABASE), ("NEW_DATABASE", "by_hand")])
        .envs([("VOLUME_DATA", "uploads"), ("REDIS_DATA", "cache"), ("PGHOST", "127.0.0.1"), ("PGUSER", "postgres")])
        .env("PGPORT", postgres.port.to_string())
        .env("TARGET", path("by-hand")));

    assert_eq!(postgres.pg_dump("by_hand", &[]), recorded);
    run(Command::new("diff")
        .args(["-r", "--no-dereference"])
        .args([path("by-hand/uploads"), path("recorded/uploads")]));
    let by_hand = Redis::start_on("7.0", &path("by-hand/cache/dump.rdb"));
    assert_eq!(by_hand.digest(), digest);
}

fn document(folder: &Path, postgres: u16, redis: u16) -> String {
    let folder = folder.display();
    format!(
        "apiVersion: drydock.dev/v1alpha1
kind: Stack
metadata: {{name: shop}}
spec:
  repository: {{location: {folder}/store, password: {{fromFile: {folder}/password}}}}
  data:
  - {{name: db, postgres: {{host: 127.0.0.1, port: {postgres}, database: {DATABASE}, user: postgres}}}}
  - {{name: cache, redis: {{host: 127.0.0.1, port: {redis}}}}}
  - {{name: uploads, volume: {{path: {folder}/uploads}}}}
"
    )
}

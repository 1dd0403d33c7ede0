//! One gigabyte of table text against pg_dump with restic, plain COPY, and pg_restore.

use crate::measure::{Goal, Report, medians, run, sh};
use crate::stack::{Stack, size_of};
use crate::support::Folder;
use crate::support::postgres::Postgres;

pub fn rows(report: &mut Report) {
    if !report.wants("postgres") {
        return;
    }
    let folder = Folder::unjudged("bench-postgres");
    // A server as it comes: fsync on, wal_level replica.
    let server = Postgres::start_with("15", &["fsync=on", "max_wal_size=4GB", "shared_buffers=512MB"]);
    generate(&server, crate::scale());
    let spec = format!(
        "  - name: db\n    postgres: {{host: 127.0.0.1, port: {}, database: bench, user: postgres, connections: 2, \
         serverBinaries: {}}}\n",
        server.port,
        crate::support::cache().join("pg-15/bin").display()
    );
    let stack = Stack::new(&folder.path().join("ours"), &spec);
    snapshot(report, &stack, &server, &folder);
    second_snapshot(report, &stack, &server);
    restore(report, &stack, &server, &folder);
}

/// 6 million short rows as pgbench makes them, 2 million rows of text and jsonb: about 1.3 GB as COPY text.
pub fn generate(server: &Postgres, scale: f64) {
    server.create_database("bench");
    let (accounts, messages) = ((6e6 * scale) as u64, (2e6 * scale) as u64);
    server.psql(
        "bench",
        &format!(
            "create table accounts (aid int not null, bid int, abalance int, filler char(84));
         insert into accounts select n, n / 100000, 0, '' from generate_series(1, {accounts}) n;
         alter table accounts add primary key (aid);
         create table messages (id bigint not null, account int, created timestamptz, content text, extra jsonb);
         insert into messages select n, n % 5000, timestamptz '2026-01-01' + n * interval '1 second',
           repeat(md5(n::text) || ' and the customer said that ', 4),
           jsonb_build_object('sender', md5((n * 7)::text), 'labels', jsonb_build_array('a' || n % 17, 'b' || n % 5))
           from generate_series(1, {messages}) n;
         alter table messages add primary key (id);
         create index on messages (account, created);"
        ),
    );
    server.psql("bench", "vacuum (analyze)");
    server.psql("bench", "checkpoint");
}

fn snapshot(report: &mut Report, stack: &Stack, server: &Postgres, folder: &Folder) {
    let theirs = folder.path().join("theirs");
    let pg = format!("-h 127.0.0.1 -p {} -U postgres", server.port);
    let restic =
        format!("restic -q --no-cache -r {} --password-file {}", theirs.display(), stack.password_file().display());
    let with_restic = |script: &str| {
        sh(&format!("rm -rf {}; {restic} init", theirs.display()));
        sh(script).wall
    };
    let dir = folder.path().join("dump").display().to_string();
    let copy = |table: &str| format!("psql {pg} -X -d bench -c 'copy {table} to stdout' > /dev/null");
    let [ours, fc, fc_z0, fd, plain] = medians([
        &mut || {
            stack.reset();
            run(&mut stack.drydock(&["snapshot"])).wall
        },
        &mut || with_restic(&format!("pg_dump {pg} -Fc bench | {restic} backup --stdin")),
        &mut || with_restic(&format!("pg_dump {pg} -Fc -Z0 bench | {restic} backup --stdin")),
        &mut || {
            std::fs::remove_dir_all(&dir).ok();
            with_restic(&format!("pg_dump {pg} -Fd -j2 -Z0 -f {dir} bench; {restic} backup {dir}"))
        },
        &mut || sh(&format!("{} & {}; wait $!", copy("accounts"), copy("messages"))).wall,
    ]);
    std::fs::remove_dir_all(&dir).unwrap();
    let fastest = fc.min(fc_z0).min(fd);
    report.row("postgres: snapshot of 1 GB / fastest pg_dump with restic, s", ours, fastest, Goal::TimesAsFast(2.0));
    report.row("postgres: snapshot of 1 GB / pg_dump -Fc | restic, s", ours, fc, Goal::TimesAsFast(4.0));
    report.row("postgres: snapshot of 1 GB / two plain COPY into nothing, s", ours, plain, Goal::AtMost(1.25));
    std::fs::remove_dir_all(&theirs).unwrap();
}

/// What a later snapshot stores when little has changed.
fn second_snapshot(report: &mut Report, stack: &Stack, server: &Postgres) {
    let mib = || size_of(&stack.repository()) as f64 / f64::from(1 << 20);
    let first = mib();
    server.psql(
        "bench",
        "update messages set content = content || '!' where id > (select max(id) * 0.99 from messages);
        update accounts set abalance = 7 where aid > (select max(aid) * 0.99 from accounts);
        insert into messages select id + (select max(id) from messages), account, created, content, extra from messages
          where id <= (select count(*) / 100 from messages);
        insert into accounts select aid + (select max(aid) from accounts), bid, abalance, filler from accounts
          where aid <= (select count(*) / 100 from accounts)",
    );
    run(&mut stack.drydock(&["snapshot"]));
    let second = mib();
    report.row(
        "postgres: new bytes after 1 % newest updated, 1 % appended, MiB",
        second - first,
        first,
        Goal::AtMost(0.08),
    );
    server.psql(
        "bench",
        "update accounts set abalance = 9 where aid % 100 = 3; update messages set account = 1 where id % 100 = 3",
    );
    run(&mut stack.drydock(&["snapshot"]));
    report.row("postgres: new bytes after 1 % updated at random, MiB", mib() - second, first, Goal::None);
}

fn restore(report: &mut Report, stack: &Stack, server: &Postgres, folder: &Folder) {
    let pg = format!("-h 127.0.0.1 -p {} -U postgres", server.port);
    let dump = folder.path().join("bench.dump").display().to_string();
    sh(&format!("pg_dump {pg} -Fc -Z1 -f {dump} bench"));
    let fresh = || {
        server.psql("postgres", "drop database if exists again");
        server.psql("postgres", "checkpoint");
    };
    let [ours, theirs, unverified, drill] = medians([
        &mut || {
            fresh();
            run(&mut stack.drydock(&["restore", "--point", "latest", "--data", "db", "--to-database", "again"])).wall
        },
        &mut || {
            fresh();
            server.create_database("again");
            sh(&format!("pg_restore {pg} -j2 -d again {dump}")).wall
        },
        &mut || {
            fresh();
            crate::unverified::into_a_new_database(stack, server)
        },
        &mut || {
            fresh();
            run(&mut stack.drydock(&["drill", "--point", "latest"])).wall
        },
    ]);
    report.row("postgres: restore, ANALYZE and verification / bare pg_restore -j2, s", ours, theirs, Goal::AtMost(1.1));
    report.row(
        "postgres: restore without verification / bare pg_restore -j2, s",
        unverified,
        theirs,
        Goal::AtMost(0.95),
    );
    report.row("postgres: drill / restore, ANALYZE and verification, s", drill, ours, Goal::AtMost(1.15));
    server.psql("postgres", "drop database if exists again");
}

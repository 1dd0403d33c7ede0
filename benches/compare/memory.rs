//! The largest resident set of every command against its limit, for the data of the goals and for ten times as much.

use crate::measure::{Goal, Report, run};
use crate::stack::Stack;
use crate::support::Folder;
use crate::support::postgres::Postgres;

const LIMIT_MIB: f64 = 256.0;

pub fn rows(report: &mut Report) {
    if !report.wants("memory") {
        return;
    }
    for times in [1.0, 10.0] {
        tree(report, times);
        database(report, times);
    }
    million_files(report);
}

fn peak(report: &mut Report, name: &str, stack: &Stack, args: &[&str], limit: f64) {
    let cost = run(&mut stack.drydock(args));
    report.row(
        &format!("memory: {name}, MiB / limit"),
        cost.peak as f64 / f64::from(1 << 20),
        limit,
        Goal::AtMost(1.0),
    );
}

fn all_commands(report: &mut Report, name: &str, stack: &Stack, restore: &[&str], limit: f64) {
    stack.reset();
    peak(report, &format!("{name}, snapshot"), stack, &["snapshot"], limit);
    peak(report, &format!("{name}, snapshot again"), stack, &["snapshot"], limit);
    peak(report, &format!("{name}, restore"), stack, restore, limit);
    peak(report, &format!("{name}, check --read-data"), stack, &["check", "--read-data"], limit);
}

fn tree(report: &mut Report, times: f64) {
    let folder = Folder::unjudged("bench-memory-tree");
    let tree = folder.path().join("tree");
    crate::tree::generate(&tree, crate::scale() * times);
    let stack =
        Stack::new(&folder.path().join("ours"), &format!("  - name: tree\n    volume: {{path: {}}}\n", tree.display()));
    let target = folder.path().join("restored").display().to_string();
    let restore = ["restore", "--point", "latest", "--to", &target];
    all_commands(report, &format!("tree x{times}"), &stack, &restore, LIMIT_MIB);
}

fn database(report: &mut Report, times: f64) {
    let folder = Folder::unjudged("bench-memory-postgres");
    let server = Postgres::start_with("15", &["max_wal_size=8GB"]);
    crate::postgres::generate(&server, crate::scale() * times);
    let spec = format!(
        "  - name: db\n    postgres: {{host: 127.0.0.1, port: {}, database: bench, user: postgres}}\n",
        server.port
    );
    let stack = Stack::new(&folder.path().join("ours"), &spec);
    let restore = ["restore", "--point", "latest", "--data", "db", "--to-database", "again"];
    all_commands(report, &format!("postgres x{times}"), &stack, &restore, LIMIT_MIB);
}

fn million_files(report: &mut Report) {
    let folder = Folder::unjudged("bench-memory-million");
    let tree = folder.path().join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    for n in 0..(1e6 * crate::scale()) as u32 {
        std::fs::write(tree.join(format!("file-{n:07}")), n.to_le_bytes()).unwrap();
    }
    let stack =
        Stack::new(&folder.path().join("ours"), &format!("  - name: tree\n    volume: {{path: {}}}\n", tree.display()));
    let target = folder.path().join("restored").display().to_string();
    let restore = ["restore", "--point", "latest", "--to", &target];
    all_commands(report, "a folder of a million files", &stack, &restore, 1024.0);
}

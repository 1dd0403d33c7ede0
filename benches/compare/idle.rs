//! What a daemon costs while nothing is due, after a snapshot and a drill (a whole restore, verified) ran in it: its
//! resident set, and its share of a core over five minutes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::measure::{Goal, Report};
use crate::stack::Stack;
use crate::support::postgres::Postgres;
use crate::support::{Folder, cache};

const LIMIT_MIB: f64 = 40.0;
const LIMIT_PERCENT: f64 = 0.5;
const IDLE: Duration = Duration::from_secs(300);

pub fn rows(report: &mut Report) {
    if !report.wants("idle") {
        return;
    }
    let folder = Folder::unjudged("bench-idle");
    let server = Postgres::start_with("15", &["max_wal_size=8GB"]);
    let scale = crate::scale() / 10.0;
    crate::postgres::generate(&server, scale);
    let tree = folder.path().join("tree");
    crate::tree::generate(&tree, scale);
    let spec = format!(
        "  - name: db\n    postgres: {{host: 127.0.0.1, port: {}, database: bench, user: postgres, serverBinaries: {}}}\n  \
         - name: tree\n    volume: {{path: {}}}\n",
        server.port,
        cache().join("pg-15/bin").display(),
        tree.display()
    );
    let stack = Stack::new(&folder.path().join("ours"), &spec);
    stack.reset();
    let daemon = Daemon::start(&stack, folder.path());
    for operation in ["snapshot", "drill"] {
        write_schedule(folder.path(), operation);
        daemon.until_succeeded(&stack, operation);
    }
    std::thread::sleep(Duration::from_secs(5)); // what follows a run: its history, the next look at the store
    let (began, before) = (Instant::now(), daemon.cpu_seconds());
    std::thread::sleep(IDLE);
    let percent = 100.0 * (daemon.cpu_seconds() - before) / began.elapsed().as_secs_f64();
    report.row("idle: a daemon's resident set, MiB / limit", daemon.resident_mib(), LIMIT_MIB, Goal::AtMost(1.0));
    report.row("idle: a daemon's share of a core in 5 min, % / limit", percent, LIMIT_PERCENT, Goal::AtMost(1.0));
}

/// Due once, soon after it is first seen.
fn write_schedule(folder: &Path, operation: &str) {
    let soon = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC) + jiff::SignedDuration::from_secs(61);
    let text = format!(
        "apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {{name: {operation}}}\nspec:\n  operation: \
         {{{operation}: {{}}}}\n  cron: '{} {} {} {} *'\n",
        soon.minute(),
        soon.hour(),
        soon.day(),
        soon.month()
    );
    std::fs::create_dir_all(folder.join("schedules")).unwrap();
    std::fs::write(folder.join(format!("schedules/{operation}.yaml")), text).unwrap();
}

/// Killed on drop.
struct Daemon(Child);

impl Daemon {
    fn start(stack: &Stack, folder: &Path) -> Self {
        let schedules = folder.join("schedules");
        std::fs::create_dir_all(&schedules).unwrap();
        let mut command = stack.drydock(&["daemon", "--listen", "127.0.0.1:0", "--schedules"]);
        command.arg(&schedules).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(folder.join("log")).unwrap());
        Self(command.spawn().unwrap())
    }

    fn until_succeeded(&self, stack: &Stack, operation: &str) {
        let began = Instant::now();
        loop {
            let listed = crate::support::run(&mut stack.drydock(&["runs", "-o", "json"]));
            let listed: Value = serde_json::from_str(&listed).unwrap();
            let mut runs = listed["runs"].as_array().unwrap().iter();
            let of_it = runs.find(|run| run["run"].as_str().unwrap().starts_with(operation));
            match of_it.map(|run| run["standing"].as_str().unwrap()) {
                Some("succeeded") => return,
                None | Some("running") => {}
                Some(other) => panic!("{operation}: {other}"),
            }
            assert!(began.elapsed() < Duration::from_secs(600), "no {operation} in ten minutes");
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }

    fn resident_mib(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// User and system time: fields 14 and 15 of proc(5), of which those after the command's name are counted here.
    fn cpu_seconds(&self) -> f64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks = |n: usize| fields[n].parse::<f64>().unwrap();
        let a_second = crate::support::run(Command::new("getconf").arg("CLK_TCK"));
        (ticks(11) + ticks(12)) / a_second.trim().parse::<f64>().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

//! How fast one sees how a stack stands that has ten thousand runs behind it: the daemon's page and JSON, and the command,
//! which opens the repository each time; beside them the bound that people do not notice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::measure::{Goal, Report, medians, run, timed};
use crate::stack::Stack;
use crate::support::Folder;

const RUNS: u32 = 10_000;
/// Milliseconds.
const BOUND: f64 = 100.0;

pub fn rows(report: &mut Report) {
    if !report.wants("status") {
        return;
    }
    let folder = Folder::unjudged("bench-status");
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("a.txt"), "the first file").unwrap();
    let data = format!("  - {{name: files, volume: {{path: {}}}}}\n", files.display());
    let stack = Stack::new(&folder.path().join("ours"), &data);
    stack.reset();
    run(&mut stack.drydock(&["snapshot"]));
    let journals = stack.store().join("runs");
    let journal = std::fs::read_dir(&journals).unwrap().flatten().next().expect("the snapshot's journal").path();
    let journal = std::fs::read(journal).unwrap();
    for n in 0..RUNS {
        let (day, hour, minute) = (1 + n % 28, n / 28 % 24, n / 672);
        let name = format!("snapshot-bench-202509{day:02}t{hour:02}{minute:02}00z-nightly.jsonl");
        std::fs::write(journals.join(name), &journal).unwrap();
    }
    let daemon = Daemon::start(&stack);
    let [page, json, command] =
        medians([&mut || timed(|| daemon.get("/")), &mut || timed(|| daemon.get("/api/v1/status")), &mut || {
            run(&mut stack.drydock(&["status"])).wall
        }]);
    for (name, seconds) in [("the page /", page), ("/api/v1/status", json), ("drydock status, with scrypt", command)] {
        let name = format!("status: {name}, 10,000 past runs / bound, ms");
        report.row(&name, seconds * 1_000.0, BOUND, Goal::AtMost(1.0));
    }
}

/// Killed on drop.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    /// Started, and has looked at the stack.
    fn start(stack: &Stack) -> Self {
        let schedules = stack.store().parent().unwrap().join("schedules");
        std::fs::create_dir(&schedules).unwrap();
        let args = ["daemon", "--listen", "127.0.0.1:0", "--schedules", schedules.to_str().unwrap()];
        let mut child = stack.drydock(&args).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.find(|line| line.contains("listening on http://")).expect("it says where it listens");
        let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop)); // or it would wait for a reader
        let daemon = Self { child, address };
        while !daemon.ask("/readyz").starts_with("HTTP/1.1 200 ") {
            std::thread::sleep(Duration::from_millis(100));
        }
        daemon
    }

    fn get(&self, path: &str) {
        let answer = self.ask(path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

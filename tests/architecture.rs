//! The layer diagram, executable: who may use whom, and which folder alone may use which outside crate.
//! Reads the `use` lines and paths of `src/`; names the offending line.

use std::fs;
use std::path::{Path, PathBuf};

/// A part of `src/` and what it may use of the others. The lowest ones may be used by everybody.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "cluster",
            "controller",
            "deploy",
            "migration",
            "daemon",
            "schedule",
            "status",
            "snapshot",
            "restore",
            "operation",
            "hook",
            "drill",
            "maintain",
            "run",
            "point",
            "data",
            "evidence",
            "repository",
            "storage",
        ],
    ),
    ("controller", &["cluster", "daemon", "deploy", "maintain", "operation", "run", "point", "repository"]),
    ("status", &["schedule", "drill", "run", "point", "evidence", "storage"]),
    (
        "operation",
        &[
            "cluster",
            "deploy",
            "schedule",
            "snapshot",
            "restore",
            "hook",
            "drill",
            "maintain",
            "run",
            "point",
            "data",
            "evidence",
            "repository",
            "storage",
        ],
    ),
    (
        "daemon",
        &["notify", "operation", "schedule", "status", "run", "point", "data", "evidence", "repository", "storage"],
    ),
    ("deploy", &["migration", "cluster", "run"]),
    ("drill", &["restore", "snapshot", "run", "point", "data", "evidence", "repository", "storage"]),
    ("restore", &["snapshot", "hook", "run", "point", "data", "evidence", "repository", "storage"]),
    ("snapshot", &["hook", "run", "point", "data", "repository", "storage"]),
    ("maintain", &["snapshot", "run", "point", "data", "evidence", "repository", "storage"]),
    ("migration", &["cluster", "data"]),
    ("cluster", &["schedule"]),
    ("point", &["data", "repository", "storage"]),
    ("data", &["repository", "storage"]),
    ("evidence", &["storage"]),
    ("repository", &["storage"]),
    ("run", &["storage"]),
    ("notify", &["storage"]),
    ("hook", &[]),
    ("storage", &[]),
    ("schedule", &[]),
    ("stack", &[]),
    ("clock", &[]),
    ("context", &[]),
    ("failure", &[]),
    ("finding", &[]),
    ("process", &[]),
    ("progress", &[]),
];

/// What everybody may use.
const BOTTOM: &[&str] = &["stack", "clock", "context", "failure", "finding", "process", "progress"];

/// An outside crate and the only files (by prefix below `src/`) that may name it.
const ONLY: &[(&str, &[&str])] = &[
    ("tokio_postgres", &["data/postgres/"]),
    ("postgres_protocol", &["data/postgres/"]),
    ("aws_sdk_s3", &["storage/s3"]),
    ("aws_config", &["storage/s3"]),
    ("clap", &["cli/", "main.rs"]),
    ("indicatif", &["cli/"]),
    ("hyper", &["daemon/http/"]),
    ("hyper_util", &["daemon/http/"]),
    ("prometheus_client", &["daemon/metrics.rs"]),
    ("sd_notify", &["daemon/service.rs"]),
    ("kube", &["cluster/"]),
    ("k8s_openapi", &["cluster/"]),
];

/// What must not be in a pure file: no runtime, no clock, no I/O.
const IMPURE: &[&str] = &["tokio::", "std::fs", "std::net", "Timestamp::now", "Instant::now", "SystemTime::now"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Every source file as (path below `src/`, numbered lines before its unit tests).
fn files() -> Vec<(String, Vec<(usize, String)>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 20, "only {} files were found: the test looks in the wrong place", paths.len());
    let mut files = Vec::new();
    for path in paths {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        if name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().take_while(|l| l.trim() != "#[cfg(test)]").enumerate();
        files.push((name, lines.map(|(n, l)| (n + 1, l.to_owned())).collect()));
    }
    files
}

fn part_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// The parts that a line names as `crate::part`, also within `use crate::{a, b}`.
fn parts_named(line: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let names = rest.strip_prefix('{').map_or_else(|| vec![rest], |inner| inner.split(',').collect());
        for name in names {
            let name: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            parts.push(name);
        }
    }
    parts
}

#[test]
fn every_part_uses_only_what_lies_below_it() {
    let mut offences = Vec::new();
    for (file, lines) in files() {
        let part = part_of(&file);
        if matches!(part, "lib" | "main") {
            continue;
        }
        let (_, allowed) =
            MAY_USE.iter().find(|(p, _)| *p == part).unwrap_or_else(|| panic!("src/{part} is in no row of MAY_USE"));
        for (number, line) in lines.iter().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            for used in parts_named(line) {
                let known = MAY_USE.iter().any(|(p, _)| *p == used);
                if known && used != part && !allowed.contains(&used.as_str()) && !BOTTOM.contains(&used.as_str()) {
                    offences.push(format!("src/{file}:{number}: {part} may not use {used}: {}", line.trim()));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn outside_crates_stay_in_their_folder() {
    let mut offences = Vec::new();
    for (file, lines) in files() {
        for (name, folders) in ONLY {
            if folders.iter().any(|folder| file.starts_with(folder)) {
                continue;
            }
            let needle = format!("{name}::");
            for (number, line) in lines.iter().filter(|(_, l)| !l.trim_start().starts_with("//")) {
                if line.contains(&needle) {
                    offences.push(format!("src/{file}:{number}: only {folders:?} may use {name}: {}", line.trim()));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn plans_are_pure() {
    let mut offences = Vec::new();
    for (file, lines) in files().into_iter().filter(|(f, _)| f.ends_with("/plan.rs")) {
        for (number, line) in lines.iter().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            if IMPURE.iter().any(|word| line.contains(word)) {
                offences.push(format!("src/{file}:{number}: a plan has no runtime, clock or I/O: {}", line.trim()));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

//! What is shipped for running a daemon: the unit, alert rules, the dashboard.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Folder, cache};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(shipped(name)).unwrap()
}

/// The names of drydock's series in `text`.
fn series(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("drydock_")).map(str::to_owned).collect()
}

/// Every series that rules and dashboard name is one that a daemon tells, whose exposition this is.
pub fn every_metric_is_told(exposition: &str) {
    let told: BTreeSet<String> = exposition
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
        .collect();
    // Findings are there only while something is found.
    let later = ["drydock_findings".to_owned()];
    for file in ["monitoring/drydock.rules.yml", "monitoring/dashboard.json"] {
        let named = series(&text(file));
        assert!(named.len() > 5, "{file} names {named:?}");
        let unknown: Vec<&String> =
            named.iter().filter(|name| !told.contains(*name) && !later.contains(name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which no daemon tells of; it tells {told:?}");
    }
}

#[test]
fn every_alert_says_what_is_wrong_and_what_to_do() {
    let rules: Value = serde_saphyr::from_str(&text("monitoring/drydock.rules.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let mut alerts = 0;
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let said = |field: &str| rule["annotations"][field].as_str().unwrap_or_default().to_owned();
        for field in ["summary", "description", "runbook"] {
            assert!(said(field).len() > 20, "{}: {field}: {}", rule["alert"], said(field));
        }
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning")), "{rule}");
        assert!(
            !series(rule["expr"].as_str().unwrap()).is_empty() || rule["expr"].as_str().unwrap().contains("up{"),
            "{rule}"
        );
        alerts += 1;
    }
    assert!(alerts >= 10, "{alerts}");
    let dashboard: Value = serde_json::from_str(&text("monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels share an id");
    assert!(panels.iter().all(|panel| panel["title"].as_str().is_some_and(|title| !title.is_empty())));
}

/// promtool from the cache that `tests/setup` fills, or of the machine.
fn promtool() -> Option<PathBuf> {
    let cached = cache().join("promtool");
    let found = Command::new("promtool").arg("--version").output().is_ok_and(|output| output.status.success());
    if cached.exists() { Some(cached) } else { found.then(|| "promtool".into()) }
}

#[test]
fn promtool_finds_the_rules_right_and_sees_them_fire() {
    let Some(promtool) = promtool() else {
        println!("SKIPPED: there is no promtool here; `tests/setup` brings it where Debian has it");
        return;
    };
    for args in [["check", "rules", "monitoring/drydock.rules.yml"], ["test", "rules", "monitoring/drydock.test.yml"]] {
        let output = Command::new(&promtool).args(&args[..2]).arg(shipped(args[2])).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "promtool {args:?}: {said}");
    }
}

#[test]
fn systemd_accepts_the_unit() {
    let unit = text("systemd/drydock.service");
    for line in ["Type=notify", "WatchdogSec=", "ExecReload=", "NoNewPrivileges=true", "ProtectSystem=strict"] {
        assert!(unit.contains(line), "the unit has no {line}");
    }
    let folder = Folder::new("unit");
    // systemd looks whether the program is there
    let here = unit.replace("/usr/bin/drydock", env!("CARGO_BIN_EXE_drydock"));
    let path = folder.path().join("drydock.service");
    std::fs::write(&path, here).unwrap();
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() else {
        println!("SKIPPED: there is no systemd-analyze here; the unit was looked at by its lines alone");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("drydock.service")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

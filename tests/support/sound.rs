//! Every repository that a test leaves behind is read whole by stock restic before its folder is removed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the tests' repositories are protected with where no file in the folder says it.
const PASSWORDS: [&str; 4] = [
    "correct horse battery staple",
    "correct horse battery staple crash",
    "correct horse battery staple power",
    "a password",
];

/// What `restic check --read-data` says against the repositories below `folder`; empty when all are sound.
pub fn complaints(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    look(folder, 6, &mut found);
    let passwords = passwords(folder);
    found.iter().filter_map(|repository| complaint(repository, &passwords)).collect()
}

fn look(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    if folder.join("config").is_file() && ["keys", "data", "index"].iter().all(|name| folder.join(name).is_dir()) {
        return found.push(folder.to_owned());
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            look(&entry.path(), depth - 1, found);
        }
    }
}

fn passwords(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = files.filter(|entry| entry.file_name().to_string_lossy().contains("password"));
    let read = named.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let known = PASSWORDS.iter().map(|&password| password.to_owned());
    read.map(|text| text.trim_end_matches('\n').to_owned()).chain(known).collect()
}

fn complaint(repository: &Path, passwords: &[String]) -> Option<String> {
    let restic = |password: &str, args: &[&str]| {
        let mut command = Command::new("restic");
        command.arg("-r").arg(repository).args(["--no-cache", "--no-lock", "-q"]).args(args);
        command.env("RESTIC_PASSWORD", password).output().unwrap()
    };
    let Some(password) = passwords.iter().find(|password| restic(password, &["cat", "config"]).status.success()) else {
        return Some(format!("{}: no password that the tests know opens it", repository.display()));
    };
    let said = restic(password, &["check", "--read-data"]);
    let text = || format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    (!said.status.success()).then(|| format!("{}: {}", repository.display(), text()))
}

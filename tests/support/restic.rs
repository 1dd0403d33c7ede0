use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;

/// Stock restic (Debian's 0.14) on one repository.
pub struct Restic {
    repository: String,
    password_file: PathBuf,
    env: Vec<(String, String)>,
}

impl Restic {
    /// `repository` as restic's `-r` takes it: a path, or `s3:http://127.0.0.1:PORT/bucket/prefix/repository`.
    pub fn new(repository: impl Into<String>, password_file: &Path) -> Self {
        Self { repository: repository.into(), password_file: password_file.to_owned(), env: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command
            .args(["-r", &self.repository, "--no-cache", "-q", "--password-file"])
            .arg(&self.password_file)
            .args(args);
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Runs to success and returns standard output.
    pub fn run(&self, args: &[&str]) -> String {
        run(&mut self.command(args))
    }
}

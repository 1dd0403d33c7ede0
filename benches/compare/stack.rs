//! A stack document with its repository and password in a folder of its own, and drydock's command line on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::restic::Restic;

pub struct Stack {
    folder: PathBuf,
}

impl Stack {
    /// `data` is the YAML below `data:`.
    pub fn new(folder: &Path, data: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let password = folder.join("password");
        std::fs::write(&password, "correct horse battery staple bench\n").unwrap();
        let document = format!(
            "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {{name: bench}}\nspec:\n  repository:\n    \
             location: {}\n    password: {{fromFile: {}}}\n  data:\n{data}",
            folder.join("store").display(),
            password.display()
        );
        std::fs::write(folder.join("stack.yaml"), document).unwrap();
        Self { folder: folder.to_owned() }
    }

    pub fn drydock(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command.arg(args[0]).arg("-f").arg(self.folder.join("stack.yaml")).args(&args[1..]);
        command
    }

    /// Forgets everything: an empty store again.
    pub fn reset(&self) {
        std::fs::remove_dir_all(self.store()).ok();
        crate::measure::run(&mut self.drydock(&["init"]));
    }

    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    pub fn repository(&self) -> PathBuf {
        self.store().join("repository")
    }

    pub fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// Stock restic on drydock's repository.
    pub fn restic(&self) -> Restic {
        Restic::new(self.repository().to_str().unwrap(), &self.password_file())
    }
}

/// The bytes of everything below `folder`.
pub fn size_of(folder: &Path) -> u64 {
    let said = crate::support::run(Command::new("du").args(["-sb", "--apparent-size"]).arg(folder));
    said.split_whitespace().next().unwrap().parse().unwrap()
}

//! A stack in a temporary folder, and drydock's binary run on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use drydock::repository::{KeyCost, Repository};
use drydock::storage::LocalStore;
use serde_json::Value;

use crate::support::Folder;
use crate::support::restic::Restic;

pub const PASSWORD: &str = "gusto-plover-anvil-mica-9";

pub struct World {
    pub folder: Folder,
}

/// What a run of the binary left.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// A folder with a password and a document whose `data` and whatever else of `spec` are given; no repository.
    pub fn bare(name: &str, spec: &str) -> Self {
        let folder = Folder::new(&format!("cli-{name}"));
        let this = Self { folder };
        std::fs::write(this.path("password"), format!("{PASSWORD}\n")).unwrap();
        this.write_document(spec);
        this
    }

    /// As [`Self::bare`], with a repository whose key costs nothing: what scrypt costs is not what is tested here.
    pub fn new(name: &str, spec: &str) -> Self {
        let this = Self::bare(name, spec);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = Arc::new(LocalStore::create(this.path("store")).await.unwrap());
            Repository::create(store, &PASSWORD.into(), KeyCost::negligible()).await.unwrap();
        });
        assert_eq!(this.run(&["init"]).code, 0);
        this
    }

    pub fn write_document(&self, spec: &str) {
        let head = "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  repository:\n    \
                    location: ./store\n    password: {fromFile: password}\n";
        std::fs::write(self.path("stack.yaml"), format!("{head}{spec}")).unwrap();
    }

    /// From here on evidence is signed, with a key of its own; `more` is added to the document, too.
    pub fn sign(&self, more: &str) {
        let key = self.path("evidence.pem");
        self.json(&["evidence", "keygen", "--out", key.to_str().unwrap()]);
        let text = std::fs::read_to_string(self.path("stack.yaml")).unwrap();
        let evidence = "  evidence: {key: {fromFile: evidence.pem}}\n";
        std::fs::write(self.path("stack.yaml"), format!("{text}{evidence}{more}")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command.args(args).arg("-f").arg(self.path("stack.yaml")).stdin(Stdio::null()).env_remove("DRYDOCK_FILE");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs to exit code 0 and reads its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(&[args, &["-o", "json"]].concat());
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    pub fn restic(&self) -> Restic {
        Restic::new(self.path("store/repository").to_str().unwrap(), &self.path("password"))
    }
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The last line of standard error as JSON: the report of a failure under `-o json`.
    pub fn report(&self) -> Value {
        serde_json::from_str(self.stderr.lines().last().unwrap()).unwrap_or_else(|e| panic!("{e}: {}", self.stderr))
    }
}

/// Whether any file below `folder` holds `needle`.
pub fn any_file_holds(folder: &Path, needle: &str) -> bool {
    let found = Command::new("grep").args(["-rqaF", needle]).arg(folder).status().unwrap();
    found.success()
}

//! A folder into the repository and back, judged by tools that are not drydock's.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use drydock::context::Context;
use drydock::data::volume::{
    CaptureOptions, CompareOptions, RestoreOptions, VolumeError, capture, compare, restore_to,
};
use drydock::data::{Captured, Comparison};
use drydock::repository::{KeyCost, Node, NodeKind, Repository, Snapshot, Tree, WriterOptions};
use drydock::stack::{Secret, VolumeSpec};
use drydock::storage::LocalStore;
use support::Folder;
use support::restic::Restic;
use support::tree::{self, Except, assert_same};

/// A repository beside a source folder.
struct Fixture {
    folder: Folder,
    repository: Repository,
    cx: Context,
}

impl Fixture {
    async fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        fs::write(folder.path().join("password"), "correct horse battery staple").unwrap();
        fs::create_dir(folder.path().join("source")).unwrap();
        let store = LocalStore::create(folder.path().join("store")).await.unwrap();
        let password = Secret::from("correct horse battery staple".to_owned());
        let repository = Repository::create(Arc::new(store), &password, KeyCost::negligible()).await.unwrap();
        Self { folder, repository, cx: Context::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn source(&self) -> PathBuf {
        self.path("source")
    }

    async fn capture(&self) -> Captured {
        self.capture_with(&spec(&[]), None, &CaptureOptions::default()).await.unwrap()
    }

    async fn capture_with(
        &self,
        spec: &VolumeSpec,
        parent: Option<&Captured>,
        options: &CaptureOptions,
    ) -> Result<Captured, VolumeError> {
        let writer = self.repository.writer(WriterOptions::default());
        let parent = parent.map(|captured| captured.tree);
        let captured =
            capture(&self.source(), spec, &self.repository, &writer, parent.as_ref(), options, &self.cx).await?;
        writer.finish().await.unwrap();
        Ok(captured)
    }

    async fn restore(&self, captured: &Captured, target: &str) -> Comparison {
        self.restore_with(captured, target, RestoreOptions::default()).await.unwrap()
    }

    async fn restore_with(
        &self,
        captured: &Captured,
        target: &str,
        options: RestoreOptions,
    ) -> Result<Comparison, VolumeError> {
        let options = RestoreOptions { root: captured.root.clone(), ..options };
        restore_to(&self.repository, &captured.tree, &self.path(target), &options, &self.cx).await
    }

    async fn compare(&self, captured: &Captured, folder: &str) -> Comparison {
        let options = CompareOptions { root: captured.root.clone(), ..CompareOptions::default() };
        compare(&self.repository, &captured.tree, &self.path(folder), &options, &self.cx).await.unwrap()
    }

    /// Lists the captured folder as restic sees it: below `/data`.
    async fn save(&self, captured: &Captured) {
        let root = captured.root.clone().unwrap();
        let node = Node { name: b"data".to_vec(), kind: NodeKind::Dir { subtree: captured.tree }, ..root };
        let writer = self.repository.writer(WriterOptions::default());
        let tree = writer.tree(&Tree { nodes: vec![node] }).await.unwrap();
        writer.finish().await.unwrap();
        let snapshot = Snapshot {
            time: captured.instant,
            parent: None,
            tree,
            paths: vec!["/data".into()],
            hostname: "test".into(),
            username: "root".into(),
            uid: 0,
            gid: 0,
            tags: vec![],
            original: None,
            other: Default::default(),
        };
        self.repository.save_snapshot(&snapshot).await.unwrap();
    }

    fn restic(&self) -> Restic {
        Restic::new(self.path("store/repository").display().to_string(), &self.path("password"))
    }
}

fn spec(exclude: &[&str]) -> VolumeSpec {
    VolumeSpec {
        path: None,
        claim: None,
        exclude: exclude.iter().map(|p| (*p).to_owned()).collect(),
        one_file_system: false,
    }
}

fn differences(comparison: &Comparison) -> Vec<String> {
    let shown =
        comparison.differences.iter().map(|d| format!("{}: {} where {} was recorded", d.what, d.found, d.expected));
    shown.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_torture_tree_comes_back_equal_by_tools_that_are_not_ours() {
    let fixture = Fixture::new("torture").await;
    tree::torture(&fixture.source());
    fs::create_dir(fixture.path("source/.drydock")).unwrap();
    fs::create_dir(fixture.path("source/lost+found")).unwrap();
    tree::stamp_root(&fixture.source());

    let captured = fixture.capture().await;
    assert_eq!(captured.warnings, Vec::<String>::new());
    let comparison = fixture.restore(&captured, "restored").await;

    assert_eq!(differences(&comparison), Vec::<String>::new());
    assert_eq!(comparison.notes, Vec::<String>::new());
    assert_same(&fixture.source(), &fixture.path("restored"), Except::default());
    assert!(!fixture.path("restored/.drydock").exists() && !fixture.path("restored/lost+found").exists());

    fixture.save(&captured).await;
    fixture.restic().run(&["check", "--read-data"]);
    fixture
        .restic()
        .command(&["restore", "latest", "--target", fixture.path("by-restic").to_str().unwrap()])
        .output()
        .unwrap();
    assert_same(
        &fixture.source(),
        &fixture.path("by-restic/data"),
        Except { gaps_of_restic: true, ..Except::default() },
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_altered_behind_our_back_is_named_and_so_is_every_other_change() {
    let fixture = Fixture::new("tamper").await;
    tree::torture(&fixture.source());
    let captured = fixture.capture().await;
    assert_eq!(differences(&fixture.compare(&captured, "source").await), Vec::<String>::new());

    let cases: [(&str, &str, &str); 14] = [
        (
            "contents/several chunks",
            "printf X | dd of='contents/several chunks' bs=1 seek=4000000 conv=notrunc status=none",
            "bytes ",
        ),
        ("contents/text", "echo more >> contents/text", "1760005 bytes where 1760000 bytes was recorded"),
        ("contents/empty", "rm contents/empty", "nothing where file was recorded"),
        ("contents/new", "touch contents/new", "file where nothing was recorded"),
        ("contents/one byte", "rm 'contents/one byte' && mkdir 'contents/one byte'", "folder where file was recorded"),
        (
            "links/dangling",
            "ln -sfn elsewhere links/dangling",
            "link to elsewhere where link to nowhere at all was recorded",
        ),
        (
            "links/text, hard",
            "cp -a --remove-destination contents/text 'links/text, hard'",
            "a file of its own where another name of a file met before",
        ),
        ("modes and times/f0644", "chmod 600 'modes and times/f0644'", "mode 0600 where mode 0644 was recorded"),
        ("modes and times/d0777", "chown 7:8 'modes and times/d0777'", "owner 7:8 where owner 0:0 was recorded"),
        (
            "modes and times/epoch",
            "touch -d '1970-01-01 00:00:01.5 UTC' 'modes and times/epoch'",
            "modified 1970-01-01T00:00:01.5Z where modified 1970-01-01T00:00:00Z",
        ),
        (
            "attributes/file",
            "setfattr -n user.text -v other attributes/file",
            "attribute user.text = other where attribute user.text = some text",
        ),
        ("attributes/acl", "setfacl -b attributes/acl", "no attribute system.posix_acl_access"),
        (
            "privileged/special-char",
            "rm privileged/special-char && mknod -m 606 privileged/special-char c 1 5",
            "device 1:5 where device 1:3 was recorded",
        ),
        (
            "sparse/only a hole",
            "printf X | dd of='sparse/only a hole' bs=1 seek=5000000 conv=notrunc status=none",
            "bytes ",
        ),
    ];
    for (path, damage, said) in cases {
        tree::damage(&fixture.source(), path, damage);
        let found = differences(&fixture.compare(&captured, "source").await);
        let told = found.iter().any(|line| line.starts_with(&format!("file {path}: ")) && line.contains(said));
        assert!(told, "`{damage}` was to be told as `{said}`, found were {found:#?}");
        fs::remove_dir_all(fixture.source()).unwrap();
        fixture.restore(&captured, "source").await;
    }
    assert_eq!(differences(&fixture.compare(&captured, "source").await), Vec::<String>::new());
}

#[test]
fn each_judge_notices_what_it_is_there_for() {
    let folder = Folder::new("judges");
    let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
    tree::torture(&original);
    let fresh = || {
        fs::remove_dir_all(&copy).ok();
        support::run(Command::new("cp").args(["-a", "--sparse=always"]).arg(&original).arg(&copy));
    };
    fresh();
    assert_same(&original, &copy, Except::default());
    for (path, damage, judges) in [
        (
            "contents/text",
            "printf X | dd of=contents/text bs=1 seek=4000 conv=notrunc status=none",
            &["diff", "rsync"][..],
        ),
        ("modes and times/f0644", "chmod 600 'modes and times/f0644'", &["rsync", "find", "getfacl"]),
        ("links/special-fifo", "rm links/special-fifo", &["rsync", "find"]),
        ("attributes/file", "setfattr -x user.text attributes/file", &["getfattr", "rsync"]),
        ("attributes/defaults", "setfacl -k attributes/defaults", &["getfacl", "rsync"]),
        ("sparse/only a hole", "fallocate -l 12M 'sparse/only a hole'", &["du"]),
        ("links/text, hard", "cp -a --remove-destination contents/text 'links/text, hard'", &["find", "rsync"]),
    ] {
        tree::damage(&copy, path, damage);
        let complaint = std::panic::catch_unwind(|| assert_same(&original, &copy, Except::default())).unwrap_err();
        let complaint = complaint.downcast_ref::<String>().unwrap();
        for judge in judges {
            assert!(complaint.contains(&format!("--- {judge} ---")), "{judge} did not see `{damage}`:\n{complaint}");
        }
        fresh();
    }
}

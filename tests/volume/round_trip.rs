//! The torture tree there and back, and that those who judge it can tell.

use std::fs;
use std::process::Command;

use super::support::tree::{self, Except, assert_same};
use super::support::{self, Folder};
use super::{Fixture, differences};

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
            "contents/the same again",
            "printf X | dd of='contents/the same again' bs=1 seek=4000000 conv=notrunc status=none",
            "bytes ",
        ),
        ("contents/a border", "echo more >> 'contents/a border'", "524293 bytes where 524288 bytes was recorded"),
        ("contents/empty", "rm contents/empty", "nothing where file was recorded"),
        ("contents/new", "touch contents/new", "file where nothing was recorded"),
        ("contents/one byte", "rm 'contents/one byte' && mkdir 'contents/one byte'", "folder where file was recorded"),
        (
            "links/absolute",
            "ln -sfn elsewhere links/absolute",
            "link to elsewhere where link to /etc/passwd was recorded",
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
    for (path, damage, _) in cases {
        tree::damage(&fixture.source(), path, damage);
    }
    let mut found = differences(&fixture.compare(&captured, "source").await);
    for (path, damage, said) in cases {
        let told = |line: &String| line.starts_with(&format!("file {path}: ")) && line.contains(said);
        let before = found.len();
        found.retain(|line| !told(line));
        assert!(found.len() < before, "`{damage}` was to be told as `{said}`, found were {found:#?}");
    }
    // What else the damage changed: folders in which something was made, and the mode that an ACL stands for.
    found.retain(|line| !line.contains(": modified ") && !line.starts_with("file attributes/acl: mode "));
    assert_eq!(found, Vec::<String>::new());
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

//! Where a restore writes, what it refuses, and that it never writes elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use drydock::data::volume::{RestoreOptions, VolumeError};
use drydock::failure::{Category, Failure};

use super::capture::Unmount;
use super::support::tree::{self, Except, assert_same, noise};
use super::{Fixture, Meddler, differences, sh};

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_empty_is_refused_unless_told_otherwise() {
    let fixture = Fixture::new("not-empty").await;
    tree::torture(&fixture.source());
    let captured = fixture.capture().await;
    let target = fixture.path("target");
    fs::create_dir_all(target.join("contents/theirs")).unwrap();
    fs::write(target.join("contents/text"), "theirs").unwrap();
    fs::hard_link(target.join("contents/text"), fixture.path("outside")).unwrap();
    symlink(fixture.folder.path(), target.join("links")).unwrap();

    let refused = fixture.restore_with(&captured, "target", RestoreOptions::default()).await.unwrap_err();
    assert_eq!(refused.category(), Category::Usage);
    assert_eq!(refused.to_string(), format!("{} is not empty: 2 entries, `contents` among them", target.display()));

    let options = RestoreOptions { allow_not_empty: true, ..RestoreOptions::default() };
    let comparison = fixture.restore_with(&captured, "target", options).await.unwrap();
    assert_eq!(differences(&comparison), Vec::<String>::new());
    assert_eq!(comparison.notes, ["1 entries are there that the snapshot does not have"]);
    assert_eq!(
        fs::read_to_string(fixture.path("outside")).unwrap(),
        "theirs",
        "a name is replaced, not written through"
    );
    assert!(!fixture.path("relative").exists(), "the link was replaced, not followed");
    fs::remove_dir(target.join("contents/theirs")).unwrap();
    tree::same_time(&fixture.source(), &target, "contents");
    assert_same(&fixture.source(), &target, Except::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_cut_short_is_done_by_typing_it_again() {
    let fixture = Fixture::new("cut-short").await;
    tree::torture(&fixture.source());
    let captured = fixture.capture().await;
    let canceller = fixture.cx.cancel.clone();
    let marked = fixture.path("target/.drydock/restoring");
    let watch = std::thread::spawn(move || {
        while !marked.exists() || count(marked.parent().unwrap().parent().unwrap()) < 4 {
            std::thread::yield_now();
        }
        canceller.cancel();
    });
    let cut = fixture.restore_with(&captured, "target", RestoreOptions::default()).await.unwrap_err();
    watch.join().unwrap();
    assert_eq!(cut.category(), Category::Interrupted);
    assert!(fixture.path("target/.drydock/restoring").exists());

    let fixture = Fixture { cx: drydock::context::Context::default(), ..fixture };
    let comparison = fixture.restore(&captured, "target").await;
    assert_eq!(differences(&comparison), Vec::<String>::new());
    assert!(!fixture.path("target/.drydock").exists());
    assert_same(&fixture.source(), &fixture.path("target"), Except::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_exchanged_for_a_link_meanwhile_does_not_lead_a_restore_out() {
    let fixture = Fixture::new("attacked").await;
    for n in 0..30 {
        fs::create_dir_all(fixture.path(&format!("source/a {n}/below"))).unwrap();
        for m in 0..20 {
            fs::write(fixture.path(&format!("source/a {n}/below/{m}")), noise(n * 100 + m, 3_000)).unwrap();
        }
    }
    let captured = fixture.capture().await;
    let outside = fixture.path("outside");
    fs::create_dir_all(outside.join("below")).unwrap();
    for round in 0..6 {
        let target = fixture.path(&format!("target {round}"));
        fs::create_dir(&target).unwrap();
        symlink(&outside, fixture.path("link")).unwrap();
        let link = fixture.path("link");
        let _attacker = {
            let target = target.clone();
            Meddler::start(move || {
                for n in 0..30 {
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    let folder = target.join(format!("a {n}"));
                    rustix::fs::renameat_with(rustix::fs::CWD, folder, rustix::fs::CWD, &link, exchange).ok();
                }
            })
        };
        // It may fail or report differences; all that matters is where it writes.
        let restored = fixture.restore_with(&captured, &format!("target {round}"), RestoreOptions::default()).await;
        assert!(restored.is_err() || !restored.unwrap().holds(), "an attacked folder is not as recorded");
        drop(_attacker);
        fs::remove_file(fixture.path("link")).or_else(|_| fs::remove_dir_all(fixture.path("link"))).ok();
        assert_eq!((count(&outside), count(&outside.join("below"))), (1, 0), "something was written outside");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_before_anything_is_written() {
    let fixture = Fixture::new("no-space").await;
    fs::write(fixture.path("source/large"), noise(1, 3 << 20)).unwrap();
    sh(&fixture.source(), "truncate -s 100M hole");
    let captured = fixture.capture().await;
    for (name, size, fits) in [("small", "2m", false), ("large-enough", "8m", true)] {
        let target = fixture.path(name);
        fs::create_dir(&target).unwrap();
        sh(&target, &format!("mount -t tmpfs -o size={size} tmpfs ."));
        let _unmount = Unmount(target.clone());
        match fixture.restore_with(&captured, name, RestoreOptions::default()).await {
            Ok(comparison) => assert!(fits && comparison.holds(), "{:?}", differences(&comparison)),
            Err(VolumeError::NoSpace { needed_bytes, .. }) => {
                assert!(!fits && (3 << 20..4 << 20).contains(&needed_bytes), "{needed_bytes}: holes take no room");
                assert!(!target.join("large").exists());
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stock_restic_backed_up_comes_back_equal() {
    let fixture = Fixture::new("from-restic").await;
    tree::torture(&fixture.source());
    fixture.restic().run(&["backup", fixture.source().to_str().unwrap()]);
    let snapshots = fixture.repository.snapshots().await.unwrap();
    let path: Vec<_> = fixture.source().components().skip(1).map(|c| c.as_os_str().to_owned()).collect();
    let path: Vec<_> = path.iter().map(|c| c.to_str().unwrap()).collect();
    let node = fixture.repository.find(&snapshots[0].1.tree, &path).await.unwrap().unwrap();
    let drydock::repository::NodeKind::Dir { subtree } = node.kind else { panic!("the source is a folder") };
    let options = RestoreOptions { root: Some(node), ..RestoreOptions::default() };
    let target = fixture.path("restored");
    let comparison =
        drydock::data::volume::restore_to(&fixture.repository, &subtree, &target, &options, &fixture.cx).await.unwrap();
    assert_eq!(differences(&comparison), Vec::<String>::new());
    assert_same(&fixture.source(), &target, Except { gaps_of_restic: true, ..Except::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn without_verification_the_comparison_says_so() {
    let fixture = Fixture::new("unverified").await;
    fs::write(fixture.path("source/file"), "content").unwrap();
    let captured = fixture.capture().await;
    let options = RestoreOptions { verify: false, ..RestoreOptions::default() };
    let comparison = fixture.restore_with(&captured, "target", options).await.unwrap();
    assert!(comparison.compared.is_empty());
    assert_eq!(comparison.notes, ["what was restored has not been verified, as asked"]);
    assert_eq!(fs::read_to_string(fixture.path("target/file")).unwrap(), "content");
}

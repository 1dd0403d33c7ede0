//! A live folder's content exchanged with a restored one.

use std::fs;

use drydock::data::Estimate;
use drydock::data::volume::{
    Into, Outcome, RestoreOptions, Stage, VolumeError, discard_former, plan_restore, restore_in_place, resume, runs,
    undo, unfinished,
};
use drydock::failure::{Category, Failure};

use super::capture::Unmount;
use super::support::tree::{self, Except, assert_same};
use super::{Fixture, Meddler, differences, sh};

async fn in_place(
    fixture: &Fixture,
    captured: &drydock::data::Captured,
    run: &str,
) -> Result<drydock::data::volume::Exchanged, VolumeError> {
    let options = RestoreOptions { root: captured.root.clone(), ..RestoreOptions::default() };
    restore_in_place(&fixture.repository, &captured.tree, &fixture.source(), run, &options, &fixture.cx).await
}

fn damage(fixture: &Fixture) {
    sh(
        &fixture.source(),
        "rm -r sparse && echo new > 'made since' && echo damaged > contents/text && mkdir -p links/more
         rm 'text, hard, at the root' && mkdir 'text, hard, at the root' && chmod 700 . && setfacl -b . && touch .",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_folder_becomes_the_snapshot_and_the_former_content_is_kept() {
    let fixture = Fixture::new("in-place").await;
    tree::torture(&fixture.source());
    sh(fixture.folder.path(), "cp -a source original");
    let captured = fixture.capture().await;
    damage(&fixture);
    sh(fixture.folder.path(), "cp -a source damaged");

    let exchanged = in_place(&fixture, &captured, "restore-1").await.unwrap();

    assert_eq!(differences(&exchanged.comparison), Vec::<String>::new());
    assert_same(&fixture.path("original"), &fixture.source(), Except::default());
    assert_same(&fixture.path("damaged"), &exchanged.former, Except { root: true, ..Except::default() });
    assert_eq!(unfinished(&fixture.source(), &fixture.cx).await.unwrap(), []);
    assert_eq!(runs(&fixture.source(), &fixture.cx).await.unwrap()[0].stage, Stage::Finished);
    assert_eq!(resume(&fixture.source(), "restore-1", &[], &fixture.cx).await.unwrap(), Outcome::New);

    undo(&fixture.source(), "restore-1", &fixture.cx).await.unwrap();
    assert_same(&fixture.path("damaged"), &fixture.source(), Except::default());

    let again = in_place(&fixture, &captured, "restore-2").await.unwrap();
    assert!(again.comparison.holds());
    discard_former(&fixture.source(), "restore-1", &fixture.cx).await.unwrap();
    discard_former(&fixture.source(), "restore-2", &fixture.cx).await.unwrap();
    assert!(!fixture.path("source/.drydock").exists());
    assert_same(&fixture.path("original"), &fixture.source(), Except::default());
    let gone = discard_former(&fixture.source(), "restore-2", &fixture.cx).await.unwrap_err();
    assert!(matches!(gone, VolumeError::NoSuchRun { .. }), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_not_as_recorded_never_goes_live() {
    let fixture = Fixture::new("in-place-differs").await;
    tree::torture(&fixture.source());
    let captured = fixture.capture().await;
    damage(&fixture);
    sh(fixture.folder.path(), "cp -a source damaged");
    let copied = fixture.path("source/.drydock/run/new/contents/text");
    let error = {
        let _tampers = Meddler::start(move || {
            if fs::metadata(&copied).is_ok_and(|m| m.len() == 1_760_000) {
                fs::OpenOptions::new()
                    .append(true)
                    .open(&copied)
                    .and_then(|mut file| std::io::Write::write_all(&mut file, b"x"))
                    .ok();
            }
        });
        in_place(&fixture, &captured, "run").await.unwrap_err()
    };
    assert_eq!(error.category(), Category::Integrity);
    assert!(error.to_string().starts_with("the restored copy differs from the snapshot in "), "{error}");
    assert!(!fixture.path("source/.drydock").exists(), "the copy is removed");
    assert_same(&fixture.path("damaged"), &fixture.source(), Except::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_inside_is_refused_before_anything_is_done() {
    let fixture = Fixture::new("in-place-mount").await;
    let mount = fixture.path("source/mounted");
    fs::create_dir(&mount).unwrap();
    let captured = fixture.capture().await;
    sh(&mount, "mount -t tmpfs tmpfs .");
    let _unmount = Unmount(mount.clone());
    let (options, small) = (RestoreOptions::default(), Estimate { bytes: 1, items: 1 });
    let (repository, source) = (&fixture.repository, fixture.source());
    let looked = plan_restore(repository, &captured.tree, &source, Into::Place, &options, small, &fixture.cx).await;
    assert!(matches!(looked.unwrap().refusals[..], [VolumeError::MountInside { .. }]), "a preview says so");
    let error = in_place(&fixture, &captured, "run").await.unwrap_err();
    assert!(matches!(&error, VolumeError::MountInside { path } if *path == mount.display().to_string()), "{error}");
    assert!(!fixture.path("source/.drydock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_before_the_exchange_it_leaves_the_live_folder_as_it_was() {
    let fixture = Fixture::new("in-place-cancelled").await;
    tree::torture(&fixture.source());
    let captured = fixture.capture().await;
    sh(fixture.folder.path(), "cp -a source original");
    let canceller = fixture.cx.cancel.clone();
    let begun = fixture.path("source/.drydock/run/new/contents");
    let watch = std::thread::spawn(move || {
        while !begun.exists() {
            std::thread::yield_now();
        }
        canceller.cancel();
    });
    let error = in_place(&fixture, &captured, "run").await.unwrap_err();
    watch.join().unwrap();
    assert_eq!(error.category(), Category::Interrupted);
    assert_same(&fixture.path("original"), &fixture.source(), Except::default());
    assert!(!fixture.path("source/.drydock").exists());
}

/// What captures leave out is nowhere else: at the top it stays live, deeper it goes with its folder, and that is said.
#[tokio::test(flavor = "multi_thread")]
async fn what_captures_leave_out_stays_at_the_top_and_is_told_of_below() {
    let fixture = Fixture::new("in-place-excluded").await;
    sh(&fixture.source(), "mkdir uploads && echo point > uploads/a");
    let captured = fixture.capture().await;
    sh(&fixture.source(), "mkdir cache && echo only > cache/one && echo only > uploads/b.tmp && echo new > uploads/a");
    let exclude = vec!["/cache".to_owned(), "*.tmp".to_owned()];
    let options = RestoreOptions { root: captured.root.clone(), exclude, ..RestoreOptions::default() };
    let (tree, source) = (&captured.tree, fixture.source());
    let exchanged = restore_in_place(&fixture.repository, tree, &source, "run", &options, &fixture.cx).await.unwrap();
    let text = |path: &str| fs::read_to_string(fixture.path(path)).unwrap();
    assert_eq!((text("source/cache/one"), text("source/uploads/a")), ("only\n".into(), "point\n".into()));
    assert_eq!(fs::read_to_string(exchanged.former.join("uploads/b.tmp")).unwrap(), "only\n");
    let notes = exchanged.comparison.notes.join("\n");
    assert!(notes.contains("1 entries that `exclude` leaves out") && notes.contains("uploads/b.tmp"), "{notes}");
    undo(&source, "run", &fixture.cx).await.unwrap();
    assert_eq!((text("source/cache/one"), text("source/uploads/a")), ("only\n".into(), "new\n".into()));
    discard_former(&source, "run", &fixture.cx).await.unwrap();
    assert_eq!(text("source/cache/one"), "only\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_too_small_is_told_of_before_anything_is_done() {
    let fixture = Fixture::new("in-place-small").await;
    let small = fixture.path("small");
    fs::create_dir(&small).unwrap();
    sh(&small, "mount -t tmpfs -o size=8m tmpfs .");
    let _unmount = Unmount(small.clone());
    let (options, target) = (RestoreOptions::default(), small.join("new/deep"));
    sh(&fixture.source(), "truncate -s 64M sparse");
    for fits in [true, false] {
        let captured = fixture.capture().await;
        let recorded = Estimate { bytes: captured.bytes.max(64 << 20), items: captured.items };
        let repository = &fixture.repository;
        let looked =
            plan_restore(repository, &captured.tree, &target, Into::Folder, &options, recorded, &fixture.cx).await;
        let refusals = looked.unwrap().refusals;
        assert_eq!(refusals.is_empty(), fits, "holes take no room: {refusals:?}");
        assert!(refusals.iter().all(|refusal| matches!(refusal, VolumeError::NoSpace { .. })), "{refusals:?}");
        assert!(!small.join("new").exists());
        fs::write(fixture.path("source/large"), vec![7; 12 << 20]).unwrap();
    }
}

//! What a capture reads, takes over, leaves out, reads again, and what it does when files will not hold still.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use drydock::data::volume::{CaptureOptions, VolumeError, estimate};
use drydock::failure::{Category, Failure};
use drydock::repository::NodeKind;
use drydock::stack::VolumeSpec;

use super::support::tree::{self, noise};
use super::{Fixture, Meddler, differences, sh, spec};

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_files_are_not_read_again_and_changed_ones_are() {
    let fixture = Fixture::new("unchanged").await;
    tree::torture(&fixture.source());
    let first = fixture.capture().await;
    assert!(first.bytes > 10 << 20, "{} bytes", first.bytes);

    let options = CaptureOptions::default();
    let second = fixture.capture_with(&spec(&[]), Some(&first), &options).await.unwrap();
    assert_eq!((second.bytes, second.items), (0, first.items));
    assert_eq!(second.tree, first.tree, "nothing changed, so nothing is stored");

    // The same length and time as before: its ctime tells.
    sh(
        &fixture.source(),
        "touch -r contents/text /tmp/$$.time && printf X | dd of=contents/text bs=1 seek=9 conv=notrunc status=none
         touch -r /tmp/$$.time contents/text && rm /tmp/$$.time",
    );
    let third = fixture.capture_with(&spec(&[]), Some(&second), &options).await.unwrap();
    assert_eq!(third.bytes, fs::metadata(fixture.path("source/contents/text")).unwrap().len());
    assert_eq!(differences(&fixture.compare(&third, "source").await), Vec::<String>::new());

    let reread = CaptureOptions { reread: true, ..options };
    let fourth = fixture.capture_with(&spec(&[]), Some(&third), &reread).await.unwrap();
    assert_eq!(fourth.bytes, first.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_are_not_read_from_the_disk() {
    let fixture = Fixture::new("holes").await;
    sh(
        &fixture.source(),
        "truncate -s 40M hole && truncate -s 40M spot && printf here | dd of=spot bs=1 seek=20000000 conv=notrunc status=none",
    );
    let captured = fixture.capture().await;
    assert!(captured.bytes <= 64 << 10, "{} bytes were read where 4 are data", captured.bytes);
    fixture.restore(&captured, "restored").await;
    assert_eq!(fs::read(fixture.path("restored/spot")).unwrap(), fs::read(fixture.path("source/spot")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_snapshot_that_is_lost_is_said_and_all_is_read_again() {
    let fixture = Fixture::new("lost-parent").await;
    fs::write(fixture.path("source/file"), noise(1, 5_000)).unwrap();
    let captured = fixture.capture().await;
    let elsewhere = Fixture::new("other-repository").await;
    fs::write(elsewhere.path("source/file"), noise(1, 5_000)).unwrap();
    let again = elsewhere.capture_with(&spec(&[]), Some(&captured), &CaptureOptions::default()).await.unwrap();
    assert_eq!(again.bytes, 5_000);
    let said = "the root folder: the former snapshot of it cannot be used, all is read again: Tree blob ";
    assert!(again.notes.len() == 1 && again.notes[0].starts_with(said), "{:?}", again.notes);
}

/// The folders have not changed, so their trees come out as they were: the damaged ones must not be taken for stored.
#[tokio::test(flavor = "multi_thread")]
async fn trees_that_were_damaged_in_the_repository_are_stored_again() {
    for reread in [false, true] {
        let fixture = Fixture::new("damaged-trees").await;
        fixture.folder.holds_damage();
        fs::create_dir_all(fixture.path("source/deep/er")).unwrap();
        for (n, name) in ["top", "deep/a", "deep/er/b"].into_iter().enumerate() {
            fs::write(fixture.path(&format!("source/{name}")), noise(n as u64, 50_000)).unwrap();
        }
        let captured = fixture.capture().await;
        let damage = "for pack in $(find store/repository/data -type f -size -20k); do
            head -c $(stat -c %s $pack) /dev/urandom >$pack.new; mv $pack.new $pack; done";
        sh(fixture.folder.path(), damage);
        fixture.folder.holds_damage();
        let fixture = fixture.reopened().await;
        assert!(fixture.repository.tree(&captured.tree).await.is_err(), "the pack of trees is the small one");

        let options = CaptureOptions { reread, ..CaptureOptions::default() };
        let again = fixture.capture_with(&spec(&[]), Some(&captured), &options).await.unwrap();
        assert_eq!((again.tree, again.bytes), (captured.tree, 150_000));
        let fixture = fixture.reopened().await;
        assert_eq!(differences(&fixture.restore(&again, "restored").await), Vec::<String>::new());
        sh(fixture.folder.path(), "diff -r source restored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_holds_still_is_marked_and_the_rest_is_whole() {
    let fixture = Fixture::new("restless").await;
    fs::write(fixture.path("source/calm"), noise(1, 100_000)).unwrap();
    let restless = fixture.path("source/restless log");
    fs::write(&restless, noise(2, 32 << 20)).unwrap();
    let captured = {
        let log = fs::OpenOptions::new().append(true).open(&restless).unwrap();
        let _writer = Meddler::start(move || std::io::Write::write_all(&mut &log, b"another line\n").unwrap());
        fixture.capture().await
    };
    assert_eq!(
        captured.warnings,
        ["restless log changed each of the 4 times it was read: what the snapshot has of it may be a mixture"]
    );
    fixture.restore(&captured, "restored").await;
    assert_eq!(fs::read(fixture.path("restored/calm")).unwrap(), noise(1, 100_000));
    let kept = fs::read(fixture.path("restored/restless log")).unwrap();
    assert!(fs::read(&restless).unwrap().starts_with(&kept), "of a log it is a beginning");

    let again = fixture.capture_with(&spec(&[]), Some(&captured), &CaptureOptions::default()).await.unwrap();
    assert_eq!(again.warnings, Vec::<String>::new());
    assert_eq!(again.bytes, fs::metadata(&restless).unwrap().len(), "it is read again as soon as it holds still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_to_rest_while_it_is_read_is_read_again_without_a_word() {
    let fixture = Fixture::new("comes-to-rest").await;
    let path = fixture.path("source/log");
    fs::write(&path, noise(1, 24 << 20)).unwrap();
    let log = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..30 {
            std::io::Write::write_all(&mut &log, b"a line\n").unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let captured = fixture.capture().await;
    writer.join().unwrap();
    assert_eq!(captured.warnings, Vec::<String>::new());
    assert!(captured.bytes > 40 << 20, "{} bytes: the test is in vain when it was read once", captured.bytes);
    fixture.restore(&captured, "restored").await;
    assert!(fs::read(fixture.path("restored/log")).unwrap() == fs::read(&path).unwrap(), "it is as it came to rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_and_go_are_no_error() {
    let fixture = Fixture::new("vanishing").await;
    let source = fixture.source();
    for n in 0..2_000 {
        fs::write(source.join(format!("stays {n}")), n.to_string()).unwrap();
    }
    let _meddler = Meddler::start(move || {
        for n in 0..50 {
            fs::write(source.join(format!("stays {n}, not")), "x").unwrap();
            fs::create_dir_all(source.join(format!("folder {n}/below"))).unwrap();
        }
        for n in 0..50 {
            fs::remove_file(source.join(format!("stays {n}, not"))).unwrap();
            fs::remove_dir_all(source.join(format!("folder {n}"))).unwrap();
        }
    });
    for _ in 0..3 {
        let captured = fixture.capture().await;
        let nodes = fixture.nodes(&captured).await;
        assert!((0..2_000).all(|n| nodes.contains_key(&format!("/stays {n}"))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_exchanged_for_a_link_does_not_lead_out() {
    let fixture = Fixture::new("swapped").await;
    let (source, outside) = (fixture.source(), fixture.path("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "not yours").unwrap();
    for n in 0..40 {
        fs::create_dir_all(source.join(format!("a {n}"))).unwrap();
        fs::write(source.join(format!("a {n}/secret")), "mine").unwrap();
    }
    symlink(&outside, source.join("link")).unwrap();
    let capture_these = source.clone();
    let _meddler = Meddler::start(move || {
        for n in 0..40 {
            let (a, b) = (capture_these.join(format!("a {n}")), capture_these.join("link"));
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(rustix::fs::CWD, a, rustix::fs::CWD, b, exchange).unwrap();
        }
    });
    for _ in 0..10 {
        let captured = fixture.capture().await;
        for (path, node) in fixture.nodes(&captured).await {
            if let NodeKind::File { bytes, .. } = node.kind {
                assert_eq!(bytes, 4, "{path} is not what lies in the folder");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_excluded_is_neither_read_nor_counted() {
    let fixture = Fixture::new("excluded").await;
    let source = fixture.source();
    for folder in ["cache", "web/node_modules/x", "web/cache", "lost+found", ".drydock/run"] {
        fs::create_dir_all(source.join(folder)).unwrap();
    }
    for file in ["keep", "a.tmp", "web/b.tmp", "cache/c", "web/cache/d", "web/node_modules/x/e", "lost+found/f"] {
        fs::write(source.join(file), "12345").unwrap();
    }
    let spec = spec(&["*.tmp", "/cache", "node_modules/"]);
    let captured = fixture.capture_with(&spec, None, &CaptureOptions::default()).await.unwrap();
    let names: Vec<_> = fixture.nodes(&captured).await.into_keys().collect();
    assert_eq!(names, ["/keep", "/web", "/web/cache", "/web/cache/d"]);
    let estimate = estimate(&source, &spec, &fixture.cx).await.unwrap();
    assert_eq!((estimate.items, estimate.bytes), (captured.items, captured.bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_file_system_is_left_out_when_asked_and_its_mount_point_kept() {
    let fixture = Fixture::new("mounted").await;
    let mount = fixture.path("source/mounted");
    fs::create_dir(&mount).unwrap();
    fs::write(fixture.path("source/here"), "here").unwrap();
    sh(&mount, "mount -t tmpfs tmpfs . && echo there > there || exit 9");
    let _unmount = Unmount(mount.clone());
    sh(&mount, "test -e there || echo there > $PWD/there");

    let whole = fixture.capture().await;
    assert!(fixture.nodes(&whole).await.contains_key("/mounted/there"));
    let one = VolumeSpec { one_file_system: true, ..spec(&[]) };
    let captured = fixture.capture_with(&one, None, &CaptureOptions::default()).await.unwrap();
    let names: Vec<_> = fixture.nodes(&captured).await.into_keys().collect();
    assert_eq!(names, ["/here", "/mounted"]);
    assert_eq!(captured.notes, ["mounted is on another file system: what it holds is not kept"]);
    assert_eq!(estimate(&fixture.source(), &one, &fixture.cx).await.unwrap().items, 1);
}

pub struct Unmount(pub std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        sh(self.0.parent().unwrap(), &format!("umount -l '{}'", self.0.display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_deeper_than_a_path_may_be_long_comes_back() {
    let fixture = Fixture::new("deep").await;
    let script =
        "for n in $(seq 60); do mkdir $(printf 'n%.0s' {1..100}) && cd n*; done; echo bottom > file; ln file link";
    sh(&fixture.source(), script);
    let captured = fixture.capture().await;
    let comparison = fixture.restore(&captured, "restored").await;
    assert_eq!(differences(&comparison), Vec::<String>::new());
    assert_eq!((comparison.compared["folders"], comparison.compared["files"]), (61, 2));
    // what removes the fixture cannot do so by path
    sh(fixture.folder.path(), "rm -rf source restored");
    fs::create_dir(fixture.source()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_files_in_one_folder_take_seconds() {
    let fixture = Fixture::new("many").await;
    sh(&fixture.source(), "seq -f '%06g' 0 99999 | xargs -n 5000 touch");
    let start = Instant::now();
    let captured = fixture.capture().await;
    let first = start.elapsed();
    assert_eq!(captured.items, 100_000);
    let again = fixture.capture_with(&spec(&[]), Some(&captured), &CaptureOptions::default()).await.unwrap();
    assert_eq!((again.tree, again.bytes), (captured.tree, 0));
    let both = start.elapsed();
    assert!(both < Duration::from_secs(60), "{first:?} and then {:?}", both - first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_folder_is_refused_and_a_cancelled_capture_ends() {
    let fixture = Fixture::new("refused").await;
    fs::write(fixture.path("source/file"), noise(1, 1 << 20)).unwrap();
    let missing = estimate(&fixture.path("missing"), &spec(&[]), &fixture.cx).await.unwrap_err();
    assert_eq!(missing.category(), Category::Usage);
    assert!(missing.to_string().starts_with("cannot open /"), "{missing}");
    let file = estimate(&fixture.path("source/file"), &spec(&[]), &fixture.cx).await.unwrap_err();
    assert!(matches!(file, VolumeError::NotAFolder { .. }), "{file}");
    fixture.cx.cancel.cancel();
    let cancelled = fixture.capture_with(&spec(&[]), None, &CaptureOptions::default()).await.unwrap_err();
    assert_eq!(cancelled.category(), Category::Interrupted);
}

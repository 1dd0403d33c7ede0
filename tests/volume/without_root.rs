//! What happens without root. These run in a child of this test, as the user nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use drydock::data::volume::{CaptureOptions, VolumeError, doctor};
use drydock::failure::{Category, Failure};
use drydock::finding::Severity;
use drydock::stack::VolumeSpec;

use super::support::{Folder, is_root, tree};
use super::{Fixture, differences, spec};

/// Runs the ignored test `name` as nobody; its own message is shown when it fails.
fn as_nobody(name: &str, folder: &Folder) {
    if !is_root() {
        return; // then the child's part is run by `--ignored`
    }
    let program = folder.path().join("test-program"); // the build folder may be closed to nobody
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&program)
        .args(["--exact", &format!("without_root::{name}"), "--ignored", "--nocapture"])
        .env("DRYDOCK_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn given() -> PathBuf {
    std::env::var_os("DRYDOCK_TEST_FOLDER").expect("run by its parent").into()
}

#[test]
fn a_file_that_cannot_be_read_fails_the_data_set_by_its_name() {
    let folder = Folder::new("unreadable");
    let source = folder.path().join("given");
    fs::create_dir_all(source.join("below")).unwrap();
    fs::write(source.join("open"), "open").unwrap();
    fs::write(source.join("below/closed"), "closed").unwrap();
    fs::set_permissions(source.join("below/closed"), fs::Permissions::from_mode(0o600)).unwrap();
    as_nobody("child_meets_a_closed_file", &folder);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as nobody by its parent"]
async fn child_meets_a_closed_file() {
    let fixture = Fixture::new("unreadable-child").await;
    let fixture = Fixture { source: Some(given().join("given")), ..fixture };
    let error = fixture.capture_with(&spec(&[]), None, &CaptureOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot open below/closed");
    assert_eq!(error.category(), Category::Usage);
    assert!(error.hint().unwrap().contains("root"));
    let without = fixture.capture_with(&spec(&["closed"]), None, &CaptureOptions::default()).await.unwrap();
    assert_eq!(without.items, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_root_can_bring_back_is_counted_and_named() {
    let fixture = Fixture::new("restored-by-nobody").await;
    tree::torture(&fixture.source());
    let captured = fixture.capture().await;
    fixture.save(&captured).await;
    super::sh(fixture.folder.path(), "chmod -R a+rX store && chmod 644 password");
    as_nobody("child_restores", &fixture.folder);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as nobody by its parent"]
async fn child_restores() {
    let fixture = Fixture::open(given()).await;
    let target = Folder::new("by-nobody");
    let (_, snapshot) = fixture.repository.snapshots().await.unwrap().remove(0);
    let node = fixture.repository.find(&snapshot.tree, &["data"]).await.unwrap().unwrap();
    let drydock::repository::NodeKind::Dir { subtree } = node.kind else { panic!("it is a folder") };
    let options = drydock::data::volume::RestoreOptions::default();
    let path = target.path().join("restored");
    let comparison =
        drydock::data::volume::restore_to(&fixture.repository, &subtree, &path, &options, &fixture.cx).await.unwrap();
    assert_eq!(differences(&comparison), Vec::<String>::new());
    assert_eq!(
        comparison.not_comparable,
        [
            "file modes and times/d0000: its mode 0000 keeps this user from reading it again",
            "file modes and times/d0111: its mode 0111 keeps this user from reading it again",
            "file modes and times/f0000: its mode 0000 keeps this user from reading it again",
            "file modes and times/f0111: its mode 0111 keeps this user from reading it again",
        ]
    );
    let notes = comparison.notes.join("\n");
    for part in ["owner or group of ", "2 devices were not made", "set-user-id", "2 attributes that only root"] {
        assert!(notes.contains(part), "`{part}` is not in:\n{notes}");
    }
    let given = fs::metadata(path.join("privileged/owned")).unwrap().permissions().mode();
    assert_eq!(given & 0o7777, 0o755, "no set-user-id bit under another owner");
    // what one may not enter oneself must be opened to be removed
    super::sh(target.path(), "chmod -R u+rwx .");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_would_fail_and_what_to_do() {
    let fixture = Fixture::new("doctor").await;
    fs::write(fixture.path("source/file"), "x").unwrap();
    let at = |path: PathBuf| VolumeSpec { path: Some(path), ..spec(&[]) };
    let good = doctor("uploads", &at(fixture.source()), &fixture.cx).await;
    if is_root() {
        assert!(good.iter().all(|finding| finding.severity == Severity::Good), "{good:#?}");
    }
    assert!(good.iter().any(|finding| finding.detail.contains("1 files, 0 MiB")), "{good:#?}");
    for (path, said) in [("missing", "does not exist"), ("source/file", "is not a folder")] {
        let findings = doctor("uploads", &at(fixture.path(path)), &fixture.cx).await;
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Problem));
        assert!(findings[0].detail.ends_with(said) && findings[0].fix.is_some(), "{findings:#?}");
    }
    let spec = VolumeSpec { exclude: vec!["a[".into()], ..at(fixture.source()) };
    let findings = doctor("uploads", &spec, &fixture.cx).await;
    assert!(findings.iter().any(|f| f.severity == Severity::Problem && f.detail.contains("a[")), "{findings:#?}");
    assert!(matches!(
        drydock::data::volume::estimate(&fixture.source(), &spec, &fixture.cx).await,
        Err(VolumeError::Pattern { .. })
    ));
}

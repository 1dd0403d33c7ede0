//! What we write, restic checks, lists and restores; what it writes we read.

use jiff::Timestamp;

use drydock::failure::Failure;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn restic_checks_and_restores_what_we_wrote() {
    let place = Place::new("ours").await;
    let repository = place.create().await;
    let files = files();

    let writer = repository.writer(WriterOptions::default());
    let tree = store_files(&writer, &files).await;
    let stats = writer.finish().await.unwrap();
    assert_eq!(stats.new_bytes + stats.known_bytes, total(&files) + tree_bytes(&repository, &tree).await);
    let snapshot = Snapshot::new(Timestamp::now(), tree);
    repository.save_snapshot(&snapshot).await.unwrap();

    let restic = place.restic();
    restic.run(&["check", "--read-data"]);
    assert_eq!(restic.run(&["dump", "latest", "/folder/text"]).as_bytes(), files.last_chunk::<2>().unwrap()[0].1);
    assert!(restic.run(&["cat", "config"]).contains(repository.id()));
    let target = place.path().join("restored");
    restic.run(&["restore", "latest", "--target", target.to_str().unwrap()]);
    for (name, bytes) in &files {
        let restored = std::fs::read(target.join("folder").join(name)).unwrap();
        assert!(restored == *bytes, "{name} differs after restic's restore");
    }

    // and we read it ourselves, with another handle that has to load the index
    let again = place.open().await;
    for (name, bytes) in &files {
        assert!(read_path(&again, &tree, &["folder", name]).await == *bytes, "{name} differs after our own reading");
    }
    assert_eq!(again.find(&tree, &["folder", "absent"]).await.unwrap(), None);
    assert_eq!(again.find(&tree, &["folder", "text", "below a file"]).await.unwrap(), None);
}

fn total(files: &[(String, Vec<u8>)]) -> u64 {
    files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
}

async fn tree_bytes(repository: &Repository, root: &TreeId) -> u64 {
    let outer = repository.blob(BlobKind::Tree, &(*root).into()).await.unwrap();
    let NodeKind::Dir { subtree } = repository.tree(root).await.unwrap().nodes[0].kind else { panic!("a folder") };
    let inner = repository.blob(BlobKind::Tree, &subtree.into()).await.unwrap();
    (outer.len() + inner.len()) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn both_write_into_one_repository_and_read_each_other() {
    let place = Place::new("both").await;
    let repository = place.create().await;
    let source = place.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let files = files();
    for (name, bytes) in &files {
        std::fs::write(source.join(name), bytes).unwrap();
    }

    let restic = place.restic();
    restic.run(&["backup", source.to_str().unwrap()]);
    let (_, theirs) = repository.snapshots().await.unwrap().pop().unwrap();
    let path: Vec<_> = source.to_str().unwrap().split('/').skip(1).collect();
    for (name, bytes) in &files {
        let path = [&path[..], &[name]].concat();
        assert!(read_path(&repository, &theirs.tree, &path).await == *bytes, "{name} differs");
    }

    // small files are one chunk for both, so ours are known already
    let writer = repository.writer(WriterOptions::default());
    let small: Vec<_> = files.into_iter().filter(|(name, _)| name.starts_with("small")).collect();
    store_files(&writer, &small).await;
    let stats = writer.finish().await.unwrap();
    assert_eq!(stats.known_bytes, total(&small));
    assert_eq!(stats.new_blobs, 2, "two folders");
    restic.run(&["check", "--read-data"]);
    restic.run(&["prune"]);
    restic.run(&["check", "--read-data"]);
}

/// The folder that a fixture of that name holds, as a place that may be written to.
async fn fixture(name: &str) -> Place {
    let place = Place::new(name).await;
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    support::run(std::process::Command::new("cp").arg("-r").arg(from.join(".")).arg(place.path()));
    place
}

fn secret_of(place: &Place) -> Secret {
    std::fs::read_to_string(place.path().join("password")).unwrap().into()
}

/// Written by restic 0.14: the first snapshot compressed, the second not; a second key has the password `other`.
#[tokio::test(flavor = "multi_thread")]
async fn what_restic_0_14_wrote_is_read_for_ever() {
    let place = fixture("repository-restic-0.14").await;
    let repository = Repository::open(Arc::clone(&place.store), &secret_of(&place)).await.unwrap();
    let mut snapshots = repository.snapshots().await.unwrap();
    snapshots.sort_by_key(|(_, snapshot)| snapshot.time);
    let [(_, first), (second_id, second)] = &snapshots[..] else { panic!("two snapshots, not {snapshots:?}") };
    assert_eq!((&first.tags, &second.tags), (&vec!["first".into()], &vec!["second".into()]));
    assert_eq!(second_id.to_string(), "2ab5c910ebbfb5674d317fb2db3cf6fa0a2f466565dfe016c4658f9f47a5bbbb");
    assert_eq!(first.paths, ["/srv/fixture"]);

    let hello = ["srv", "fixture", "folder", "hello.txt"];
    assert_eq!(read_path(&repository, &first.tree, &hello).await, b"restic wrote this\n");
    assert_eq!(read_path(&repository, &second.tree, &hello).await, b"restic wrote this\nsecond line\n");
    let text: String = (0..4000).map(|i| format!("line {i} of a text that compresses well\n")).collect();
    assert_eq!(read_path(&repository, &second.tree, &["srv", "fixture", "text.txt"]).await, text.as_bytes());
    assert_eq!(read_path(&repository, &second.tree, &["srv", "fixture", "empty"]).await, b"");
    let noise = read_path(&repository, &second.tree, &["srv", "fixture", "noise.bin"]).await;
    let sha = <sha2::Sha256 as sha2::Digest>::digest(&noise);
    assert_eq!(hex::encode(sha), "1807e5036ee223f44da87dcfe9d58e965394b5951ea884328fd0336862ba6ae4");

    let by_the_other = Repository::open(Arc::clone(&place.store), &"other".to_owned().into()).await.unwrap();
    assert_eq!(by_the_other.id(), repository.id());
    let keys = repository.keys().await.unwrap();
    let names: Vec<_> = keys.iter().map(|key| (key.username.as_str(), key.current)).collect();
    assert_eq!(names, [("root", true), ("second", false)]);
}

/// Written by the first drydock.
#[tokio::test(flavor = "multi_thread")]
async fn what_drydock_1_wrote_is_read_for_ever() {
    let place = fixture("repository-v1").await;
    let repository = Repository::open(Arc::clone(&place.store), &secret_of(&place)).await.unwrap();
    let (_, snapshot) = repository.snapshots().await.unwrap().pop().unwrap();
    for (name, bytes) in &fixture_files() {
        assert!(read_path(&repository, &snapshot.tree, &["folder", name]).await == *bytes, "{name} differs");
    }
    // and its chunk borders are still the same: nothing is stored twice
    let writer = repository.writer(WriterOptions::default());
    assert_eq!(store_files(&writer, &fixture_files()).await, snapshot.tree);
    assert_eq!(writer.finish().await.unwrap().new_blobs, 0);
    place.restic().run(&["check", "--read-data"]);
}

/// Noise of our own, because a crate's generators may change; zeros, because they compress to nothing.
fn fixture_files() -> Vec<(String, Vec<u8>)> {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    let mut text = Vec::new();
    for word in noise.take(400_000) {
        text.extend_from_slice([&b"pack "[..], b"blob ", b"tree ", b"index\n"][usize::from(word % 4)]);
    }
    vec![
        ("empty".into(), Vec::new()),
        ("noise".into(), noise.take(30_000).collect()),
        ("text".into(), text),
        ("zeros".into(), vec![0; 9 << 20]),
    ]
}

/// Makes the fixture of [`what_drydock_1_wrote_is_read_for_ever`]; its format must never be made anew.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/fixtures/repository-v1"]
async fn write_the_fixture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/repository-v1");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let store = Arc::new(LocalStore::open(&folder).await.unwrap());
    let repository = Repository::create(store, &secret(), KeyCost::negligible()).await.unwrap();
    let writer = repository.writer(WriterOptions::default());
    let tree = store_files(&writer, &fixture_files()).await;
    writer.finish().await.unwrap();
    let mut snapshot = Snapshot::new("2026-01-02T03:04:05.678901234Z".parse().unwrap(), tree);
    snapshot.hostname = "fixture".into();
    snapshot.paths = vec!["/folder".into()];
    repository.save_snapshot(&snapshot).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn format_version_1_is_refused_with_the_way_out() {
    let place = fixture("repository-restic-0.14-format-1").await;
    let error = Repository::open(Arc::clone(&place.store), &secret_of(&place)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Version { version: 1, .. }), "{error:?}");
    assert!(error.to_string().ends_with("has format version 1; drydock reads and writes version 2"), "{error}");
    assert_eq!(error.hint().unwrap(), "bring it to version 2 with `restic migrate upgrade_repo_v2`");
}

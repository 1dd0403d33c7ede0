//! What a writer promises: nothing twice, nothing listed that is not whole, memory within bounds, and an error that
//! reaches everybody.

use std::time::Duration;

use drydock::failure::{Category, Failure};
use drydock::storage::fault::{Effect, Fault, Operation};
use drydock::storage::{Faulty, StorageError};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_not_stored_again() {
    let place = Place::new("known").await;
    let repository = place.create().await;
    let writer = repository.writer(WriterOptions::default());
    let files = files();
    // several tasks store the same at the same time
    let storing = (0..4).map(|_| {
        let (writer, files) = (writer.clone(), files.clone());
        tokio::spawn(async move { store_files(&writer, &files).await })
    });
    let trees = futures_util::future::try_join_all(storing).await.unwrap();
    assert!(trees.iter().all(|tree| *tree == trees[0]));
    let stats = writer.finish().await.unwrap();
    assert_eq!(stats.known_bytes, 3 * stats.new_bytes);
    place.restic().run(&["check", "--read-data"]);

    let before = stored(&place, "");
    let later = place.open().await.writer(WriterOptions::default());
    assert_eq!(store_files(&later, &files).await, trees[0]);
    let stats = later.finish().await.unwrap();
    assert_eq!((stats.new_blobs, stats.stored_bytes), (0, 0));
    assert_eq!(stored(&place, ""), before, "no file was written, not even an index");
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_that_block_write_as_well() {
    let place = Place::new("blocking").await;
    let repository = place.create().await;
    let writer = repository.writer(WriterOptions::default());
    let threads: Vec<_> = (0..3)
        .map(|seed| {
            let mut sink = writer.file();
            std::thread::spawn(move || {
                for piece in noise(seed, 12 << 20).chunks(1 << 20) {
                    sink.write_blocking(piece).unwrap();
                }
                sink.finish_blocking().unwrap()
            })
        })
        .collect();
    let contents: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    writer.finish().await.unwrap();
    for (seed, content) in (0..).zip(contents) {
        assert_eq!(content.bytes, 12 << 20);
        let lengths = repository.lengths(BlobKind::Data, &content.blobs).await.unwrap();
        assert_eq!(lengths.iter().sum::<u64>(), content.bytes);
        assert!(read(&repository, &content.blobs).await == noise(seed, 12 << 20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_yields_the_same_content() {
    let files = files();
    for (compression_level, self_check, workers) in [(1, true, 1), (-5, false, 3), (19, true, 1)] {
        let place = Place::new("options").await;
        let repository = place.create().await;
        let writer = repository.writer(WriterOptions { compression_level, self_check, workers });
        let files = if compression_level == 19 { &files[2..50] } else { &files[..] };
        let tree = store_files(&writer, files).await;
        writer.finish().await.unwrap();
        let reader = place.open().await;
        for (name, bytes) in files {
            assert!(read_path(&reader, &tree, &["folder", name]).await == *bytes, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_names_what_is_not_there_or_is_not_sorted_is_refused() {
    let place = Place::new("folder").await;
    let writer = place.create().await.writer(WriterOptions::default());
    let known = writer.bytes(b"known"[..].to_vec().into()).await.unwrap();
    let unknown = FileContent { blobs: vec![BlobId([1; 32])], bytes: 5 };

    let error = writer.tree(&Tree { nodes: vec![file_node("a", unknown)] }).await.unwrap_err();
    assert!(matches!(error, RepositoryError::BlobMissing { kind: BlobKind::Data, .. }), "{error:?}");
    let subtree = NodeKind::Dir { subtree: TreeId([1; 32]) };
    let error = writer.tree(&Tree { nodes: vec![node("a", subtree, 0o755)] }).await.unwrap_err();
    assert!(matches!(error, RepositoryError::BlobMissing { kind: BlobKind::Tree, .. }), "{error:?}");
    let unsorted = Tree { nodes: vec![file_node("b", known.clone()), file_node("a", known)] };
    let error = writer.tree(&unsorted).await.unwrap_err();
    assert_eq!(error.category(), Category::Bug, "{error:?}");
    writer.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_dropped_leaves_nothing_listed() {
    let place = Place::new("dropped").await;
    let repository = place.create().await;
    let writer = repository.writer(WriterOptions::default());
    let tree = store_files(&writer, &[("noise".into(), noise(1, 50 << 20))]).await;
    drop(writer);
    assert_eq!(stored(&place, "index"), Vec::<std::path::PathBuf>::new());
    for repository in [repository, place.open().await] {
        let error = repository.tree(&tree).await.unwrap_err();
        assert!(matches!(error, RepositoryError::BlobMissing { .. }), "{error:?}");
        // and what was under way is not taken for stored
        let writer = repository.writer(WriterOptions::default());
        assert!(!writer.has(BlobKind::Tree, &tree.into()).await.unwrap());
    }
    place.restic().run(&["check", "--read-data"]);
}

/// Whatever operation fails and whenever: an error for everybody, no index that names a pack that is not there, and the
/// next run completes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_fails_the_writer_and_nothing_else() {
    let files = [("noise".to_owned(), noise(1, 36 << 20))];
    let fail = Effect::FailBefore;
    let faults = [
        (fail, "data/", 0),
        (fail, "data/", 1),
        (fail, "index/", 0),
        (Effect::FailAfter, "data/", 1),
        (Effect::Tear(100), "data/", 1),
        (Effect::NoSpace, "data/", 1),
        (Effect::FailAfter, "index/", 0),
    ];
    for (effect, key, skip) in faults {
        let place = Place::new("failing").await;
        place.create().await;
        let faulty = Faulty::new(Arc::clone(&place.store));
        let repository = Repository::open(faulty.clone(), &secret()).await.unwrap();
        let writer = repository.writer(WriterOptions::default());
        faulty.inject(Fault::new(effect).on(Operation::Put).key(key).after(skip));

        let stored_all = try_to_store(&writer, &files).await;
        let error = writer.finish().await.unwrap_err();
        assert!(stored_all.is_ok() || stored_all.is_err_and(|e| e.category() == error.category()));
        assert_eq!(error.category(), Category::Unavailable, "{effect:?} {key}: {error:?}");
        let RepositoryError::Writer(cause) = &error else { panic!("{error:?}") };
        let full = matches!(&**cause, RepositoryError::Storage(StorageError::NoSpace { .. }));
        assert_eq!(full, effect == Effect::NoSpace, "{error}");
        assert!(try_to_store(&writer, &files).await.is_err(), "a writer that has failed stores nothing more");
        drop(writer);

        // whatever was indexed is whole; restic's check reads every pack that an index names
        std::fs::remove_dir_all(place.path().join("repository/locks")).ok();
        let torn = matches!(effect, Effect::Tear(_)) as usize;
        let repository = place.open().await;
        let again = repository.writer(WriterOptions::default());
        let tree = store_files(&again, &files).await;
        again.finish().await.unwrap();
        assert!(read_path(&repository, &tree, &["folder", "noise"]).await == files[0].1);
        if torn == 0 {
            place.restic().run(&["check", "--read-data"]);
        }
    }
}

async fn try_to_store(writer: &Writer, files: &[(String, Vec<u8>)]) -> Result<(), RepositoryError> {
    for (_, bytes) in files {
        let mut sink = writer.file();
        for piece in bytes.chunks(1 << 20) {
            sink.write(piece).await?;
        }
        sink.finish().await?;
    }
    Ok(())
}

/// While the store stands still the writer waits instead of filling memory; a caller that gives up has stored nothing
/// by halves.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_given_up_breaks_its_file_only() {
    let place = Place::new("stalled").await;
    place.create().await;
    let faulty = Faulty::new(Arc::clone(&place.store));
    let repository = Repository::open(faulty.clone(), &secret()).await.unwrap();
    let writer = repository.writer(WriterOptions::default());
    faulty.inject(Fault::new(Effect::Stall(Duration::from_secs(3))).on(Operation::Put).key("data/"));

    let bytes = noise(1, 250 << 20);
    let mut sink = writer.file();
    let mut taken = 0;
    for piece in bytes.chunks(1 << 20) {
        if tokio::time::timeout(Duration::from_millis(500), sink.write(piece)).await.is_err() {
            break;
        }
        taken += piece.len();
    }
    assert!((64 << 20..200 << 20).contains(&taken), "{} MiB were taken", taken >> 20);
    faulty.heal();
    let error = sink.finish().await.unwrap_err();
    assert_eq!(error.category(), Category::Interrupted, "{error:?}");

    let mut sink = writer.file();
    sink.write(&bytes[..taken + (1 << 20)]).await.unwrap();
    let content = sink.finish().await.unwrap();
    writer.finish().await.unwrap();
    assert!(read(&repository, &content.blobs).await == bytes[..taken + (1 << 20)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_goes_on_after_finish() {
    let place = Place::new("again").await;
    let repository = place.create().await;
    let writer = repository.writer(WriterOptions::default());
    let first = writer.bytes(noise(1, 1_000).into()).await.unwrap();
    writer.finish().await.unwrap();
    let second = writer.bytes(noise(2, 1_000).into()).await.unwrap();
    let stats = writer.finish().await.unwrap();
    assert_eq!((stats.new_blobs, stats.new_bytes), (2, 2_000));
    assert_eq!(read(&place.open().await, &[first.blobs, second.blobs].concat()).await.len(), 2_000);
}

/// More tiny blobs than one pack's header may list; what is interrupted after that is taken up by the next run.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_run_had_indexed_is_known_to_the_next() {
    let place = Place::new("interrupted").await;
    let repository = place.create().await;
    let writer = repository.writer(WriterOptions { compression_level: 1, self_check: false, workers: 2 });
    let mut ids = Vec::new();
    for number in 0..110_000_u32 {
        ids.extend(writer.bytes(number.to_le_bytes().to_vec().into()).await.unwrap().blobs);
    }
    support::wait_until("an index", Duration::from_secs(60), || !stored(&place, "index").is_empty());
    drop(writer);

    let again = place.open().await;
    let writer = again.writer(WriterOptions::default());
    let mut known = 0;
    for id in &ids {
        known += usize::from(writer.has(BlobKind::Data, id).await.unwrap());
    }
    assert!((50_000..110_000).contains(&known), "{known} blobs are known");
    for number in 0..110_000_u32 {
        writer.bytes(number.to_le_bytes().to_vec().into()).await.unwrap();
    }
    let stats = writer.finish().await.unwrap();
    assert_eq!(stats.known_bytes, 4 * known as u64);
    place.restic().run(&["check", "--read-data"]);
}

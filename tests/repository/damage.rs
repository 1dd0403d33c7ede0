//! Bytes that are not what was written: found, named, and never handed on as right.

use drydock::failure::{Category, Failure};
use futures_util::StreamExt;
use jiff::Timestamp;

use super::*;

/// A repository with a few small files in one data pack and one tree pack.
async fn small(name: &str) -> (Place, TreeId, SnapshotId) {
    let place = Place::new(name).await;
    let repository = place.create().await;
    let writer = repository.writer(WriterOptions::default());
    let files = [("noise".into(), noise(1, 700)), ("text".into(), b"a text that compresses ".repeat(30))];
    let tree = store_files(&writer, &files).await;
    writer.finish().await.unwrap();
    let snapshot = repository.save_snapshot(&Snapshot::new(Timestamp::now(), tree)).await.unwrap();
    (place, tree, snapshot)
}

/// Opens the repository and reads all that is in it.
async fn read_all(place: &Place, tree: &TreeId, snapshot: &SnapshotId) -> Result<Vec<Vec<u8>>, RepositoryError> {
    let repository = Repository::open(Arc::clone(&place.store), &secret()).await?;
    assert_eq!(repository.snapshot(snapshot).await?.tree, *tree);
    let mut contents = Vec::new();
    for name in ["noise", "text"] {
        let Some(Node { kind: NodeKind::File { content, .. }, .. }) = repository.find(tree, &["folder", name]).await?
        else {
            panic!("{name} is there")
        };
        let read: Vec<_> = repository.stream(content.clone()).try_collect().await?;
        let fetched: Vec<_> = repository.fetch(BlobKind::Data, content).try_collect().await?;
        assert_eq!(fetched[0].1, read[0], "both ways of reading agree");
        contents.push(read.concat());
    }
    Ok(contents)
}

/// Every byte of every file, three ways: whatever still reads is right, and what does not is named.
#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_byte_is_handed_on() {
    let (place, tree, snapshot) = small("flip").await;
    let right = read_all(&place, &tree, &snapshot).await.unwrap();
    assert_eq!(right, [noise(1, 700), b"a text that compresses ".repeat(30)]);
    let mut unnoticed = 0;
    for file in stored(&place, "") {
        let whole = std::fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x41;
            std::fs::write(&file, damaged).unwrap();
            match read_all(&place, &tree, &snapshot).await {
                Ok(read) => {
                    assert_eq!(read, right, "{name} with byte {at} flipped");
                    unnoticed += 1;
                }
                Err(error) => {
                    assert_eq!(error.category(), Category::Integrity, "{name} at {at}: {error}");
                    assert!(error.to_string().contains(&name), "{name} at {at}: {error}");
                }
            }
        }
        std::fs::write(&file, whole).unwrap();
    }
    // readers with an index never look at pack headers; `check` does
    let headers = 2 * (37 + 32 + 4) + 2 * (41 + 32 + 4);
    assert!(unnoticed <= headers, "{unnoticed} flipped bytes went unnoticed, the headers have about {headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_short_or_gone_is_named() {
    let (place, tree, snapshot) = small("cut").await;
    for file in stored(&place, "") {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let whole = std::fs::read(&file).unwrap();
        for length in [0, 10, whole.len() / 2] {
            std::fs::write(&file, &whole[..length]).unwrap();
            let error = read_all(&place, &tree, &snapshot).await.unwrap_err();
            assert_eq!(error.category(), Category::Integrity, "{name} cut to {length}: {error}");
            assert!(error.to_string().contains(&name), "{name} cut to {length}: {error}");
        }
        std::fs::remove_file(&file).unwrap();
        let error = read_all(&place, &tree, &snapshot).await.unwrap_err();
        let missing = name == "config" && matches!(error, RepositoryError::Missing { .. });
        assert!(missing || error.category() == Category::Integrity, "without {name}: {error:?}");
        std::fs::write(&file, whole).unwrap();
    }
    read_all(&place, &tree, &snapshot).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_another_in_disguise_is_noticed() {
    let (place, tree, snapshot) = small("swap").await;
    let repository = place.open().await;
    repository.save_snapshot(&Snapshot::new(Timestamp::now(), tree)).await.unwrap();
    let [a, b] = &stored(&place, "snapshots")[..] else { panic!("two snapshots") };
    for (a, b) in [(a, b), (b, a)] {
        let kept = std::fs::read(a).unwrap();
        std::fs::copy(b, a).unwrap();
        if a.ends_with(snapshot.to_string()) {
            let error = repository.snapshot(&snapshot).await.unwrap_err();
            assert_eq!(error.to_string(), format!("snapshot {snapshot} is damaged: its bytes do not hash to its name"));
        }
        std::fs::write(a, kept).unwrap();
    }
}

/// Two processes that stored the same at once have left two copies.
#[tokio::test(flavor = "multi_thread")]
async fn where_one_copy_is_damaged_the_other_serves() {
    let place = Place::new("copies").await;
    let (first, second) = (place.create().await, place.open().await);
    let mut content = None;
    let mut writers = Vec::new();
    for repository in [&first, &second] {
        let writer = repository.writer(WriterOptions::default());
        assert!(!writer.has(BlobKind::Data, &BlobId([0; 32])).await.unwrap(), "loads the index while it is empty");
        // shorter than the shortest chunk: one blob whatever the repository's polynomial
        content = Some(writer.bytes(noise(1, 500_000).into()).await.unwrap());
        writers.push(writer);
    }
    for writer in &writers {
        assert_eq!(writer.finish().await.unwrap().new_blobs, 1);
    }
    let content = content.unwrap();
    let packs = stored(&place, "data");
    assert_eq!(packs.len(), 2);
    for pack in &packs {
        let whole = std::fs::read(pack).unwrap();
        for damaged in [Some([&[0; 100], &whole[100..]].concat()), None] {
            match damaged {
                Some(damaged) => std::fs::write(pack, damaged).unwrap(),
                None => std::fs::remove_file(pack).unwrap(),
            }
            let reader = place.open().await;
            assert!(read(&reader, &content.blobs).await == noise(1, 500_000));
            let fetched: Vec<_> = reader.fetch(BlobKind::Data, content.blobs.clone()).try_collect().await.unwrap();
            assert!(fetched[0].1 == noise(1, 500_000));
        }
        std::fs::write(pack, whole).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_blob_does_not_keep_the_others_from_being_fetched() {
    let place = Place::new("others").await;
    place.folder.holds_damage();
    let repository = place.create().await;
    let writer = repository.writer(WriterOptions::default());
    let mut wanted = Vec::new();
    for seed in 0..200 {
        wanted.extend(writer.bytes(noise(seed, 10_000).into()).await.unwrap().blobs);
    }
    writer.finish().await.unwrap();
    let [pack] = &stored(&place, "data")[..] else { panic!("one pack") };
    let mut bytes = std::fs::read(pack).unwrap();
    bytes[0] ^= 1;
    std::fs::write(pack, bytes).unwrap();

    let absent = BlobId([7; 32]);
    let asked = [&wanted[..], &[absent], &wanted[..10]].concat();
    let results: Vec<_> = repository.fetch(BlobKind::Data, asked).collect().await;
    let (right, wrong): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let mut wrong: Vec<_> = wrong.into_iter().map(|error| error.unwrap_err()).collect();
    wrong.sort_by_key(|error| matches!(error, RepositoryError::BlobMissing { .. }));
    let [RepositoryError::Damaged { what, .. }, RepositoryError::BlobMissing { id, .. }] = &wrong[..] else {
        panic!("one damaged and one missing, not {wrong:?}")
    };
    assert_eq!(*id, absent);
    let bad: BlobId = what.split(' ').nth(2).unwrap().parse().unwrap();
    let mut found: Vec<_> = right.into_iter().map(|blob| blob.unwrap()).collect();
    assert!(found.iter().all(|(id, bytes)| *bytes == noise(seed_of(&wanted, id), 10_000)));
    found.sort();
    let mut expected: Vec<_> = wanted.into_iter().filter(|id| *id != bad).collect();
    expected.sort();
    assert_eq!(found.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expected);
}

fn seed_of(wanted: &[BlobId], id: &BlobId) -> u64 {
    wanted.iter().position(|wanted| wanted == id).unwrap() as u64
}

use super::super::index::Index;
use super::super::testing::{Files, MemoryStore, Story, files, noise, open, restore};
use super::super::{BlobId, BlobKind, FileKind, IndexId, PackId, TreeId, WriterOptions};
use super::*;
use crate::clock::Clock;
use crate::failure::{Category, Failure};

const ALL: CheckOptions = CheckOptions { read_data: ReadData::All, seed: 0 };
const STRUCTURE: CheckOptions = CheckOptions { read_data: ReadData::None, seed: 0 };

async fn check(repository: &Repository, options: &CheckOptions) -> CheckReport {
    repository.check(options, &Context::default()).await.unwrap()
}

/// `object: problem; problem → snapshots` a line, sorted.
fn lines(report: &CheckReport) -> Vec<String> {
    let line = |d: &Damage| {
        let snapshots: Vec<String> = d.snapshots.iter().map(SnapshotId::to_string).collect();
        format!("{}: {} → {}", d.object, d.problems.join("; "), snapshots.join(", "))
    };
    let mut lines: Vec<String> = report.damage.iter().map(line).collect();
    lines.sort();
    assert_eq!(lines.len() as u64, report.damage_count);
    lines
}

fn ids(snapshots: &[SnapshotId]) -> String {
    let mut ids: Vec<String> = snapshots.iter().map(SnapshotId::to_string).collect();
    ids.sort();
    ids.join(", ")
}

/// Two snapshots that share `shared/`, each in packs of its own, and one of nothing of theirs.
async fn three() -> (Story, [SnapshotId; 3]) {
    let mut story = Story::begin().await;
    let shared = noise(1, 3000);
    let one = story.snapshot(files([("shared/a", &shared), ("own", b"one")])).await;
    let two = story.snapshot(files([("shared/a", &shared), ("deep/er/own", b"two")])).await;
    let three = story.snapshot(files([("alone", b"three")])).await;
    (story, [one, two, three])
}

fn only_pack_of(repository: &Repository, content: &[u8]) -> (String, PackId, BlobId) {
    use sha2::Digest;
    let id = BlobId(sha2::Sha256::digest(content).into());
    let index = repository.index_cell().get().unwrap().read().unwrap();
    let at = index.find(BlobKind::Data, &id).next().unwrap();
    (FileKind::Pack.key(&at.pack.0), at.pack, id)
}

#[tokio::test]
async fn a_sound_repository_says_what_was_read() {
    let (story, _) = three().await;
    let report = check(&open(&story.store).await, &ALL).await;
    assert_eq!(report.category(), None);
    let packs = story.store.keys("repository/data/");
    let bytes: usize = packs.iter().map(|key| story.store.bytes(key).len()).sum();
    let expected = CheckReport {
        index_files: 3,
        snapshots: 3,
        // Three roots, shared, deep, deep/er.
        trees: 6,
        packs: packs.len() as u64,
        pack_bytes: bytes as u64,
        // The trees, and four contents.
        blobs: 10,
        packs_read: packs.len() as u64,
        bytes_read: bytes as u64,
        blobs_read: 10,
        ..CheckReport::default()
    };
    assert_eq!(report, expected);
    let structure = check(&open(&story.store).await, &STRUCTURE).await;
    assert_eq!(structure, CheckReport { packs_read: 0, bytes_read: 0, blobs_read: 0, ..expected });
}

#[tokio::test]
async fn a_lost_pack_names_the_snapshots_that_need_it() {
    let (story, [one, two, three]) = three().await;
    let (shared, shared_id, _) = only_pack_of(&story.repository, &noise(1, 3000));
    let (alone, alone_id, _) = only_pack_of(&story.repository, b"three");
    story.store.lose(&shared);
    story.store.lose(&alone);
    for options in [STRUCTURE, ALL] {
        let report = check(&open(&story.store).await, &options).await;
        let mut expected = [
            format!("pack {shared_id}: it is not in the store, and 2 blobs with it → {}", ids(&[one, two])),
            format!("pack {alone_id}: it is not in the store, and 1 blobs with it → {three}"),
        ];
        expected.sort();
        assert_eq!(lines(&report), expected);
        assert_eq!(report.damaged_snapshots, [one, two, three].into());
        assert_eq!(report.category(), Some(Category::Integrity));
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_blob_is_found_by_reading_and_only_its_snapshots_are_named() {
    let (story, [_, two, _]) = three().await;
    let (key, pack, blob) = only_pack_of(&story.repository, b"two");
    let mut bytes = story.store.bytes(&key).to_vec();
    bytes[20] ^= 1;
    story.store.tamper(&key, bytes);
    assert_eq!(check(&open(&story.store).await, &STRUCTURE).await.category(), None, "the structure alone is sound");
    let report = check(&open(&story.store).await, &ALL).await;
    assert_eq!(
        lines(&report),
        [format!(
            "pack {pack}: its bytes do not hash to its name; data blob {blob} in pack {pack} at byte 0: its MAC does not fit → {two}"
        )]
    );
    assert_eq!(report.damaged_snapshots, [two].into());
}

#[tokio::test]
async fn a_pack_that_is_too_short_loses_what_lies_behind_its_end() {
    let (story, [one, two, _]) = three().await;
    let (key, pack, _) = only_pack_of(&story.repository, &noise(1, 3000));
    let bytes = story.store.bytes(&key);
    story.store.tamper(&key, bytes.slice(..100));
    let report = check(&open(&story.store).await, &STRUCTURE).await;
    assert_eq!(report.damage.len(), 1);
    assert_eq!(report.damage[0].problems, [format!("it has 100 bytes where the index says {}", bytes.len())]);
    assert_eq!(report.damage[0].object, Object::Pack(pack));
    assert!(report.damaged_snapshots.is_subset(&[one, two].into()) && !report.damaged_snapshots.is_empty());
}

#[tokio::test]
async fn a_damaged_index_leaves_the_rest_to_be_checked() {
    let (story, [one, two, three]) = three().await;
    // The index that knows what the second snapshot added.
    let own = only_pack_of(&story.repository, b"two").1;
    let mut key = String::new();
    for file in story.repository.list_files(FileKind::Index).await.unwrap() {
        let index = story.repository.load_index_file(&IndexId(file.id)).await.unwrap();
        if index.packs.iter().any(|pack| pack.id == own) {
            key = FileKind::Index.key(&file.id);
        }
    }
    story.store.tamper(&key, &b"garbage"[..]);
    let report = check(&open(&story.store).await, &ALL).await;
    assert_eq!(report.damaged_snapshots, [two].into(), "and neither {one} nor {three}");
    let index = report.damage.iter().find(|d| matches!(d.object, Object::Index(_))).unwrap();
    assert_eq!(index.problems, ["its bytes do not hash to its name"]);
    assert_eq!(report.unused_packs, 2, "its packs are there, and nobody names them");
    assert!(restore(&open(&story.store).await, &one).await.is_err(), "an open repository refuses what it cannot know");
}

#[tokio::test]
async fn one_that_is_there_twice_is_no_loss() {
    let (story, [_, two, _]) = three().await;
    let (key, pack, blob) = only_pack_of(&story.repository, b"two");
    let writer = story.repository.writer(WriterOptions::default());
    writer.store_again(BlobKind::Data, blob, b"two".to_vec()).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(check(&open(&story.store).await, &ALL).await.duplicate_blobs, 1);
    story.store.lose(&key);
    let report = check(&open(&story.store).await, &ALL).await;
    assert_eq!(lines(&report), [format!("pack {pack}: it is not in the store, and 1 blobs with it → ")]);
    assert_eq!(report.damaged_snapshots, [].into());
    assert_eq!(restore(&open(&story.store).await, &two).await.unwrap(), story.snapshots[&two]);
}

#[tokio::test]
async fn a_snapshot_of_a_tree_that_nobody_knows_is_damaged() {
    let (mut story, _) = three().await;
    let tree = TreeId([7; 32]);
    let id = story.repository.save_snapshot(&Snapshot::new(story.store.clock.now(), tree)).await.unwrap();
    let report = check(&open(&story.store).await, &STRUCTURE).await;
    assert_eq!(lines(&report), [format!("tree blob {tree}: Tree blob {tree} is in no index → {id}")]);
    story.snapshots.insert(id, Files::new());
    let damaged =
        story.store.keys("repository/snapshots/").iter().position(|key| key.ends_with(&id.to_string())).unwrap();
    let key = &story.store.keys("repository/snapshots/")[damaged];
    story.store.tamper(key, &b""[..]);
    let report = check(&open(&story.store).await, &STRUCTURE).await;
    assert_eq!(lines(&report), [format!("snapshot {id}: its bytes do not hash to its name → {id}")]);
    assert_eq!(report.damaged_snapshots, [id].into());
}

#[tokio::test]
async fn trees_that_name_what_is_not_there_or_lead_out_are_found() {
    let mut story = Story::begin().await;
    story.snapshot(files([("a", b"a")])).await;
    let writer = story.repository.writer(WriterOptions::default());
    let unknown = "07".repeat(32);
    let mut saved = Vec::new();
    for json in [
        format!(r#"{{"nodes":[{{"name":"f","type":"file","size":3,"content":["{unknown}"]}}]}}"#),
        r#"{"nodes":[{"name":"../evil","type":"fifo","content":null}]}"#.to_owned(),
    ] {
        let tree = writer.tree_json(json.into_bytes()).await.unwrap();
        saved
            .push((tree, story.repository.save_snapshot(&Snapshot::new(story.store.clock.now(), tree)).await.unwrap()));
    }
    writer.finish().await.unwrap();
    let report = check(&open(&story.store).await, &ALL).await;
    let [(names_unknown, one), (evil, two)] = saved[..] else { panic!() };
    let mut expected = [
        format!("data blob {unknown}: it is in no index, and `f` in tree {names_unknown} needs it → {one}"),
        format!("tree blob {evil}: the name `../evil` can be no entry of a folder → {two}"),
    ];
    expected.sort();
    assert_eq!(lines(&report), expected);
}

#[tokio::test]
async fn what_the_store_does_not_give_is_no_damage() {
    let (story, _) = three().await;
    let (key, pack, _) = only_pack_of(&story.repository, b"two");
    story.store.refuse_to_read(&key);
    let report = check(&open(&story.store).await, &ALL).await;
    assert_eq!((report.damage_count, report.category()), (0, Some(Category::Unavailable)));
    assert_eq!(report.unread[0].what, format!("pack {pack}"));
    assert_eq!(report.damaged_snapshots, [].into());
}

#[tokio::test]
async fn a_sample_reads_its_part() {
    let (story, _) = three().await;
    let repository = open(&story.store).await;
    let mut read = 0;
    for n in 1..=3 {
        read += check(&repository, &CheckOptions { read_data: ReadData::Part { n, of: 3 }, seed: 0 }).await.packs_read;
    }
    let packs = check(&repository, &ALL).await.packs;
    assert_eq!(read, packs);
    assert_eq!(check(&repository, &CheckOptions { read_data: ReadData::Percent(1.0), seed: 3 }).await.packs_read, 1);
}

#[tokio::test]
async fn cancelling_ends_it() {
    let (story, _) = three().await;
    let cx = Context::default();
    cx.cancel.cancel();
    let result = open(&story.store).await.check(&ALL, &cx).await;
    assert!(matches!(result, Err(RepositoryError::Cancelled)), "{result:?}");
}

/// What may be flipped without `check --read-data` noticing. Nothing: every file but the config is named by the hash
/// of its bytes, and the config is nothing but a nonce, what its MAC covers, and the MAC.
const HARMLESS: [&str; 0] = [];

/// Flips each byte of each file in turn. `check` must notice; a restore must fail or give what was stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_that_is_flipped_is_noticed_and_never_restored_as_right() {
    let mut story = Story::begin().await;
    story.snapshot(files([("a/text", b"what was stored, what was stored, what was stored"), ("b", b"x")])).await;
    story.snapshot(files([("b", b"x"), ("c", b"")])).await;
    let mut flips: Vec<(String, usize)> = Vec::new();
    for key in story.store.keys("repository/") {
        flips.extend((0..story.store.bytes(&key).len()).map(|at| (key.clone(), at)));
    }
    assert!(flips.len() > 2_000, "{} bytes", flips.len());
    let flips = std::sync::Arc::new(flips);
    let mut halves = tokio::task::JoinSet::new();
    for half in 0..2 {
        let (store, flips, snapshots) = (story.store.copy(), flips.clone(), story.snapshots.clone());
        halves.spawn(async move {
            let repository = open(&store).await;
            for (key, at) in flips.iter().skip(half).step_by(2) {
                flip(&store, &repository, &snapshots, key, *at).await;
            }
        });
    }
    halves.join_all().await;
}

async fn flip(
    store: &std::sync::Arc<MemoryStore>,
    opened: &Repository,
    snapshots: &std::collections::BTreeMap<SnapshotId, Files>,
    key: &str,
    at: usize,
) {
    let sound = store.bytes(key);
    let mut flipped = sound.to_vec();
    flipped[at] ^= 1 << (at % 8);
    store.tamper(key, flipped);
    // Another process with the same key, which has read nothing yet.
    let repository = opened.with_index(Index::default());
    let report = check(&repository, &ALL).await;
    if !HARMLESS.iter().any(|field| key.contains(field)) {
        assert_eq!(report.category(), Some(Category::Integrity), "byte {at} of {key}");
        let id = key.rsplit('/').next().unwrap();
        assert!(report.damage.iter().any(|damage| damage.object.to_string().ends_with(id)), "{key} is not named");
    }
    if repository.reload_index().await.is_ok() {
        for (id, files) in snapshots {
            match restore(&repository, id).await {
                Ok(restored) => assert_eq!(&restored, files, "byte {at} of {key}: wrong and taken for right"),
                Err(error) => {
                    assert_eq!(error.category(), Category::Integrity, "byte {at} of {key}: {error}");
                    assert!(report.damaged_snapshots.contains(id), "byte {at} of {key}: {id} is not named");
                }
            }
        }
    }
    store.tamper(key, sound);
}

/// More than are listed: which of them are is chance, that none of their snapshots is called whole is not.
#[tokio::test]
async fn past_what_is_listed_no_lost_tree_is_taken_for_whole() {
    let mut story = Story::begin().await;
    let whole = story.snapshot(files([("a", b"a")])).await;
    let mut broken = std::collections::BTreeSet::new();
    for n in 0..1_100_u16 {
        let mut tree = [9; 32];
        tree[..2].copy_from_slice(&n.to_be_bytes());
        let snapshot = Snapshot::new(story.store.clock.now(), TreeId(tree));
        broken.insert(story.repository.save_snapshot(&snapshot).await.unwrap());
    }
    let report = check(&open(&story.store).await, &STRUCTURE).await;
    assert_eq!((report.damage.len(), report.damage_count), (1_000, 1_100));
    assert!(!report.damaged_snapshots.contains(&whole));
    assert_eq!(report.damaged_snapshots, broken);
}

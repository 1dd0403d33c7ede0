//! One repository that drydock and restic use in turn.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use drydock::context::Context;
use drydock::data::volume::{CaptureOptions, RestoreOptions, capture, restore_to};
use drydock::failure::Category;
use drydock::repository::prune::MaxUnused;
use drydock::repository::repair::Believe;
use drydock::repository::{LockKind, Node, NodeKind, Snapshot, SnapshotId, Tree, WriterOptions};
use drydock::stack::VolumeSpec;

use super::Place;
use super::support::run;
use super::support::tree::noise;

/// A source that differs from round to round: a file that grows, one that is new, many that stay.
fn round(place: &Place, n: u64) {
    let source = place.path("source");
    fs::create_dir_all(source.join("many")).unwrap();
    fs::write(source.join("grows"), noise(1, (3 << 20) + usize::try_from(n).unwrap() * 100_000)).unwrap();
    fs::write(source.join(format!("new in {n}")), noise(100 + n, 1 << 20)).unwrap();
    fs::remove_file(source.join(format!("new in {}", n.wrapping_sub(2)))).ok();
    for file in 0..100 {
        fs::write(source.join(format!("many/{file}")), noise(1000 + file, 2_000)).unwrap();
    }
    // Kept as it was, to compare with what is restored.
    run(Command::new("cp").arg("-a").arg(&source).arg(place.path(&format!("as of {n}"))));
}

/// A snapshot of ours, laid out as restic lays out `backup source`.
async fn ours(place: &Place) -> SnapshotId {
    let cx = Context::default();
    let repository = place.open().await;
    let lock = repository.lock(LockKind::Shared, Duration::ZERO, &cx).await.unwrap();
    let writer = repository.writer(WriterOptions::default());
    let spec = VolumeSpec { path: None, claim: None, exclude: vec![], one_file_system: false };
    let source = place.path("source");
    let captured = capture(&source, &spec, &repository, &writer, None, &CaptureOptions::default(), &cx).await.unwrap();
    let root = captured.root.unwrap();
    let node = Node { name: b"source".to_vec(), kind: NodeKind::Dir { subtree: captured.tree }, ..root };
    let tree = writer.tree(&Tree { nodes: vec![node] }).await.unwrap();
    writer.finish().await.unwrap();
    let mut snapshot = Snapshot::new(captured.instant, tree);
    snapshot.hostname = "ours".into();
    snapshot.paths = vec!["/source".into()];
    let id = repository.save_snapshot(&snapshot).await.unwrap();
    lock.release().await.unwrap();
    id
}

/// A snapshot of restic's.
fn theirs(place: &Place) -> SnapshotId {
    let before = listed_by_restic(place);
    run(place.restic().command(&["backup", "--host", "theirs", "source"]).current_dir(place.path("")));
    let after = listed_by_restic(place);
    *after.difference(&before).next().unwrap()
}

fn listed_by_restic(place: &Place) -> BTreeSet<SnapshotId> {
    let list = place.restic().run(&["snapshots", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    list.as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().parse().unwrap()).collect()
}

async fn listed_by_us(place: &Place) -> BTreeSet<SnapshotId> {
    place.open().await.snapshots().await.unwrap().into_iter().map(|(id, _)| id).collect()
}

/// Both restore the snapshot to the same, which is the source as it was.
async fn both_restore(place: &Place, id: SnapshotId, n: u64) {
    let (by_restic, by_us) = (place.path("by restic"), place.path("by us"));
    place.restic().run(&["restore", &id.to_string(), "--target", by_restic.to_str().unwrap()]);
    let repository = place.open().await;
    let tree = repository.snapshot(&id).await.unwrap().tree;
    let cx = Context::default();
    let comparison = restore_to(&repository, &tree, &by_us, &RestoreOptions::default(), &cx).await.unwrap();
    assert!(comparison.holds(), "{:?}", comparison.differences);
    for restored in [&by_restic, &by_us] {
        run(Command::new("diff")
            .args(["-r", "--no-dereference"])
            .arg(place.path(&format!("as of {n}")))
            .arg(restored.join("source")));
        fs::remove_dir_all(restored).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_write_list_check_forget_prune_and_restore_in_turn() {
    let place = Place::new("turns").await;
    let mut kept = Vec::new();
    for n in 0..6 {
        round(&place, n);
        let id = if n % 2 == 0 { ours(&place).await } else { theirs(&place) };
        kept.push((id, n));
    }
    assert_eq!(listed_by_us(&place).await, listed_by_restic(&place));
    place.sound().await;

    // restic forgets one of ours, we one of restic's; we prune, then it does.
    let [(first_of_ours, _), (first_of_theirs, _)] = [kept[0], kept[1]];
    place.restic().run(&["forget", &first_of_ours.to_string()]);
    place.repository.remove_snapshot(&first_of_theirs).await.unwrap();
    kept.drain(..2);
    let expected: BTreeSet<SnapshotId> = kept.iter().map(|(id, _)| *id).collect();
    assert_eq!((listed_by_us(&place).await, listed_by_restic(&place)), (expected.clone(), expected));
    let summary = place.prune(MaxUnused::Bytes(0)).await;
    assert!(summary.freed_bytes > 1 << 20, "the file that was new in round 1 alone: {summary:?}");
    let report = place.sound().await;
    assert_eq!((report.unused_packs, report.duplicate_blobs), (0, 0));
    for (id, n) in &kept {
        both_restore(&place, *id, *n).await;
    }

    let (gone, _) = kept.remove(0);
    place.repository.remove_snapshot(&gone).await.unwrap();
    place.restic().run(&["prune", "--max-unused", "0"]);
    place.sound().await;
    round(&place, 6);
    kept.push((ours(&place).await, 6));
    place.sound().await;
    for (id, n) in &kept {
        both_restore(&place, *id, *n).await;
    }
    // Neither finds anything that the other would still have to prune.
    assert_eq!(place.prune(MaxUnused::Bytes(0)).await.unused_bytes, 0);
    let nothing = place.restic().command(&["prune", "--dry-run", "--max-unused", "0"]).output().unwrap();
    assert!(nothing.status.success());
    place.sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_we_rebuilt_is_restics_and_the_other_way_round() {
    let place = Place::new("rebuilt").await;
    round(&place, 0);
    let id = ours(&place).await;
    let other = theirs(&place);
    for file in place.files("index") {
        fs::remove_file(file).unwrap();
    }
    assert!(!place.restic().command(&["check"]).output().unwrap().status.success(), "restic misses it, too");
    let cx = Context::default();
    let repository = place.open().await;
    let lock = repository.lock(LockKind::Exclusive, Duration::ZERO, &cx).await.unwrap();
    let report = repository.repair_index(Believe::Sound, &lock, &cx).await.unwrap();
    assert_eq!(report.category(), None, "{report:?}");
    lock.release().await.unwrap();
    place.sound().await;
    for file in place.files("index") {
        fs::remove_file(file).unwrap();
    }
    place.restic().run(&["rebuild-index"]);
    place.sound().await;
    both_restore(&place, id, 0).await;
    both_restore(&place, other, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_find_the_same_damage_and_we_say_whom_it_touches() {
    let place = Place::new("damage").await;
    place.folder.holds_damage();
    round(&place, 0);
    let before = place.files("data");
    let first = ours(&place).await;
    fs::write(place.path("source/second"), noise(77, 1 << 20)).unwrap();
    let between = place.files("data");
    let second = theirs(&place);
    let flip = |path: &std::path::Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(path, bytes).unwrap();
    };
    assert!(before.is_empty());
    // The largest pack that the second snapshot brought: the content of its own file.
    let new = place.files("data").into_iter().filter(|path| !between.contains(path));
    let damaged = new.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    flip(&damaged);
    assert!(!place.restic().command(&["check", "--read-data"]).output().unwrap().status.success());
    let report = place.check().await;
    assert_eq!(report.category(), Some(Category::Integrity));
    let id = damaged.file_name().unwrap().to_str().unwrap();
    assert_eq!(report.damage.iter().map(|d| d.object.to_string()).collect::<Vec<_>>(), [format!("pack {id}")]);
    assert_eq!((report.damaged_snapshots.contains(&first), report.damaged_snapshots.contains(&second)), (false, true));
}

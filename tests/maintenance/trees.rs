//! The JSON of trees.

use drydock::repository::{BlobKind, NodeKind, Tree, TreeId};

use super::Place;
use super::support::tree;

/// restic backs the torture tree up; each of its trees, read and written again by us, is the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn what_restic_writes_is_what_we_would_write() {
    let place = Place::new("trees").await;
    tree::torture(&place.path("source"));
    // 0.14 writes what is not UTF-8 of a target as U+FFFD and loses it.
    std::fs::remove_file(place.path("source/links/raw target")).unwrap();
    // Times are compared as bytes, and we write UTC.
    place.restic().env("TZ", "UTC").run(&["backup", "--with-atime", &place.text("source")]);
    let (_, snapshot) = place.repository.snapshots().await.unwrap().remove(0);
    let mut open: Vec<TreeId> = vec![snapshot.tree];
    let (mut trees, mut nodes) = (0, 0);
    while let Some(id) = open.pop() {
        let theirs = place.repository.blob(BlobKind::Tree, &id.into()).await.unwrap();
        let tree = Tree::from_json(&theirs).unwrap();
        let ours = tree.to_json().unwrap();
        let same = ours.iter().zip(&theirs[..]).take_while(|(ours, theirs)| ours == theirs).count();
        let around = |json: &[u8]| {
            String::from_utf8_lossy(&json[same.saturating_sub(200)..json.len().min(same + 200)]).into_owned()
        };
        assert!(ours == *theirs, "we would write\n{}\nwhere restic wrote\n{}", around(&ours), around(&theirs));
        trees += 1;
        nodes += tree.nodes.len();
        for node in tree.nodes {
            if let NodeKind::Dir { subtree } = node.kind {
                open.push(subtree);
            }
        }
    }
    assert!(trees > 80 && nodes > 600, "{trees} trees with {nodes} nodes");
}

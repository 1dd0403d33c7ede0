//! The repository against stock restic: what we write it checks, lists and restores; what it writes we read.

mod support;

use std::path::Path;
use std::sync::Arc;

use drydock::repository::*;
use drydock::stack::Secret;
use drydock::storage::{LocalStore, SharedStore};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use support::Folder;
use support::restic::Restic;

const PASSWORD: &str = "correct horse battery staple";

/// A folder with a password file and, once created, a repository.
struct Place {
    folder: Folder,
    store: SharedStore,
}

impl Place {
    async fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        let store = Arc::new(LocalStore::open(folder.path()).await.unwrap());
        Self { folder, store }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn restic(&self) -> Restic {
        let repository = self.path().join("repository");
        Restic::new(repository.to_str().unwrap(), &self.path().join("password"))
    }

    async fn create(&self) -> Repository {
        Repository::create(Arc::clone(&self.store), &secret(), KeyCost::negligible()).await.unwrap()
    }

    async fn open(&self) -> Repository {
        Repository::open(Arc::clone(&self.store), &secret()).await.unwrap()
    }
}

fn secret() -> Secret {
    PASSWORD.to_owned().into()
}

/// Bytes that neither compress nor repeat, the same for the same seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    use rand::{Rng, SeedableRng};
    let mut noise = vec![0; bytes];
    rand::rngs::SmallRng::seed_from_u64(seed).fill_bytes(&mut noise);
    noise
}

fn file_node(name: &str, content: FileContent) -> Node {
    node(name, NodeKind::File { content: content.blobs, bytes: content.bytes }, 0o644)
}

fn node(name: &str, kind: NodeKind, mode: u32) -> Node {
    let time = 1_700_000_000_123_456_789;
    Node {
        name: name.into(),
        kind,
        mode,
        mtime_ns: time,
        atime_ns: time,
        ctime_ns: time,
        uid: 0,
        gid: 0,
        user: "root".into(),
        group: "root".into(),
        inode: 1,
        device_id: 1,
        links: 1,
        extended_attributes: Vec::new(),
    }
}

/// What the tests store: text, noise above one chunk, nothing, and many small ones in a folder.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("empty".into(), Vec::new()),
        ("noise".into(), noise(1, 20 << 20)),
        ("text".into(), b"the quick brown fox jumps over the lazy dog\n".repeat(100_000)),
        ("zeros".into(), vec![0; 9 << 20]),
    ];
    files.splice(2..2, (0..500).map(|i| (format!("small-{i:03}"), noise(i, 3_000))));
    files
}

async fn store_files(writer: &Writer, files: &[(String, Vec<u8>)]) -> TreeId {
    let mut tree = Tree::default();
    for (name, bytes) in files {
        let mut sink = writer.file();
        for piece in bytes.chunks(100_003) {
            sink.write(piece).await.unwrap();
        }
        tree.nodes.push(file_node(name, sink.finish().await.unwrap()));
    }
    let inner = writer.tree(&tree).await.unwrap();
    let outer = Tree { nodes: vec![node("folder", NodeKind::Dir { subtree: inner }, 0o755)] };
    writer.tree(&outer).await.unwrap()
}

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
    let target = place.path().join("restored");
    restic.run(&["restore", "latest", "--target", target.to_str().unwrap()]);
    for (name, bytes) in &files {
        let restored = std::fs::read(target.join("folder").join(name)).unwrap();
        assert!(restored == *bytes, "{name} differs after restic's restore");
    }

    // and we read it ourselves, with another handle that has to load the index
    let again = place.open().await;
    let Some(Node { kind: NodeKind::File { content, bytes }, .. }) =
        again.find(&tree, &["folder", "noise"]).await.unwrap()
    else {
        panic!("the file is there")
    };
    assert_eq!(bytes, 20 << 20);
    let read: Vec<_> = again.stream(content).try_collect().await.unwrap();
    assert!(read.concat() == noise(1, 20 << 20));
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

//! The repository as its users see it: against stock restic, with damage, faults, several keys and several writers.

mod damage;
mod interoperability;
mod keys;
#[path = "../support/mod.rs"]
mod support;
mod writing;

use std::path::Path;
use std::sync::Arc;

use drydock::repository::*;
use drydock::stack::Secret;
use drydock::storage::{LocalStore, SharedStore};
use futures_util::TryStreamExt;
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

/// A file's bytes, read back.
async fn read(repository: &Repository, content: &[BlobId]) -> Vec<u8> {
    let pieces: Vec<_> = repository.stream(content.to_vec()).try_collect().await.unwrap();
    pieces.concat()
}

/// The file at `path`, read back.
async fn read_path(repository: &Repository, root: &TreeId, path: &[&str]) -> Vec<u8> {
    match repository.find(root, path).await.unwrap() {
        Some(Node { kind: NodeKind::File { content, bytes }, .. }) => {
            let read = read(repository, &content).await;
            assert_eq!(read.len() as u64, bytes, "the size of {path:?}");
            read
        }
        other => panic!("{path:?} is {other:?}"),
    }
}

/// Every file of the repository below `folder`, by its path there.
fn stored(place: &Place, folder: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![place.path().join("repository").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

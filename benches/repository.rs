//! The repository alone against `restic` and `tar | zstd -3 -T2`, in one run, on 800 MB of text, noise and small files:
//! `cargo bench --bench repository -- [ROUNDS]`. Ours runs as a process of its own, so that its CPU seconds and its peak
//! of memory are its own; scrypt, self-check and fsync are included.

use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use drydock::repository::Snapshot;
use drydock::repository::{
    BlobKind, FileContent, KeyCost, Node, NodeKind, Repository, Tree, TreeId, Writer, WriterOptions,
};
use drydock::storage::LocalStore;
use futures_util::StreamExt;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["ingest", tree, place] => child(ingest(tree.into(), place.into())),
        ["create", place] => create(Path::new(place)),
        ["fetch", place] => child(fetch(place.into())),
        [] => compare(3),
        [rounds] => compare(rounds.parse().expect("a number of rounds")),
        _ => panic!("unknown arguments {words:?}"),
    }
}

// ---- the contenders ----

fn compare(rounds: usize) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-repository");
    let tree = home.join("tree");
    if !tree.exists() {
        generate(&tree);
    }
    std::fs::write(home.join("password"), "bench").expect("the password file is written");
    let me = std::env::current_exe().expect("this program has a path");
    let mut results: Vec<(&str, Vec<Measured>)> = Vec::new();
    for round in 0..=rounds {
        let place = home.join("ours");
        let restic = home.join("restic");
        let tar = home.join("tar.zst");
        for folder in [&place, &restic] {
            std::fs::remove_dir_all(folder).ok();
            std::fs::create_dir(folder).expect("the folder is made");
        }
        create(&place);
        run(restic_command(&home, &restic).arg("init"));
        let target = home.join("restored");
        std::fs::remove_dir_all(&target).ok();
        let mut race = vec![
            ("ours: store", measured(Command::new(&me).arg("ingest").args([&tree, &place]))),
            ("restic backup", measured(restic_command(&home, &restic).arg("backup").arg(&tree))),
            (
                "tar | zstd -3 -T2",
                measured(Command::new("sh").arg("-c").arg(format!(
                    "tar -C {} -cf - . | zstd -q -3 -T2 -f -o {} && sync {}",
                    tree.display(),
                    tar.display(),
                    tar.display()
                ))),
            ),
            ("ours: fetch all", measured(Command::new(&me).arg("fetch").arg(&place))),
            (
                "restic restore",
                measured(restic_command(&home, &restic).args(["restore", "latest", "--target"]).arg(&target)),
            ),
            ("restic check --read-data", measured(restic_command(&home, &restic).args(["check", "--read-data"]))),
        ];
        for (name, measured) in &mut race {
            measured.stored = match *name {
                "ours: store" => size(&place),
                "restic backup" => size(&restic),
                "tar | zstd -3 -T2" => size(&tar),
                _ => 0,
            };
        }
        if round == 0 {
            run(restic_command(&home, &place.join("repository")).args(["check", "--read-data"]));
            results = race.iter().map(|(name, _)| (*name, Vec::new())).collect();
            continue; // warms the caches
        }
        for ((_, all), (_, measured)) in results.iter_mut().zip(race) {
            all.push(measured);
        }
    }
    println!("{:26} {:>7} {:>7} {:>7} {:>9}", "median of rounds", "wall s", "CPU s", "RSS MB", "stored MB");
    for (name, all) in &mut results {
        all.sort_by(|a, b| a.wall.total_cmp(&b.wall));
        let median = &all[all.len() / 2];
        let (rss, stored) = (median.rss >> 20, median.stored / 1_000_000);
        println!("{name:26} {:7.2} {:7.2} {rss:7} {stored:9}", median.wall, median.cpu);
    }
}

fn restic_command(home: &Path, repository: &Path) -> Command {
    let mut command = Command::new("restic");
    command.args(["-q", "--no-cache", "-r"]).arg(repository).arg("--password-file").arg(home.join("password"));
    command
}

struct Measured {
    wall: f64,
    cpu: f64,
    rss: u64,
    stored: u64,
}

/// Runs to success. GNU time says what it cost, with all its children.
fn measured(command: &mut Command) -> Measured {
    let report = std::env::temp_dir().join(format!("drydock-bench-{}", std::process::id()));
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", "%U %S %M", "-o"]).arg(&report).arg(command.get_program()).args(command.get_args());
    let start = Instant::now();
    run(&mut timed);
    let wall = start.elapsed().as_secs_f64();
    let text = std::fs::read_to_string(&report).expect("time wrote its report");
    std::fs::remove_file(report).expect("the report is removed");
    let numbers: Vec<f64> = text.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    Measured { wall, cpu: numbers[0] + numbers[1], rss: (numbers[2] * 1024.0) as u64, stored: 0 }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn size(path: &Path) -> u64 {
    let metadata = path.symlink_metadata().expect("it is there");
    if !metadata.is_dir() {
        return metadata.len();
    }
    std::fs::read_dir(path).expect("a folder").map(|entry| size(&entry.expect("an entry").path())).sum()
}

// ---- ours ----

fn child(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(work);
}

fn create(place: &Path) {
    child(async {
        let store = Arc::new(LocalStore::open(place).await.expect("the folder opens"));
        Repository::create(store, &"bench".to_owned().into(), KeyCost::default())
            .await
            .expect("the repository is made");
    });
}

async fn open(place: &Path) -> Repository {
    let store = Arc::new(LocalStore::open(place).await.expect("the folder opens"));
    Repository::open(store, &"bench".to_owned().into()).await.expect("the repository opens")
}

async fn ingest(tree: PathBuf, place: PathBuf) {
    let start = Instant::now();
    let repository = open(&place).await;
    let opened = start.elapsed();
    let writer = repository.writer(WriterOptions::default());
    let reading = writer.clone();
    let runtime = tokio::runtime::Handle::current();
    let tree = tokio::task::spawn_blocking(move || store_folder(&runtime, &reading, &tree, &mut vec![0; 256 << 10]))
        .await
        .expect("it is stored");
    let stats = writer.finish().await.expect("all is stored");
    let snapshot = Snapshot::new(jiff::Timestamp::now(), tree);
    repository.save_snapshot(&snapshot).await.expect("the snapshot is saved");
    eprintln!("opened after {opened:?}, done after {:?}: {stats:?}", start.elapsed());
}

fn store_folder(runtime: &tokio::runtime::Handle, writer: &Writer, folder: &Path, buffer: &mut [u8]) -> TreeId {
    let mut entries: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry")).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut tree = Tree::default();
    for entry in entries {
        let kind = if entry.file_type().expect("a type").is_dir() {
            NodeKind::Dir { subtree: store_folder(runtime, writer, &entry.path(), buffer) }
        } else {
            let FileContent { blobs, bytes } = store_file(writer, &entry.path(), buffer);
            NodeKind::File { content: blobs, bytes }
        };
        tree.nodes.push(node(entry.file_name().into_encoded_bytes(), kind));
    }
    runtime.block_on(writer.tree(&tree)).expect("the tree is stored")
}

fn store_file(writer: &Writer, path: &Path, buffer: &mut [u8]) -> FileContent {
    let mut file = std::fs::File::open(path).expect("the file opens");
    let mut sink = writer.file();
    loop {
        match file.read(buffer).expect("the file is read") {
            0 => return sink.finish_blocking().expect("the file is stored"),
            n => sink.write_blocking(&buffer[..n]).expect("the bytes are taken"),
        }
    }
}

fn node(name: Vec<u8>, kind: NodeKind) -> Node {
    let (mtime_ns, atime_ns, ctime_ns) = (0, 0, 0);
    let (uid, gid, inode, device_id, links) = (0, 0, 1, 1, 1);
    let (user, group, extended_attributes) = (String::new(), String::new(), Vec::new());
    let mode = 0o644;
    Node {
        name,
        kind,
        mode,
        mtime_ns,
        atime_ns,
        ctime_ns,
        uid,
        gid,
        user,
        group,
        inode,
        device_id,
        links,
        extended_attributes,
    }
}

/// Reads every blob of the newest snapshot, in the order of the packs.
async fn fetch(place: PathBuf) {
    let repository = open(&place).await;
    let (_, snapshot) = repository.snapshots().await.expect("snapshots are listed").pop().expect("there is one");
    let mut folders = vec![snapshot.tree];
    let mut wanted = Vec::new();
    while let Some(folder) = folders.pop() {
        for node in repository.tree(&folder).await.expect("the tree is read").nodes {
            match node.kind {
                NodeKind::Dir { subtree } => folders.push(subtree),
                NodeKind::File { content, .. } => wanted.extend(content),
                _ => {}
            }
        }
    }
    let mut blobs = std::pin::pin!(repository.fetch(BlobKind::Data, wanted));
    let mut bytes = 0;
    while let Some(blob) = blobs.next().await {
        bytes += blob.expect("every blob is read").1.len();
    }
    eprintln!("{bytes} bytes");
}

// ---- the data ----

/// 380 MB of log lines and JSON, 260 MB of noise, 20,000 files of 0 to 16 KB: the same bytes each time.
fn generate(tree: &Path) {
    let mut random = SmallRng::seed_from_u64(42);
    let vocabulary = vocabulary(&mut random);
    for number in 0..12 {
        write_text(&folder(tree, "text").join(format!("{number}.log")), 32 << 20, &vocabulary, &mut random);
    }
    for number in 0..8 {
        write_noise(&folder(tree, "noise").join(format!("{number}.bin")), 32 << 20, &mut random);
    }
    for number in 0..20_000 {
        let path = folder(tree, &format!("small/{:03}", number / 100)).join(format!("{number}"));
        let bytes = random.random_range(0..16_000);
        if number % 4 == 0 {
            write_noise(&path, bytes, &mut random)
        } else {
            write_text(&path, bytes, &vocabulary, &mut random)
        }
    }
}

fn folder(tree: &Path, name: &str) -> PathBuf {
    let folder = tree.join(name);
    std::fs::create_dir_all(&folder).expect("the folder is made");
    folder
}

fn vocabulary(random: &mut SmallRng) -> Vec<String> {
    let word = |random: &mut SmallRng| {
        let letters = random.random_range(2..12);
        (0..letters).map(|_| char::from(b'a' + random.random_range(0..26_u8))).collect()
    };
    (0..5_000).map(|_| word(random)).collect()
}

fn write_text(path: &Path, bytes: usize, vocabulary: &[String], random: &mut SmallRng) {
    let mut out = BufWriter::new(std::fs::File::create(path).expect("the file is made"));
    let mut written = 0;
    while written < bytes {
        let mut line = format!(
            "2026-01-{:02}T{:02}:{:02}:{:02}Z {{\"id\":{},\"address\":\"10.{}.{}.{}\",\"text\":\"",
            random.random_range(1..29),
            random.random_range(0..24),
            random.random_range(0..60),
            random.random_range(0..60),
            random.random_range(0..10_000_000),
            random.random_range(0..4),
            random.random_range(0..256),
            random.random_range(0..256)
        );
        for _ in 0..random.random_range(4..20) {
            // few words are frequent, many are rare
            let rank = random.random::<f64>().powi(3) * vocabulary.len() as f64;
            line.push_str(&vocabulary[rank as usize]);
            line.push(' ');
        }
        line.push_str("\"}\n");
        out.write_all(line.as_bytes()).expect("it is written");
        written += line.len();
    }
}

fn write_noise(path: &Path, bytes: usize, random: &mut SmallRng) {
    let mut noise = vec![0; bytes];
    random.fill_bytes(&mut noise);
    std::fs::write(path, noise).expect("it is written");
}

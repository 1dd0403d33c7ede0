//! Files of every version that was ever read must be read for ever, with the same digest.

use std::path::{Path, PathBuf};

use drydock::data::redis::rdb::{self, Contents, KeyType, Settings};
use drydock::data::redis::{Digest, Manifest};

use crate::helpers::target;
use crate::support::redis::Redis;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/redis")
}

fn read(path: &Path, settings: &Settings) -> Contents {
    let file = std::fs::File::open(path).unwrap();
    rdb::read(file, settings).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn our_own_files_have_the_manifests_that_were_written_then() {
    for version in ["6.2", "7.0"] {
        let contents = read(&folder().join(format!("redis-{version}.rdb")), &Settings::default());
        let recorded = std::fs::read(folder().join(format!("redis-{version}.manifest.json"))).unwrap();
        let recorded = Manifest::parse(&recorded).unwrap();
        let now = Manifest::of(&contents, recorded.server.clone(), recorded.taken_from.clone(), recorded.instant);
        assert_eq!(now, recorded, "{}", serde_json::to_string_pretty(&now).unwrap());
    }
}

#[test]
fn a_manifest_of_a_later_format_is_refused_by_its_number() {
    let text = std::fs::read_to_string(folder().join("redis-7.0.manifest.json")).unwrap();
    let later = text.replace("\"formatVersion\": 1", "\"formatVersion\": 2");
    let error = Manifest::parse(later.as_bytes()).unwrap_err();
    assert_eq!(error, "manifest.json has format version 2; this program reads up to 1");
}

#[test]
fn files_of_other_versions_keep_their_digests() {
    let recorded = std::fs::read_to_string(folder().join("others/digests.txt")).unwrap();
    let mut now = String::new();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder().join("others")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "rdb")) {
        let contents = read(path, &Settings::default());
        let name = path.file_stem().unwrap().to_string_lossy();
        now += &format!("{name} {} keys {}\n", contents.keys(), Digest(contents.digest()));
    }
    assert_eq!(now, recorded);
    let stack = read(&folder().join("others/redis_stack_7_4_modules.rdb"), &Settings::default());
    assert!(stack.modules.contains_key("ReJSON-RL"), "{:?}", stack.modules);
    let newest = read(&folder().join("others/redis_8_6_all_types.rdb"), &Settings::default());
    assert_eq!(newest.databases[&0].types[&KeyType::Hash], 2);
    assert!(newest.databases[&0].expiring_fields > 1);
    assert_eq!(newest.functions.libraries, 1);
}

/// The judge of the old encodings: Redis 7.0 loads the file and writes it in its own.
#[test]
fn redis_reads_the_old_files_as_we_do() {
    let now = Settings { passed_at_ms: Some(1_700_000_000_000), streams: 1 };
    let mut judged = 0;
    for entry in std::fs::read_dir(folder().join("others")).unwrap() {
        let path = entry.unwrap().path();
        let is_rdb = path.extension().is_some_and(|e| e == "rdb");
        if !is_rdb || read(&path, &now).version.number > 10 {
            continue;
        }
        let mut server: Redis = target("7.0", &[]);
        server.kill();
        std::fs::copy(&path, server.dir().join("dump.rdb")).unwrap();
        server.restart();
        let again = read(&server.save(), &now);
        assert_eq!(again.databases, read(&path, &now).databases, "{}", path.display());
        judged += 1;
    }
    assert!(judged > 10, "{judged}");
}

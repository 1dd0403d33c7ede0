//! Taking a snapshot: what is stored is what the server holds, or there is a clear error.

use drydock::data::redis::rdb::{self, Checksum, KeyType, Settings};
use drydock::data::redis::{Digest, RedisError};
use drydock::failure::Failure;

use crate::helpers::{Store, spec, spec_with};
use crate::support::redis::{Redis, VERSIONS};

/// Both framings, both versions: the snapshot's RDB, put into an empty server's folder, gives the source's own digest.
#[tokio::test]
async fn a_snapshot_is_what_redis_itself_would_load() {
    let store = Store::new().await;
    for version in VERSIONS {
        for diskless in ["yes", "no"] {
            let settings = ["--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"];
            let source = Redis::start_with(version, &settings);
            source.torture();
            let captured = store.capture(&spec(source.port)).await.unwrap();
            let manifest = store.manifest(&captured.tree).await;
            assert_eq!(manifest.rdb.checksum, Checksum::Verified);
            assert!(manifest.server.starts_with(&format!("redis {version}")), "{}", manifest.server);
            assert_eq!(captured.digest, Some(manifest.digest.to_string()));

            let mut copy = Redis::start(version);
            copy.kill();
            std::fs::write(copy.dir().join("dump.rdb"), store.bytes(&captured.tree, "dump.rdb").await).unwrap();
            copy.restart();
            assert_eq!(copy.digest(), source.digest(), "{version}, diskless {diskless}");
            let keys: u64 = manifest.databases.iter().map(|database| database.keys).sum();
            assert_eq!(keys, captured.items);
            let by_server: u64 = [0, 1, 9, 15]
                .map(|db| copy.cli(&["-n", &db.to_string(), "dbsize"]).parse::<u64>().unwrap())
                .iter()
                .sum();
            assert_eq!(keys, by_server);
            assert_eq!(manifest.databases.iter().map(|d| d.number).collect::<Vec<_>>(), [0, 1, 9, 15]);
            for kind in
                [KeyType::String, KeyType::List, KeyType::Set, KeyType::SortedSet, KeyType::Hash, KeyType::Stream]
            {
                assert!(manifest.databases[0].types[&kind] > 2, "{kind}");
            }
            assert_eq!(manifest.databases[2].expiring_keys, 200);
            assert_eq!(manifest.functions.libraries, u64::from(version != "6.2"));
        }
    }
}

/// A server that loads a file and writes it again has changed encodings, order and ages, not content.
#[tokio::test]
async fn the_digest_survives_a_reload_and_an_upgrade() {
    let old = Redis::start("6.2");
    old.torture();
    let file = std::fs::read(old.save()).unwrap();
    let before = rdb::read(&file[..], &Settings::default()).unwrap();
    let settings = Settings { streams: before.version.streams(), ..Settings::default() };
    // Other limits: what was packed is a hashtable now, and the other way round.
    let limits = [
        "--hash-max-listpack-entries",
        "2",
        "--zset-max-listpack-entries",
        "1200",
        "--set-max-intset-entries",
        "1",
        "--list-max-listpack-size",
        "5",
    ];
    for (version, args) in [("6.2", &[][..]), ("7.0", &[][..]), ("7.0", &limits[..])] {
        let mut new = Redis::start_with(version, args);
        new.kill();
        std::fs::write(new.dir().join("dump.rdb"), &file).unwrap();
        new.restart();
        let again = std::fs::read(new.save()).unwrap();
        let after = rdb::read(&again[..], &settings).unwrap();
        assert_eq!(after.databases, before.databases, "{version}");
        assert_eq!(new.digest(), old.digest());
        // One member more is noticed in its database and nowhere else.
        new.cli(&["-n", "1", "sadd", "set:small", "c"]);
        let again = std::fs::read(new.save()).unwrap();
        let changed = rdb::read(&again[..], &settings).unwrap();
        assert_ne!(changed.databases[&1].digest, before.databases[&1].digest);
        assert_eq!(changed.databases[&0], before.databases[&0]);
    }
}

#[tokio::test]
async fn acl_users_are_kept_and_an_acl_login_suffices() {
    let store = Store::new().await;
    let source = Redis::start_with("7.0", &["--repl-diskless-sync-delay", "0"]);
    source.cli(&["acl", "setuser", "drydock", "on", ">secret", "+psync", "+replconf", "+info", "+ping"]);
    source.cli(&["acl", "setuser", "app", "on", ">other", "~app:*", "+@all"]);
    source.cli(&["set", "a", "1"]);
    let captured = store.capture(&spec(source.port)).await.unwrap();
    let acl = String::from_utf8(store.bytes(&captured.tree, "acl.txt").await).unwrap();
    assert_eq!(acl.lines().collect::<Vec<_>>(), source.cli(&["acl", "list"]).lines().collect::<Vec<_>>());
    assert!(acl.contains("user app on #"));

    let password = store.folder.path().join("redis-password");
    std::fs::write(&password, "secret\n").unwrap();
    let login = |user: &str| {
        let password = password.display();
        spec_with(&format!(
            "{{host: 127.0.0.1, port: {}, user: {user}, password: {{fromFile: {password}}}}}",
            source.port
        ))
    };
    let captured = store.capture(&login("drydock")).await.unwrap();
    assert_eq!(captured.items, 1);
    assert!(captured.notes.iter().any(|n| n.contains("drydock may not use ACL LIST")), "{:?}", captured.notes);

    let error = store.capture(&login("app")).await.unwrap_err();
    assert!(matches!(&error, RedisError::Login { user, .. } if user == "app"), "{error}");
    source.cli(&["acl", "setuser", "drydock", "-psync"]);
    let error = store.capture(&login("drydock")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("Redis at {} does not allow drydock to use PSYNC", source.address()));
    assert_eq!(error.hint().unwrap(), "on the server: `ACL SETUSER drydock +psync +replconf +info +ping`");

    source.cli(&["config", "set", "requirepass", "hidden"]);
    let error = store.capture(&spec(source.port)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("Redis at {} asks for a login and none is set", source.address()));
    assert_eq!(error.category().exit_code(), 2);
}

#[tokio::test]
async fn what_is_no_redis_with_data_is_refused_with_its_name() {
    let store = Store::new().await;
    let cluster = Redis::start_with("7.0", &["--cluster-enabled", "yes"]);
    let error = store.capture(&spec(cluster.port)).await.unwrap_err();
    assert!(matches!(error, RedisError::Cluster { .. }), "{error}");

    let port = crate::support::free_port();
    let error = store.capture(&spec(port)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to Redis at 127.0.0.1:{port}"));
    assert_eq!(error.category().exit_code(), 75);

    let orphan = Redis::start_with("7.0", &["--replicaof", &format!("127.0.0.1 {port}")]);
    let error = store.capture(&spec(orphan.port)).await.unwrap_err();
    assert!(error.to_string().contains(&format!("link to its primary 127.0.0.1:{port} is down")), "{error}");
}

/// A server without a checksum is taken, and said; a file of it that changes is noticed by the digest alone.
#[tokio::test]
async fn a_missing_checksum_is_said() {
    let store = Store::new().await;
    let source = Redis::start_with("7.0", &["--rdbchecksum", "no", "--repl-diskless-sync-delay", "0"]);
    source.cli(&["set", "a", "1"]);
    let captured = store.capture(&spec(source.port)).await.unwrap();
    let manifest = store.manifest(&captured.tree).await;
    assert_eq!(manifest.rdb.checksum, Checksum::Disabled);
    assert!(captured.notes.contains(&"the server writes no checksum (rdbchecksum no)".to_owned()));
    assert_ne!(manifest.digest, Digest(0));
}

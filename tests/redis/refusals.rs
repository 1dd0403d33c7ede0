//! What must not happen to a target: it is refused by name, and nothing of it has changed.

use drydock::context::Context;
use drydock::data::redis::{self, RedisError};
use drydock::failure::Failure;
use drydock::finding::Severity;

use crate::helpers::{EMPTY, OVER, Store, is_untouched, role, spec, spec_with, sum_again, target};
use crate::support::redis::Redis;
use crate::support::{Folder, Server, cache, free_port, give_away, wait_until};

/// A server with something in it.
fn precious(args: &[&str]) -> (Redis, String) {
    let server = target("7.0", args);
    server.cli(&["set", "former", "precious"]);
    let digest = server.digest();
    (server, digest)
}

#[tokio::test]
async fn a_damaged_rdb_never_reaches_the_target() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.torture();
    let point = store.capture(&spec(source.port)).await.unwrap().tree;
    let (goal, digest) = precious(&[]);
    let cx = Context::default();
    let restore = |tree| {
        let (repository, spec) = (store.repository.clone(), spec(goal.port));
        async move { redis::restore(&repository, &tree, &spec, &OVER, &Context::default()).await.unwrap_err() }
    };
    // A flipped bit: the checksum.
    let flipped = store.tampered(&point, |rdb| rdb[5000] ^= 1, false).await;
    let error = restore(flipped).await;
    assert!(matches!(error, RedisError::Rdb { .. }), "{error}");
    assert_eq!(error.category().exit_code(), 20);
    // Other content under a right checksum: the digest.
    let change = |rdb: &mut Vec<u8>| {
        let at = rdb.windows(8).position(|w| w == b"Catania\x02" || w.starts_with(b"Catania")).unwrap();
        rdb[at] = b'K';
        sum_again(rdb);
    };
    let changed = store.tampered(&point, change, false).await;
    let error = restore(changed).await;
    assert!(error.to_string().contains("its RDB is not the one of its manifest (database 0:"), "{error}");
    // What only Redis can notice: a library that is no Lua. The scratch server dies in place of the target.
    let change = |rdb: &mut Vec<u8>| {
        let at = rdb.windows(9).position(|w| w == b"return 42").unwrap();
        rdb[at..at + 9].copy_from_slice(b"retorn((2");
        sum_again(rdb);
    };
    let poisoned = store.tampered(&point, change, true).await;
    let error = restore(poisoned).await;
    assert!(matches!(error, RedisError::Scratch { .. }), "{error}");
    assert!(error.to_string().contains("load the RDB: "), "{error}");
    is_untouched(&goal, &digest);
    redis::restore(&store.repository, &point, &spec(goal.port), &OVER, &cx).await.unwrap();
    assert_eq!(goal.digest(), source.digest());
}

#[tokio::test]
async fn targets_that_a_restore_would_hurt_are_refused_by_name() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.cli(&["-n", "15", "set", "a", "1"]);
    source.cli(&["debug", "populate", "20000", "key", "100"]);
    let point = store.capture(&spec(source.port)).await.unwrap().tree;
    let try_into = |port: u16| {
        let repository = store.repository.clone();
        async move {
            let (spec, cx) = (spec(port), Context::default());
            let planned = redis::plan_restore(&repository, &point, &spec, &OVER, &cx).await.unwrap_err();
            let restored = redis::restore(&repository, &point, &spec, &OVER, &cx).await.unwrap_err();
            (planned.to_string(), restored.to_string())
        }
    };

    let (primary, digest) = precious(&[]);
    let replica = target("7.0", &["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    wait_until("the replica", std::time::Duration::from_secs(10), || {
        replica.cli(&["info", "replication"]).contains("master_link_status:up")
    });
    let (planned, restored) = try_into(replica.port).await;
    assert!(
        restored.contains(&format!("it is a replica of 127.0.0.1:{}, which would overwrite", primary.port)),
        "{restored}"
    );
    assert_eq!(planned, restored);
    assert_eq!(role(&replica), "slave");
    // Its primary can be restored into; the replica is named.
    let preview =
        redis::plan_restore(&store.repository, &point, &spec(primary.port), &OVER, &Context::default()).await.unwrap();
    assert_eq!(preview.replicas, [format!("127.0.0.1:{}", replica.port)]);
    assert_eq!((preview.replaced_keys, preview.keys), (1, 20_001));
    is_untouched(&primary, &digest);

    let (few, digest) = precious(&["--databases", "15"]);
    let (_, restored) = try_into(few.port).await;
    assert!(restored.ends_with("it has no database 15, which the snapshot has"), "{restored}");
    is_untouched(&few, &digest);

    let (small, digest) = precious(&["--maxmemory", "2mb"]);
    let (planned, restored) = try_into(small.port).await;
    assert!(planned.contains("bytes of memory, and it may use 2097152"), "{planned}");
    assert!(restored.contains("bytes of memory, and it may use 2097152"), "{restored}");
    is_untouched(&small, &digest);

    let (renamed, digest) = precious(&["--rename-command", "REPLICAOF", "", "--rename-command", "SLAVEOF", ""]);
    let (_, restored) = try_into(renamed.port).await;
    assert!(restored.contains("its command REPLICAOF is renamed or switched off"), "{restored}");
    is_untouched(&renamed, &digest);

    let (denied, digest) = precious(&[]);
    denied.cli(&["acl", "setuser", "default", "-replicaof"]);
    let (_, restored) = try_into(denied.port).await;
    assert!(restored.ends_with("does not allow the default user to use REPLICAOF"), "{restored}");
    is_untouched(&denied, &digest);

    let cluster = target("7.0", &["--cluster-enabled", "yes"]);
    assert!(try_into(cluster.port).await.1.contains("is a node of a cluster"));
}

/// Under Sentinel a snapshot comes from a replica, so that no Sentinel learns of it, and nothing is restored.
#[tokio::test]
async fn sentinel_neither_learns_of_a_snapshot_nor_is_surprised_by_a_restore() {
    let store = Store::new().await;
    let (primary, digest) = precious(&[]);
    let alone = store.capture(&spec(primary.port)).await.unwrap();
    let replica = target("7.0", &["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let sentinel = Sentinel::start(primary.port);
    wait_until("the Sentinel", std::time::Duration::from_secs(30), || {
        primary.cli(&["pubsub", "numsub", "__sentinel__:hello"]).ends_with("\n1")
            && replica.cli(&["info", "replication"]).contains("master_link_status:up")
            && primary.cli(&["info", "replication"]).contains("state=online")
    });
    let captured = store.capture(&spec(primary.port)).await.unwrap();
    assert_eq!(captured.digest, alone.digest);
    assert_eq!(captured.warnings, [] as [String; 0]);
    let note = &captured.notes.iter().find(|note| note.starts_with("taken from the replica")).unwrap();
    assert!(
        note.contains(&format!("127.0.0.1:{}, because a Sentinel watches 127.0.0.1:{}", replica.port, primary.port))
    );
    assert!(store.manifest(&captured.tree).await.taken_from.ends_with("(replica)"));

    let error = redis::restore(&store.repository, &captured.tree, &spec(primary.port), &OVER, &Context::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("a Sentinel watches it"), "{error}");
    let error = store.capture(&spec(sentinel.port)).await.unwrap_err();
    assert!(matches!(error, RedisError::Sentinel { .. }), "{error}");
    let findings = redis::doctor("cache", &spec(primary.port), &Context::default()).await;
    assert!(
        findings.iter().any(|f| f.severity == Severity::Warning && f.detail.contains("a Sentinel watches it")),
        "{findings:?}"
    );
    assert!(
        findings.iter().any(|f| f.detail == format!("snapshots are taken from 127.0.0.1:{} (replica)", replica.port))
    );
    assert_eq!(primary.digest(), digest);
    let listed = sentinel.cli(&["sentinel", "replicas", "watched"]);
    assert_eq!(listed.lines().filter(|line| *line == "port").count(), 1, "{listed}");
}

struct Sentinel {
    port: u16,
    _server: Server,
    _folder: Folder,
}

impl Sentinel {
    fn start(primary: u16) -> Self {
        let (folder, port) = (Folder::new("sentinel"), free_port());
        let file = folder.path().join("sentinel.conf");
        let dir = folder.path().display();
        std::fs::write(&file, format!("port {port}\ndir {dir}\nsentinel monitor watched 127.0.0.1 {primary} 1\n"))
            .unwrap();
        give_away(folder.path());
        let args = [file.to_str().unwrap(), "--sentinel"];
        let server = Server::start(
            &cache().join("redis-server-7.0"),
            &args,
            &std::env::temp_dir().join(format!("drydock-test-{}-sentinel-log", std::process::id())),
        );
        Self { port, _server: server, _folder: folder }
    }

    fn cli(&self, args: &[&str]) -> String {
        crate::support::run(std::process::Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(args))
    }
}

#[tokio::test]
async fn doctor_says_what_is_missing_and_what_to_type() {
    let server = target("7.0", &["--repl-diskless-sync", "no", "--rdbchecksum", "no"]);
    server.cli(&["acl", "setuser", "drydock", "on", "nopass", "+info", "+ping", "+config", "+time"]);
    let spec =
        spec_with(&format!("{{host: 127.0.0.1, port: {}, user: drydock, password: {{fromEnv: HOME}}}}", server.port));
    let findings = redis::doctor("cache", &spec, &Context::default()).await;
    let problems: Vec<_> = findings.iter().filter(|f| f.severity == Severity::Problem).collect();
    assert_eq!(problems.len(), 1, "{findings:?}");
    assert!(problems[0].detail.contains("does not allow drydock to use REPLCONF"), "{problems:?}");
    assert_eq!(problems[0].fix.as_deref(), Some("on the server: `ACL SETUSER drydock +psync +replconf +info +ping`"));

    server.cli(&["acl", "setuser", "drydock", "+replconf", "+psync"]);
    let findings = redis::doctor("cache", &spec, &Context::default()).await;
    let severe =
        |s: Severity| findings.iter().filter(|f| f.severity == s).map(|f| f.detail.clone()).collect::<Vec<_>>();
    assert_eq!(severe(Severity::Problem), [] as [String; 0]);
    let warnings = severe(Severity::Warning).join("\n");
    for part in ["repl-diskless-sync is off", "rdbchecksum is off", "restore into this server would be refused"] {
        assert!(warnings.contains(part), "{warnings}");
    }
    assert!(findings[0].detail.starts_with("redis 7.0.15 at 127.0.0.1:"), "{findings:?}");
    // The question whether we may sync was no sync.
    assert!(server.cli(&["info", "stats"]).contains("sync_full:0"));

    let nowhere = spec_with("{host: 127.0.0.1, port: 1}");
    let findings = redis::doctor("cache", &nowhere, &Context::default()).await;
    assert!(findings[0].detail.contains("Connection refused"), "{findings:?}");
    let _ = EMPTY;
}

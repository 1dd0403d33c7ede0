//! Restores that crash, are cancelled, meet clocks, certificates and large data.

use std::time::Duration;

use drydock::context::Context;
use drydock::data::redis::{self, RedisError, RestoreOptions};
use drydock::failure::Failure;

use crate::helpers::{EMPTY, OVER, Store, is_untouched, spec, spec_with, target};
use crate::support::redis::Redis;
use crate::support::{Folder, free_port, give_away, run, wait_until};

/// Whether it keeps an append-only file or saves: what was restored is there after a crash.
#[tokio::test]
async fn what_was_restored_survives_a_crash_of_the_server() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.torture();
    let point = store.capture(&spec(source.port)).await.unwrap().tree;
    for args in [&["--appendonly", "yes"][..], &["--save", "3600 1"]] {
        let mut goal = target("7.0", args);
        goal.cli(&["set", "former", "1"]);
        goal.cli(&["save"]);
        let restored =
            redis::restore(&store.repository, &point, &spec(goal.port), &OVER, &Context::default()).await.unwrap();
        assert!(restored.comparison.holds());
        assert!(!restored.comparison.notes.iter().any(|note| note.contains("disk")), "{:?}", restored.comparison.notes);
        goal.kill();
        goal.restart();
        assert_eq!(goal.digest(), source.digest(), "{args:?}");
    }
}

/// Keys whose time passes between snapshot and restore are counted, and everything else must be there.
#[tokio::test]
async fn keys_whose_time_has_passed_are_allowed_for_and_no_others() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.cli(&["debug", "populate", "1000", "lasting", "10"]);
    for i in 0..50 {
        source.cli(&["set", &format!("brief:{i}"), "x", "px", &(2000 + i * 10).to_string()]);
    }
    source.cli(&["set", "brief:and-long", "x", "ex", "3600"]);
    let point = store.capture(&spec(source.port)).await.unwrap();
    assert_eq!(point.items, 1051);
    tokio::time::sleep(Duration::from_millis(2700)).await;
    let goal = target("7.0", &[]);
    let restored =
        redis::restore(&store.repository, &point.tree, &spec(goal.port), &EMPTY, &Context::default()).await.unwrap();
    assert_eq!(restored.expired_keys, 50);
    assert_eq!(restored.comparison.differences, []);
    assert_eq!(restored.comparison.compared["keys"], 1001);
    assert_eq!(goal.cli(&["exists", "brief:0", "brief:and-long"]), "1");

    // The same with one lasting key missing on the way: another snapshot's data under this one's manifest.
    source.cli(&["del", "lasting:7"]);
    let other = store.capture(&spec(source.port)).await.unwrap().tree;
    let file = store.folder.path().join("other.rdb");
    std::fs::write(&file, store.bytes(&other, "dump.rdb").await).unwrap();
    let comparison = redis::compare_rdb(&store.repository, &point.tree, &file).await.unwrap();
    assert_eq!(comparison.difference_count, 1);
    assert!(comparison.differences[0].expected.starts_with("1051 keys (1051 string; 51 expiring)"));
    let same = redis::compare_rdb(&store.repository, &other, &file).await.unwrap();
    assert!(same.holds());
}

/// A server that loads slowly and answers meanwhile; 20 MB do not fit into the sockets on the way to it.
fn slow_target() -> Redis {
    let goal = target("7.0", &["--key-load-delay", "1500", "--loading-process-events-interval-bytes", "1024"]);
    goal.cli(&["set", "former", "precious"]);
    goal
}

async fn large_point(store: &Store) -> drydock::repository::TreeId {
    let source = target("7.0", &["--rdbcompression", "no"]);
    source.cli(&["debug", "populate", "2000", "key", "10000"]);
    store.capture(&spec(source.port)).await.unwrap().tree
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_restore_leaves_a_primary_with_its_former_data() {
    let store = Store::new().await;
    let point = large_point(&store).await;
    let goal = slow_target();
    let digest = goal.digest();
    let cx = Context::default();
    let restore = {
        let (repository, spec, cx) = (store.repository.clone(), spec(goal.port), cx.clone());
        tokio::spawn(async move { redis::restore(&repository, &point, &spec, &OVER, &cx).await })
    };
    tokio::task::block_in_place(|| {
        wait_until("the load", Duration::from_secs(30), || goal.cli(&["info", "persistence"]).contains("loading:1"));
    });
    cx.cancel.cancel();
    let error = restore.await.unwrap().unwrap_err();
    assert!(matches!(error, RedisError::Cancelled), "{error}");
    assert_eq!(error.category().exit_code(), 130);
    goal.cli(&["config", "set", "key-load-delay", "0"]);
    is_untouched(&goal, &digest);
    assert_eq!(goal.cli(&["get", "former"]), "precious");
    let restored =
        redis::restore(&store.repository, &point, &spec(goal.port), &OVER, &Context::default()).await.unwrap();
    assert!(restored.comparison.holds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_dies_on_the_way_is_said_and_a_cancelled_snapshot_stores_nothing() {
    let store = Store::new().await;
    let point = large_point(&store).await;
    let mut goal = slow_target();
    let restore = {
        let (repository, spec) = (store.repository.clone(), spec(goal.port));
        tokio::spawn(async move { redis::restore(&repository, &point, &spec, &OVER, &Context::default()).await })
    };
    tokio::task::block_in_place(|| {
        wait_until("the load", Duration::from_secs(30), || goal.cli(&["info", "persistence"]).contains("loading:1"));
    });
    goal.kill();
    let error = restore.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, RedisError::StillReplica { first, .. } if matches!(**first, RedisError::Sync { .. })),
        "{error}"
    );
    assert_eq!(error.category().exit_code(), 30);

    let source = target("7.0", &["--rdb-key-save-delay", "1000"]);
    source.cli(&["debug", "populate", "100000", "key", "10"]);
    let cx = Context::default();
    let cancel = cx.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    });
    let error = store.capture_with(&spec(source.port), &cx).await.unwrap_err();
    assert!(matches!(error, RedisError::Cancelled), "{error}");
    tokio::task::block_in_place(|| {
        wait_until("the end of the fork", Duration::from_secs(10), || {
            source.cli(&["info", "persistence"]).contains("rdb_bgsave_in_progress:0")
        });
    });
}

/// kill -9 cannot be undone by us: the next restore sees whose replica the target is.
#[tokio::test]
async fn what_a_killed_drydock_has_left_is_put_right_by_the_next() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.torture();
    let point = store.capture(&spec(source.port)).await.unwrap().tree;
    let goal = target("7.0", &[]);
    goal.cli(&["config", "set", "repl-diskless-load", "swapdb"]);
    goal.cli(&["replicaof", "127.0.0.1", "46478"]);
    let findings = redis::doctor("cache", &spec(goal.port), &Context::default()).await;
    assert!(findings.iter().any(|f| f.detail.contains("a killed drydock has left this server")), "{findings:?}");
    let restored =
        redis::restore(&store.repository, &point, &spec(goal.port), &OVER, &Context::default()).await.unwrap();
    assert!(restored.comparison.holds());
    assert!(restored.comparison.notes.iter().any(|note| note.starts_with("a killed drydock had left")));
    is_untouched(&goal, &source.digest());
    // A replica of anybody else stays one.
    goal.cli(&["replicaof", "127.0.0.1", "6"]);
    let error =
        redis::restore(&store.repository, &point, &spec(goal.port), &OVER, &Context::default()).await.unwrap_err();
    assert!(error.to_string().contains("it is a replica of 127.0.0.1:6"), "{error}");
}

/// A server that logs in to its primaries is answered; missing users are set, those that are there where asked, our own
/// is left alone.
#[tokio::test]
async fn a_login_to_the_primary_and_users() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.cli(&["acl", "setuser", "app", "on", ">secret", "~app:*", "+get", "+set", "(~other:* +get)"]);
    source.cli(&["set", "app:a", "1"]);
    let point = store.capture(&spec(source.port)).await.unwrap().tree;
    let goal = target("7.0", &["--masterauth", "whatever", "--masteruser", "replicator"]);
    let restored =
        redis::restore(&store.repository, &point, &spec(goal.port), &EMPTY, &Context::default()).await.unwrap();
    assert_eq!((restored.acl_users, goal.cli(&["acl", "list"]).lines().count()), (1, 2), "the missing one is made");
    goal.cli(&["acl", "setuser", "app", "+del"]);
    let restored =
        redis::restore(&store.repository, &point, &spec(goal.port), &OVER, &Context::default()).await.unwrap();
    assert_eq!(restored.acl_users, 0);
    assert!(goal.cli(&["acl", "list"]).contains("+del"), "one that is there is left as it is");
    let options = RestoreOptions { allow_not_empty: true, acl: true };
    let restored =
        redis::restore(&store.repository, &point, &spec(goal.port), &options, &Context::default()).await.unwrap();
    assert_eq!(restored.comparison.differences, []);
    assert_eq!(restored.acl_users, 1);
    // SETUSER writes down a default and orders the commands anew; otherwise they are the same.
    let users = |server: &Redis| {
        let mut words: Vec<String> = server.cli(&["acl", "list"]).split([' ', '\n']).map(str::to_owned).collect();
        words.retain(|word| word != "sanitize-payload");
        words.sort();
        words
    };
    assert_eq!(users(&goal), users(&source));
    assert_eq!(goal.cli(&["--user", "app", "--pass", "secret", "--no-auth-warning", "get", "app:a"]), "1");
    assert!(restored.comparison.notes.iter().any(|n| n.contains("the user default is the one of this restore")));
}

struct Certificates(Folder);

impl Certificates {
    fn new() -> Self {
        let folder = Folder::new("certificates");
        let openssl = |args: &str| {
            run(std::process::Command::new("openssl").args(args.split(' ')).current_dir(folder.path()));
        };
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority");
        for name in ["server", "drydock"] {
            openssl(&format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            std::fs::write(folder.path().join("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost").unwrap();
            openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out {name}.pem"
            ));
        }
        give_away(folder.path());
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A server that takes TLS on `port`, asks its clients for a certificate, and replicates over TLS.
    fn server(&self, port: u16) -> Redis {
        let port = port.to_string();
        let (cert, key, ca) = (self.path("server.pem"), self.path("server.key"), self.path("ca.pem"));
        let args = [
            "--tls-port",
            &port,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-replication",
            "yes",
        ];
        target("7.0", &args)
    }
}

#[tokio::test]
async fn everything_works_over_tls_with_certificates_on_both_sides() {
    let store = Store::new().await;
    let certificates = Certificates::new();
    let (from, to) = (free_port(), free_port());
    let (source, goal) = (certificates.server(from), certificates.server(to));
    source.torture();
    let over_tls = |port: u16, mode: &str, more: &str| {
        spec_with(&format!(
            "{{host: 127.0.0.1, port: {port}, tls: {mode}, caFile: {}{more}}}",
            certificates.path("ca.pem")
        ))
    };
    let own =
        format!(", certFile: {}, keyFile: {}", certificates.path("drydock.pem"), certificates.path("drydock.key"));
    let point = store.capture(&over_tls(from, "verify-full", &own)).await.unwrap().tree;
    let restored =
        redis::restore(&store.repository, &point, &over_tls(to, "verify-full", &own), &EMPTY, &Context::default())
            .await
            .unwrap();
    assert!(restored.comparison.holds());
    assert_eq!(goal.digest(), source.digest());

    // No certificate: the server ends the handshake; over its plain port it is told why a restore cannot be.
    let error = store.capture(&over_tls(from, "require", "")).await.unwrap_err();
    assert!(matches!(error, RedisError::Tls { .. }), "{error}");
    assert!(error.hint().unwrap().contains("`certFile`"), "{error}");
    let error =
        redis::restore(&store.repository, &point, &spec(goal.port), &OVER, &Context::default()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("it replicates over TLS (tls-replication), and drydock has no certificate to show"),
        "{error}"
    );
    // Another authority.
    let other = Certificates::new();
    let own =
        format!(", certFile: {}, keyFile: {}", certificates.path("drydock.pem"), certificates.path("drydock.key"));
    let spec = spec_with(&format!(
        "{{host: 127.0.0.1, port: {from}, tls: verify-full, caFile: {}{own}}}",
        other.path("ca.pem")
    ));
    let error = store.capture(&spec).await.unwrap_err();
    assert!(matches!(error, RedisError::Tls { .. }), "{error}");
    assert_eq!(error.category().exit_code(), 2);
    // Plain words to a TLS port.
    let error = store.capture(&crate::helpers::spec(from)).await.unwrap_err();
    assert!(error.category().exit_code() == 75 || error.hint().unwrap().contains("`tls`"), "{error}");
}

/// The fork of a server lives while it sends, and every write of its clients costs it memory then: it must not wait for
/// a store that takes a fifth of what it sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_store_does_not_hold_the_server_back() {
    let source = target("7.0", &["--rdbcompression", "no"]);
    let fill = "for key = 1, 100 do local t = {} for i = 1, 5000 do t[i] = redis.sha1hex(key .. ':' .. i) end \
        redis.call('SET', 'noise' .. key, table.concat(t)) end";
    source.cli(&["eval", fill, "0"]);
    let store = Store::limited_to(2 << 20).await;
    let begun = std::time::Instant::now();
    let capture = {
        let (repository, spec) = (store.repository.clone(), spec(source.port));
        tokio::spawn(async move {
            let writer = repository.writer(crate::helpers::options());
            let captured = redis::capture(&spec, &writer, &Context::default()).await?;
            writer.finish().await?;
            Ok::<_, RedisError>(captured)
        })
    };
    let stat = |name: &str| {
        let info = source.cli(&["info"]);
        info.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':')?.parse::<u64>().ok()).unwrap()
    };
    tokio::task::block_in_place(|| {
        wait_until("the fork", Duration::from_secs(20), || stat("total_forks") == 1);
        wait_until("the end of the fork", Duration::from_secs(20), || stat("rdb_bgsave_in_progress") == 0);
    });
    let served = begun.elapsed();
    let captured = capture.await.unwrap().unwrap();
    let stored = begun.elapsed();
    println!("sent after {served:?}, stored after {stored:?}");
    assert!(captured.bytes >= 20_000_000);
    assert!(stored > 2 * served, "sent after {served:?}, stored after {stored:?}");
}

/// What is restored must outlive a restart; where it would not, a person has to know.
#[tokio::test]
async fn a_server_that_cannot_save_what_was_restored_is_warned_of() {
    let store = Store::new().await;
    let source = target("7.0", &[]);
    source.cli(&["set", "a", "1"]);
    let point = store.capture(&spec(source.port)).await.unwrap().tree;
    let goal = target("7.0", &["--save", "3600 1", "--dbfilename", "blocked"]);
    let folder = goal.cli(&["config", "get", "dir"]).lines().nth(1).unwrap().to_owned();
    std::fs::create_dir_all(format!("{folder}/blocked/by a folder")).unwrap();
    let restored =
        redis::restore(&store.repository, &point, &spec(goal.port), &EMPTY, &Context::default()).await.unwrap();
    assert!(restored.comparison.holds());
    let warned = restored.warnings.join("; ");
    assert!(warned.contains("did not save its RDB") && warned.contains("would bring the former data back"), "{warned}");
}

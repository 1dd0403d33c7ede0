//! What every store must do. Each function is one property.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use drydock::storage::{CreateIfAbsent, Created, SharedStore, StorageError, probe_create_if_absent};
use futures_util::future::join_all;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

fn random(seed: u64, bytes: usize) -> Bytes {
    let mut content = vec![0; bytes];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut content);
    content.into()
}

/// Cut into uneven parts, one of them empty.
fn parts(content: &Bytes) -> Vec<Bytes> {
    let (third, half) = (content.len() / 3, content.len() / 2);
    vec![content.slice(..third), Bytes::new(), content.slice(third..half), content.slice(half..)]
}

pub async fn what_was_put_comes_back(store: SharedStore) {
    for (n, size) in [0, 1, 2, 4095, 4096, 1 << 20, (16 << 20) + 17].into_iter().enumerate() {
        let (key, content) = (format!("data/{n}"), random(n as u64, size));
        store.put(&key, parts(&content)).await.unwrap();
        assert!(store.get(&key).await.unwrap() == content, "{size} bytes came back altered");
        let stat = store.stat(&key).await.unwrap().unwrap();
        assert_eq!((stat.key, stat.bytes), (key, size as u64));
        let age = jiff::Timestamp::now().duration_since(stat.modified).as_secs();
        assert!((-2..120).contains(&age), "modified {age} s ago");
    }
    // Shorter than before: nothing of the former shines through.
    store.put("data/6", vec![Bytes::from("short")]).await.unwrap();
    assert_eq!(store.get("data/6").await.unwrap(), "short");
}

pub async fn a_large_object_comes_back(store: SharedStore) {
    let content = random(7, (64 << 20) + 12_345);
    store.put("large", parts(&content)).await.unwrap();
    assert!(store.get("large").await.unwrap() == content);
    let border = (32 << 20) - 5..(32 << 20) + 5;
    assert_eq!(
        store.get_range("large", border.clone()).await.unwrap(),
        content[border.start as usize..border.end as usize]
    );
    assert_eq!(store.stat("large").await.unwrap().unwrap().bytes, content.len() as u64);
}

pub async fn ranges_are_exact(store: SharedStore) {
    let content = random(1, 10_000);
    store.put("data/ranges", vec![content.clone()]).await.unwrap();
    for range in [0..1, 0..10_000, 1..2, 9_999..10_000, 4_000..4_100, 5..5] {
        let expected = content.slice(range.start as usize..range.end as usize);
        assert_eq!(store.get_range("data/ranges", range.clone()).await.unwrap(), expected, "{range:?}");
    }
    for range in [0..10_001, 9_999..10_001, 10_000..10_001, 20_000..20_010] {
        match store.get_range("data/ranges", range.clone()).await {
            Err(StorageError::Truncated { key, expected, found, .. }) => {
                assert_eq!((key.as_str(), expected, found), ("data/ranges", range.end, 10_000));
            }
            other => panic!("{range:?}: {other:?}"),
        }
    }
    let error = store.get_range("data/none", 0..1).await.unwrap_err();
    assert!(matches!(error, StorageError::NotFound { .. }), "{error}");
}

pub async fn an_overwrite_is_seen_whole_or_not_at_all(store: SharedStore) {
    let contents = [random(1, 300_000), random(2, 1_000_000)];
    store.put("config", vec![contents[0].clone()]).await.unwrap();
    let writer = {
        let (store, contents) = (Arc::clone(&store), contents.clone());
        tokio::spawn(async move {
            for n in 0..20 {
                store.put("config", parts(&contents[n % 2])).await.unwrap();
            }
        })
    };
    let mut seen = [0, 0];
    while !writer.is_finished() {
        let there = store.get("config").await.unwrap();
        let which = contents.iter().position(|content| *content == there);
        seen[which.unwrap_or_else(|| panic!("{} bytes that nobody wrote", there.len()))] += 1;
    }
    writer.await.unwrap();
    assert!(seen[0] + seen[1] > 0);
}

pub async fn of_many_creations_one_wins(store: SharedStore) {
    for round in 0..8 {
        let key = format!("lease/{round}");
        let contents: Vec<Bytes> = (0..12).map(|n| random(n, 40)).collect();
        let racers = contents.iter().map(|content| {
            let (store, key, content) = (Arc::clone(&store), key.clone(), content.clone());
            tokio::spawn(async move { store.create(&key, content).await.unwrap() })
        });
        let told: Vec<Created> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<usize> = (0..12).filter(|n| told[*n] == Created::New).collect();
        assert_eq!(winners.len(), 1, "{told:?}");
        assert_eq!(store.get(&key).await.unwrap(), contents[winners[0]], "the object is not the winner's");
    }
    assert_eq!(store.list("lease/").await.unwrap().len(), 8, "the losers left something behind");
}

pub async fn a_creation_leaves_what_is_there(store: SharedStore) {
    store.put("stack.json", vec![Bytes::from("put")]).await.unwrap();
    assert_eq!(store.create("stack.json", "created".into()).await.unwrap(), Created::Exists);
    assert_eq!(store.get("stack.json").await.unwrap(), "put");
    assert_eq!(store.create("new.json", "created".into()).await.unwrap(), Created::New);
    assert_eq!(store.create("new.json", "again".into()).await.unwrap(), Created::Exists);
    assert_eq!(store.get("new.json").await.unwrap(), "created");
    store.delete("new.json").await.unwrap();
    assert_eq!(store.create("new.json", Bytes::new()).await.unwrap(), Created::New, "deleted is absent");
    assert_eq!(store.get("new.json").await.unwrap(), "");
}

pub async fn long_listings_are_complete(store: SharedStore) {
    assert_eq!(store.list("data/").await.unwrap(), [], "nothing is there yet");
    let expected: BTreeMap<String, u64> =
        (0..1_100u64).map(|n| (format!("data/{:02x}/{n:05}", n % 7), n % 5)).collect();
    let keys: Vec<(String, u64)> = expected.clone().into_iter().collect();
    for some in keys.chunks(64) {
        let puts = some.iter().map(|(key, bytes)| store.put(key, vec![random(0, *bytes as usize)]));
        join_all(puts).await.into_iter().for_each(Result::unwrap);
    }
    store.put("database", vec![]).await.unwrap();
    store.put("other/data/x", vec![]).await.unwrap();
    let list = async |prefix: &str| -> BTreeMap<String, u64> {
        let found = store.list(prefix).await.unwrap();
        let count = found.len();
        let found: BTreeMap<_, _> = found.into_iter().map(|object| (object.key, object.bytes)).collect();
        assert_eq!(found.len(), count, "a key was listed twice");
        found
    };
    let only = |prefix: &str| expected.clone().into_iter().filter(|(key, _)| key.starts_with(prefix)).collect();
    assert_eq!(list("data/").await, expected);
    assert_eq!(list("data/03/").await, only("data/03/"));
    assert_eq!(list("data/03/00").await, only("data/03/00"), "a prefix may end inside a name");
    assert_eq!(list("data").await.len(), expected.len() + 1, "`database` begins so too");
    assert_eq!(list("").await.len(), expected.len() + 2);
    assert_eq!(list("nothing/").await, BTreeMap::new());
}

pub async fn odd_keys_are_kept(store: SharedStore) {
    let long = "n".repeat(255);
    let keys = [
        "with space/and more",
        "plus+and&amp=equals",
        "per%20cent%2Fslash",
        "hash#question?star*",
        "quote\"s'and`back",
        "ümläut/日本語/🙂",
        ".hidden",
        "a..b",
        "tilde~^caret",
        "<tag>",
        "[brackets]{braces}|pipe",
        "semi;colon:comma,",
        "-dash",
        "@at$dollar!",
        long.as_str(),
    ];
    for key in keys {
        store.put(key, vec![Bytes::from(key.to_owned())]).await.unwrap_or_else(|error| panic!("{error}"));
    }
    for key in keys {
        assert_eq!(store.get(key).await.unwrap_or_else(|error| panic!("{error}")), key.as_bytes());
        assert_eq!(store.stat(key).await.unwrap().map(|object| object.key).as_deref(), Some(key));
        let below = store.list(key).await.unwrap();
        assert_eq!(below.len(), 1, "listing {key:?}: {below:?}");
    }
    let mut listed: Vec<String> = store.list("").await.unwrap().into_iter().map(|object| object.key).collect();
    let mut expected = keys.map(str::to_owned).to_vec();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    for key in keys {
        store.delete(key).await.unwrap();
    }
    assert_eq!(store.list("").await.unwrap(), []);
}

pub async fn deleting_twice_is_fine(store: SharedStore) {
    store.put("locks/1", vec![Bytes::from("one")]).await.unwrap();
    store.put("locks/2", vec![Bytes::from("two")]).await.unwrap();
    store.delete("locks/1").await.unwrap();
    store.delete("locks/1").await.unwrap();
    store.delete("never/was").await.unwrap();
    assert_eq!(store.stat("locks/1").await.unwrap(), None);
    assert_eq!(store.get("locks/2").await.unwrap(), "two");
}

pub async fn what_is_not_there_is_not_found(store: SharedStore) {
    assert_eq!(store.stat("repository/config").await.unwrap(), None);
    let error = store.get("repository/config").await.unwrap_err();
    assert_eq!(error.to_string(), format!("{}/repository/config does not exist", store.location()));
    assert!(matches!(error, StorageError::NotFound { .. }));
    store.put("repository/data/ab/abc", vec![]).await.unwrap();
    // A folder is not an object.
    assert_eq!(store.stat("repository/data").await.unwrap(), None);
    assert_eq!(store.list("repository/data/ab/abcd").await.unwrap(), []);
}

pub async fn many_at_once_do_not_mix(store: SharedStore) {
    let tasks = (0..48u64).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let (key, content) = (format!("data/{:02x}/{n}", n % 5), random(n, 50_000 + n as usize));
            store.put(&key, parts(&content)).await.unwrap();
            assert!(store.get(&key).await.unwrap() == content, "{key} is another's");
            assert_eq!(store.get_range(&key, n..n + 100).await.unwrap(), content[n as usize..n as usize + 100]);
            if n % 2 == 0 {
                store.delete(&key).await.unwrap();
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(Result::unwrap);
    assert_eq!(store.list("data/").await.unwrap().len(), 24);
}

pub async fn create_if_absent_is_honoured(store: SharedStore) {
    assert_eq!(probe_create_if_absent(&*store).await.unwrap(), CreateIfAbsent::Honoured);
    assert_eq!(store.list("").await.unwrap(), [], "the probe left something behind");
}

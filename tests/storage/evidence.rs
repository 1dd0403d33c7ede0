//! The chain of evidence on every store, also where answers are lost on their way.

use drydock::evidence::{Chain, LinkDigest, Record, SigningKey, Trust};
use jiff::Timestamp;

use crate::stores::{self, Place};

const RECORD: &str = include_str!("../fixtures/formats/evidence-record-1.json");
const WRITERS: u64 = 6;
const EACH: u64 = 3;

/// Writers that know nothing of each other, each with some runs; whoever is told of a failure tries the same run again.
async fn writers_race(place: Place) {
    let chain = Chain::new(place.store.clone(), "shop".parse().unwrap());
    let pem = SigningKey::generate().unwrap().to_pem().unwrap();
    let write = |writer: u64| {
        let (chain, key) = (chain.clone(), SigningKey::from_pem(&pem).unwrap());
        async move {
            let mut written: Vec<(u64, LinkDigest)> = Vec::new();
            for n in 0..EACH {
                let run = format!("drill-{writer}-{n}");
                let record = Record { run, ..serde_json::from_str(RECORD).unwrap() };
                let appended = chain.append(&record, &key, Timestamp::now()).await.unwrap();
                let again = chain.append(&record, &key, Timestamp::now()).await.unwrap();
                assert_eq!((again.number, again.digest, again.new), (appended.number, appended.digest, false));
                written.push((appended.number, appended.digest));
            }
            written
        }
    };
    let mut told = Vec::new();
    for writer in (0..WRITERS).map(|writer| tokio::spawn(write(writer))).collect::<Vec<_>>() {
        told.extend(writer.await.unwrap());
    }
    told.sort_unstable_by_key(|(number, _)| *number);
    let examined = chain.examine(None, &Trust::Published, &[]).await.unwrap();
    assert_eq!(examined.faults(), Vec::<String>::new());
    let there: Vec<(u64, LinkDigest)> = examined.entries.iter().map(|entry| (entry.number, entry.digest)).collect();
    assert_eq!(there, told, "nobody was told of a record that is not there, none is there of which nobody was told");
    assert_eq!(there.len() as u64, WRITERS * EACH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_folder() {
    writers_race(stores::local().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_folder_that_fails_now_and_then() {
    writers_race(stores::local_decorated().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_s3() {
    writers_race(stores::s3().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_s3_that_fails_now_and_then() {
    writers_race(stores::s3_decorated().await).await;
}

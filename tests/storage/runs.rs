//! Which runs there are, on a bucket that lists by the beginning of a name alone.

use std::time::Instant;

use drydock::run::journal::ObjectJournals;
use drydock::run::{Entry, Journals, RunId};
use drydock::status::{newest_first, read_runs};
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use crate::stores::{self, Place};

/// Hourly snapshots of so many hours, each a journal of six objects.
const HOURS: i64 = 100;

async fn the_newest_are_found_without_listing_all(place: Place) {
    let journal = include_str!("../fixtures/formats/run-journal-2.jsonl");
    let entries: Vec<Entry> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (stack, now) = ("shop".parse().unwrap(), "2026-11-23T12:30:00Z".parse::<Timestamp>().unwrap());
    let id = |kind: &str, at: Timestamp, what: &str| -> RunId {
        format!("{kind}-shop-{}-{what}", at.strftime("%Y%m%dt%H%M%Sz")).parse().unwrap()
    };
    let hours = (0..HOURS).map(|hour| id("snapshot", now - SignedDuration::from_hours(hour), "hourly"));
    let rare = [
        id("drill", now - SignedDuration::from_hours(24 * 20), "weekly"),
        id("check", now - SignedDuration::from_hours(24 * 400), "yearly"),
    ];
    let runs: Vec<RunId> = hours.chain(rare.clone()).collect();
    let journals = ObjectJournals::new(place.store.clone());
    let write = |run: RunId| {
        let (journals, entries) = (journals.clone(), &entries);
        async move {
            let mut journal = journals.begin(&run, &entries[0]).await.unwrap().unwrap();
            for entry in &entries[1..] {
                journal.append(entry).await.unwrap();
            }
        }
    };
    stream::iter(runs.clone()).for_each_concurrent(32, write).await;

    let begun = Instant::now();
    let mut all = journals.list().await.unwrap();
    let listed = begun.elapsed();
    newest_first(&mut all);
    assert_eq!(all, runs, "the newest first");

    let begun = Instant::now();
    let mut recent = journals.recent(&stack, now).await.unwrap();
    let looked = begun.elapsed();
    newest_first(&mut recent);
    assert_eq!(recent[..24], runs[..24]);
    assert_eq!(recent[recent.len() - 2..], rare);
    assert!(recent.len() < 60, "{} are not the newest alone", recent.len());

    let begun = Instant::now();
    let read = read_runs(&journals, recent[..24].to_vec()).await.unwrap();
    println!(
        "{} runs: all listed in {listed:?}, the newest in {looked:?}, 24 of them read in {:?}",
        all.len(),
        begun.elapsed()
    );
    assert!(read.iter().all(|one| one.state.as_ref().unwrap().outcome.is_some()));
    assert_eq!(read.len(), 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_folder_as_if_it_were_a_bucket() {
    the_newest_are_found_without_listing_all(stores::local().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_s3() {
    the_newest_are_found_without_listing_all(stores::s3().await).await;
}

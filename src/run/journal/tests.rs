//! One suite over both kinds of journal, and what only a file can show.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::event::{Entry, Event, Outcome};
use super::super::plan::{Phase, Plan, PlannedStep, RunId, StepKind};
use super::super::tests::memory_folder;
use super::*;
use crate::storage::LocalStore;

fn run(text: &str) -> RunId {
    text.parse().unwrap()
}

fn story() -> Vec<Entry> {
    let step = PlannedStep {
        name: "take".into(),
        kind: StepKind::Reversible,
        parameters: serde_json::json!({"data": ["db"]}),
    };
    let plan = Plan::new("snapshot", &"shop".parse().unwrap(), vec![Phase { name: "take".into(), steps: vec![step] }]);
    let events = [
        Event::Accepted { digest: plan.digest(), plan, by: "root@papg-0".into(), tool: "drydock 0.1.0".into() },
        Event::Adopted { holder: "PID 7 on papg-0".into(), token: 3, tool: "drydock 0.1.0".into() },
        Event::Intended { step: "take".into(), attempt: 1 },
        Event::Applied { step: "take".into(), output: serde_json::json!({"point": "3f9a"}) },
        Event::Verified { step: "take".into() },
        Event::Finished { outcome: Outcome::Succeeded },
    ];
    let time = Timestamp::from_second(1_800_000_000).unwrap();
    (0..)
        .zip(events)
        .map(|(number, event)| Entry { nonce: format!("{number:016x}"), ..Entry::new(number, time, event) })
        .collect()
}

async fn both() -> (tempfile::TempDir, Vec<Box<dyn Journals>>) {
    let folder = memory_folder();
    let store: SharedStore = Arc::new(LocalStore::create(folder.path().join("store")).await.unwrap());
    let journals = vec![beside(&store, None), beside(&store, Some(folder.path().join("local")))];
    (folder, journals)
}

#[tokio::test]
async fn what_was_appended_is_read_back_in_order_and_a_run_begins_once() {
    let (_folder, both) = both().await;
    for journals in both {
        let (id, story) = (run("snapshot-shop-1"), story());
        assert!(journals.list().await.unwrap().is_empty());
        assert!(journals.read(&id).await.unwrap().is_none() && journals.open(&id).await.unwrap().is_none());
        let mut journal = journals.begin(&id, &story[0]).await.unwrap().unwrap();
        let again = Entry::new(0, story[0].time, story[0].event.clone());
        assert!(journals.begin(&id, &again).await.unwrap().is_none(), "it was begun");
        for (number, entry) in story.iter().enumerate().skip(1) {
            assert_eq!(journals.read(&id).await.unwrap().unwrap(), story[..number]);
            journal.append(entry).await.unwrap();
        }
        drop(journal);
        let (entries, _journal) = journals.open(&id).await.unwrap().unwrap();
        assert_eq!(entries, story);
        journals.begin(&run("drill-shop-2"), &story[0]).await.unwrap().unwrap();
        let mut listed = journals.list().await.unwrap();
        listed.sort();
        assert_eq!(listed, [run("drill-shop-2"), id.clone()]);
        journals.remove(&id).await.unwrap();
        journals.remove(&id).await.unwrap();
        assert_eq!(journals.list().await.unwrap(), [run("drill-shop-2")]);
    }
}

#[tokio::test]
async fn the_newest_of_each_kind_are_among_the_recent_however_rare_it_is() {
    let (_folder, both) = both().await;
    let (stack, now) = ("shop".parse().unwrap(), "2026-12-01T00:10:00Z".parse().unwrap());
    let newest = [
        "snapshot-shop-20261201t000000z-hourly",
        "snapshot-shop-20261130t230000z-hourly",
        "drill-shop-20261129t043000z-weekly",
        "check-shop-20260101t053000z-yearly",
    ];
    let older = ["snapshot-shop-20261128t000000z-hourly", "drill-shop-20251122t043000z-weekly"];
    for journals in both {
        let foreign = "snapshot-shop2-20261201t000000z-hourly";
        for id in newest.iter().chain(&older).chain([&foreign]) {
            journals.begin(&run(id), &story()[0]).await.unwrap().unwrap();
        }
        let mut recent = journals.recent(&stack, now).await.unwrap();
        recent.sort();
        for id in newest {
            assert!(recent.contains(&run(id)), "{id} is not in {recent:?}");
        }
    }
}

#[tokio::test]
async fn of_two_writers_one_is_told() {
    let (_folder, both) = both().await;
    for journals in both {
        let (id, story) = (run("snapshot-shop-1"), story());
        let mut one = journals.begin(&id, &story[0]).await.unwrap().unwrap();
        let told = match journals.open(&id).await {
            // a file tells when it is opened …
            Err(error) => error,
            // … and a bucket when the same entry is written
            Ok(other) => {
                let mut other = other.unwrap().1;
                one.append(&story[1]).await.unwrap();
                other.append(&Entry::new(1, story[1].time, story[1].event.clone())).await.unwrap_err()
            }
        };
        assert!(matches!(told, RunError::Contended { .. }), "{told}");
    }
}

#[tokio::test]
async fn of_many_that_begin_one_run_at_once_one_wins() {
    let (_folder, both) = both().await;
    for journals in both {
        let (id, story) = (run("snapshot-shop-1"), story());
        let firsts: Vec<Entry> = (0..8).map(|_| Entry::new(0, story[0].time, story[0].event.clone())).collect();
        let begun = futures_util::future::join_all(firsts.iter().map(|first| journals.begin(&id, first))).await;
        let winners: Vec<usize> = (0..8).filter(|n| begun[*n].as_ref().unwrap().is_some()).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(journals.read(&id).await.unwrap().unwrap(), [firsts[winners[0]].clone()]);
    }
}

#[tokio::test]
async fn a_torn_last_line_never_counted_and_a_damaged_one_in_the_middle_is_refused() {
    let folder = memory_folder();
    let journals = FileJournals::new(folder.path().into());
    let (id, story) = (run("snapshot-shop-1"), story());
    let path = folder.path().join("snapshot-shop-1.jsonl");
    let whole: Vec<u8> = story.iter().flat_map(|entry| [json(entry), b"\n".to_vec()].concat()).collect();
    let lines: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    for cut in lines[0]..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let expected = lines.iter().filter(|end| **end <= cut).count();
        assert_eq!(journals.read(&id).await.unwrap().unwrap(), story[..expected], "cut at {cut}");
        let (entries, mut journal) = journals.open(&id).await.unwrap().unwrap();
        assert_eq!(entries, story[..expected]);
        if let Some(next) = story.get(expected) {
            journal.append(next).await.unwrap();
            assert_eq!(journals.read(&id).await.unwrap().unwrap(), story[..=expected], "cut at {cut}");
        }
    }
    let mut damaged = whole.clone();
    damaged[lines[1] + 2] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let said = journals.read(&id).await.unwrap_err();
    assert!(matches!(&said, RunError::Damaged { reason, .. } if reason.starts_with("line 3: ")), "{said:?}");
}

#[tokio::test]
async fn a_gap_or_a_newer_entry_is_refused() {
    let folder = memory_folder();
    let store: SharedStore = Arc::new(LocalStore::create(folder.path().join("store")).await.unwrap());
    let journals = ObjectJournals::new(store.clone());
    let (id, story) = (run("snapshot-shop-1"), story());
    let mut journal = journals.begin(&id, &story[0]).await.unwrap().unwrap();
    journal.append(&story[1]).await.unwrap();
    journal.append(&story[2]).await.unwrap();
    store.delete("runs/snapshot-shop-1/000001.json").await.unwrap();
    let said = journals.read(&id).await.unwrap_err().to_string();
    assert!(said.ends_with("its entry 1 is missing"), "{said}");
    let newer = String::from_utf8(json(&story[1])).unwrap().replace("\"formatVersion\":2", "\"formatVersion\":3");
    store.put("runs/snapshot-shop-1/000001.json", vec![newer.into()]).await.unwrap();
    let said = journals.read(&id).await.unwrap_err().to_string();
    assert!(said.contains("it has format version 3, this program knows 2"), "{said}");
}

#[test]
fn the_committed_journal_of_format_2_is_read_and_written_for_ever() {
    let text = include_str!("../../../tests/fixtures/formats/run-journal-2.jsonl");
    let read: Vec<Entry> = text.lines().map(|line| parse(line.as_bytes()).unwrap()).collect();
    assert_eq!(read, story());
    let written: String = story().iter().map(|entry| String::from_utf8(json(entry)).unwrap() + "\n").collect();
    assert_eq!(written, text);
}

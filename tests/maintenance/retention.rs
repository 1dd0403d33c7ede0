//! What we keep is what restic would keep.

use std::collections::BTreeMap;

use drydock::repository::forget::{Candidate, Policy, decide};
use drydock::repository::{Snapshot, Tree, WriterOptions};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::Place;

/// Snapshots of the last years: bursts of minutes, days and months.
fn times(random: &mut StdRng, now: Timestamp) -> Vec<Timestamp> {
    let spans = [7_200, 86_400 * 3, 86_400 * 40, 86_400 * 1_200];
    let one = |random: &mut StdRng| {
        let span = spans[random.random_range(0..spans.len())];
        now - SignedDuration::from_secs(random.random_range(60..span))
            - SignedDuration::from_nanos(random.random_range(0..999))
    };
    (0..60).map(|_| one(random)).collect()
}

/// A policy and the flags that say it to restic.
fn policy(random: &mut StdRng) -> (Policy, Vec<String>) {
    let mut policy = Policy::default();
    let mut flags = Vec::new();
    for (name, field) in [
        ("last", &mut policy.last),
        ("hourly", &mut policy.hourly),
        ("daily", &mut policy.daily),
        ("weekly", &mut policy.weekly),
        ("monthly", &mut policy.monthly),
        ("yearly", &mut policy.yearly),
    ] {
        if random.random_bool(0.4) {
            *field = random.random_range(1..8);
            flags.extend([format!("--keep-{name}"), field.to_string()]);
        }
    }
    for (name, field) in [
        ("within", &mut policy.within),
        ("within-hourly", &mut policy.within_hourly),
        ("within-daily", &mut policy.within_daily),
        ("within-weekly", &mut policy.within_weekly),
        ("within-monthly", &mut policy.within_monthly),
        ("within-yearly", &mut policy.within_yearly),
    ] {
        if random.random_bool(0.25) {
            let text = format!(
                "{}y{}m{}d{}h",
                random.random_range(0..3),
                random.random_range(0..14),
                random.random_range(0..40),
                random.random_range(1..30)
            );
            *field = Some(text.parse().unwrap());
            flags.extend([format!("--keep-{name}"), text]);
        }
    }
    if random.random_bool(0.3) {
        policy.tags = vec![vec!["a".into(), "b".into()], vec!["c".into()]];
        flags.extend(["--keep-tag", "a,b", "--keep-tag", "c"].map(str::to_owned));
    }
    (policy, flags)
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_policies_keep_what_restic_keeps_for_the_same_reasons() {
    let seed = 0x5eed;
    let random = &mut StdRng::seed_from_u64(seed);
    let place = Place::new("retention").await;
    let now = Timestamp::now();
    let writer = place.repository.writer(WriterOptions::default());
    let tree = writer.tree(&Tree::default()).await.unwrap();
    writer.finish().await.unwrap();
    let mut candidates = Vec::new();
    for time in times(random, now) {
        let tags: Vec<String> =
            ["a", "b", "c"].into_iter().filter(|_| random.random_bool(0.2)).map(Into::into).collect();
        let snapshot = Snapshot { tags: tags.clone(), ..Snapshot::new(time, tree) };
        let id = place.repository.save_snapshot(&snapshot).await.unwrap();
        candidates.push(Candidate { id: id.to_string(), time, tags, protected: vec![] });
    }
    for n in 0..16 {
        let (policy, flags) = policy(random);
        if !policy.has_keep_rules() {
            continue; // restic refuses that
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let args = [&["forget", "--dry-run", "--json", "--group-by", ""], &flags[..]].concat();
        let theirs = kept_by_restic(&place.restic().run(&args));
        let ours = decide(&policy, &candidates, now, &TimeZone::UTC);
        let ours: BTreeMap<String, Vec<String>> = ours
            .into_iter()
            .filter(|decision| decision.keep)
            .map(|decision| (decision.id, decision.reasons.iter().map(ToString::to_string).collect()))
            .collect();
        assert_eq!(ours, theirs, "policy {n} of seed {seed}: {flags:?}");
    }
}

/// The snapshots that restic keeps, and why: 0.14 lists the reasons in the order of what it keeps.
fn kept_by_restic(said: &str) -> BTreeMap<String, Vec<String>> {
    let said: serde_json::Value = serde_json::from_str(said).unwrap();
    let list = |name: &str| said[0][name].as_array().cloned().unwrap_or_default();
    let matches = |reason: &serde_json::Value| serde_json::from_value(reason["matches"].clone()).unwrap();
    let kept = list("keep").into_iter().zip(list("reasons"));
    kept.map(|(snapshot, reason)| (snapshot["id"].as_str().unwrap().to_owned(), matches(&reason))).collect()
}

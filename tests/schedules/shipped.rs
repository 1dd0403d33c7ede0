//! The documents in `schedules/`, which people begin with.

use std::path::Path;

use drydock::schedule::{ConcurrencyPolicy, load};

#[test]
fn every_schedule_that_ships_can_be_read_and_is_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let schedules = load(&folder).unwrap();
    let found: Vec<String> = schedules
        .iter()
        .map(|schedule| {
            let spec = &schedule.spec;
            let suspended = if spec.suspend { ", suspended" } else { "" };
            format!("{}: {} at {} {}{suspended}", schedule.name, spec.operation, spec.timing.cron, spec.timing.zone)
        })
        .collect();
    assert_eq!(
        found,
        [
            "hourly-snapshot: snapshot at @hourly UTC, suspended",
            "monthly-full-check: check --read-data at 30 5 1 * * UTC",
            "nightly-snapshot: snapshot at 15 2 * * * UTC",
            "retention: forget, prune at 45 6 * * * UTC",
            "weekly-drill: drill --point latest at 30 4 * * sun UTC",
        ]
    );
    for schedule in schedules {
        assert!(schedule.spec.stacks.is_none(), "{} fits every stack", schedule.name);
        let is_named = schedule.file.file_stem().unwrap().to_str() == Some(schedule.name.as_str());
        assert!(is_named, "{} lies in {}", schedule.name, schedule.file.display());
        let text = std::fs::read_to_string(&schedule.file).unwrap();
        assert!(text.starts_with("# ") && text.matches("# ").count() >= 3, "{} is explained", schedule.name);
        let waits = schedule.spec.concurrency_policy == ConcurrencyPolicy::Queue;
        assert!(waits || schedule.spec.starting_deadline.is_some(), "{}: an old instant is given up", schedule.name);
    }
}

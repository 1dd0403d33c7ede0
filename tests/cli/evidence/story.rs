//! A stack with a year of evidence in its store, appended as a drill would.

use std::sync::Arc;

use drydock::evidence::{Chain, Comparison, Difference, Disclosed, Kind, Outcome, Part, Reason, Record, SigningKey};
use drydock::storage::LocalStore;
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

const RECORD: &str = include_str!("../../fixtures/formats/evidence-record-1.json");
const SPEC: &str = "  data:\n  - {name: files, volume: {path: files}}\n  evidence: {key: {fromFile: evidence.pem}}\n";

/// What went wrong in which drill.
pub const FAILED: u64 = 17;
pub const LATE: u64 = 29;
/// It was no drill but the real thing.
pub const RESTORE: u64 = 33;

pub fn world(name: &str) -> World {
    let world = World::new(&format!("evidence-{name}"), SPEC);
    let made = world.run(&["evidence", "keygen", "--out", world.path("evidence.pem").to_str().unwrap()]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    world
}

pub fn key(world: &World) -> SigningKey {
    SigningKey::from_pem(&std::fs::read_to_string(world.path("evidence.pem")).unwrap().into()).unwrap()
}

/// Appends the records `1..=last`, one a week, the newest an hour ago.
pub fn tell(world: &World, last: u64) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(LocalStore::open(world.path("store")).await.unwrap());
        let (chain, key) = (Chain::new(store, "shop".parse().unwrap()), key(world));
        for number in 1..=last {
            let record = record(number, last);
            let appended = chain.append(&record, &key, record.finished).await.unwrap();
            assert_eq!((appended.number, appended.new), (number, true));
        }
    });
}

pub fn record(number: u64, last: u64) -> Record {
    let mut record: Record = serde_json::from_str(RECORD).unwrap();
    let weeks = (last - number).cast_signed();
    let started = Timestamp::now() - SignedDuration::from_hours(24 * 7 * weeks + 1);
    // Slowly more data, and no two nights are the same.
    let rto_ms = 38_000 + number * 260 + (number * 7_919) % 4_300;
    record.run = format!("drill-shop-{}-{number:08x}", started.strftime("%Y%m%dT%H%M%SZ"));
    record.started = started;
    record.finished = started + SignedDuration::from_millis(rto_ms.cast_signed() + 700);
    record.point.id = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    record.point.time = started - SignedDuration::from_hours(1);
    record.point.oldest_instant = record.point.time + SignedDuration::from_secs(1);
    record.point.newest_instant = record.point.time + SignedDuration::from_secs(4);
    for set in &mut record.data {
        set.instant = record.point.newest_instant;
        set.comparison.differences.clear();
        set.comparison.difference_count = 0;
    }
    record.data[0].comparison.compared.insert("rows".into(), 38_000 + number * 411);
    record.assertions[1].outcome = record.assertions[0].outcome;
    record.achieved.rto_ms = Some(rto_ms);
    record.achieved.rpo_ms = Some(3_600_000 + number * 1_000);
    record.objectives.rto_ms = Some(60_000);
    record.achieved.parts = [("db: fill", 58), ("db: compare", 21), ("uploads: fill", 12), ("assertions", 2)]
        .map(|(name, percent)| Part { name: Disclosed::word(name), ms: rto_ms * percent / 100 })
        .to_vec();
    (record.outcome, record.reasons) = (Outcome::Passed, vec![]);
    match number {
        FAILED => fail(&mut record),
        LATE => {
            record.achieved.rto_ms = Some(71_300);
            record.finished = started + SignedDuration::from_millis(72_000);
            record.reasons = vec![Reason::TooSlow { took_ms: 71_300, objective_ms: 60_000 }];
            record.outcome = Outcome::Late;
        }
        RESTORE => record.kind = Kind::Restore,
        _ => {}
    }
    record
}

fn fail(record: &mut Record) {
    let differs = |what: &str, expected: &str, found: &str| Difference {
        what: Disclosed::name(what),
        expected: Disclosed::measure(expected),
        found: Disclosed::measure(found),
    };
    let Comparison { differences, difference_count, .. } = &mut record.data[0].comparison;
    *differences = vec![
        differs("table public.messages", "9a40b3c15f1c77d2", "digest 5f1c77d29a40b3c1"),
        differs("table public.attachments", "1,204 rows", "1,203 rows"),
        differs("sequence public.users_id_seq", "41", "40, not called"),
    ];
    *difference_count = 3;
    record.reasons = vec![Reason::Differs { data: "db".parse().unwrap(), count: 3 }];
    record.outcome = Outcome::Failed;
}

//! Fixtures of every released version, read for ever.

use proptest::prelude::*;

use super::*;
use crate::failure::{Category, Failure};
use crate::point::versioned::read;

const POINT: &str = include_str!("../../tests/fixtures/formats/point-1.json");
const KEEP: &str = include_str!("../../tests/fixtures/formats/keep-1.json");
const PROVEN: &str = include_str!("../../tests/fixtures/formats/proven-1.json");
const STACK: &str = include_str!("../../tests/fixtures/formats/stack-1.json");

fn same_json(a: &[u8], b: &str) {
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(value(a), value(b.as_bytes()));
}

#[test]
fn version_1_of_point_json_is_read_and_written_as_it_was() {
    let record = PointRecord::from_json("the fixture", POINT.as_bytes()).unwrap();
    assert_eq!((record.members.len(), record.warning_count(), record.is_whole()), (2, 2, false));
    assert_eq!(record.oldest_instant().to_string(), "2026-11-23T09:41:22.6Z");
    assert_eq!((record.bytes(), record.members[1].kind), (53_477_376, DataWord::Volume));
    same_json(&record.to_json(), POINT);
}

#[test]
fn version_1_of_keep_json_and_stack_json_is_read_and_written_as_it_was() {
    let keep: Keep = read("the fixture", KEEP.as_bytes(), Keep::FORMAT_VERSION).unwrap();
    let until = keep.until.unwrap();
    assert!(keep.holds(until - jiff::SignedDuration::from_secs(1)) && !keep.holds(until));
    same_json(&serde_json::to_vec(&keep).unwrap(), KEEP);
    let owner: Owner = read("the fixture", STACK.as_bytes(), Owner::FORMAT_VERSION).unwrap();
    assert_eq!(owner.stack.as_str(), "papg");
    same_json(&serde_json::to_vec(&owner).unwrap(), STACK);
}

#[test]
fn version_1_of_proven_json_is_read_and_written_as_it_was() {
    let proven: Proven = read("the fixture", PROVEN.as_bytes(), Proven::FORMAT_VERSION).unwrap();
    assert_eq!((proven.rto_ms, proven.run.as_str()), (81_234, "drill-shop-20261123t094122z-3f9a1c2e"));
    same_json(&serde_json::to_vec(&proven).unwrap(), PROVEN);
}

#[test]
fn what_is_newer_is_refused_with_the_reason_before_it_is_looked_into() {
    let newer = r#"{"formatVersion": 2, "something": "entirely different"}"#;
    let error = PointRecord::from_json("recovery point 93eb", newer.as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("recovery point 93eb has format version 2; this drydock"), "{error}");
    assert_eq!(error.category(), Category::Usage);
    assert!(error.hint().unwrap().contains("the drydock that wrote it"));
}

#[test]
fn an_unknown_field_of_a_known_version_is_damage_not_news() {
    let strange = POINT.replacen("\"omitted\"", "\"unknown\": 1, \"omitted\"", 1);
    let error = PointRecord::from_json("recovery point 93eb", strange.as_bytes()).unwrap_err();
    assert_eq!(error.category(), Category::Integrity);
}

fn time() -> impl Strategy<Value = jiff::Timestamp> {
    (-60_000_000_000_i64..200_000_000_000, 0..1_000_000_000_i32)
        .prop_map(|(second, nanosecond)| jiff::Timestamp::new(second, nanosecond).unwrap())
}

fn name() -> impl Strategy<Value = crate::stack::Name> {
    "[a-z][a-z0-9]{0,8}".prop_map(|name| name.parse().unwrap())
}

fn member() -> impl Strategy<Value = Member> {
    let kind = prop_oneof![Just(DataWord::Postgres), Just(DataWord::Redis), Just(DataWord::Volume)];
    let texts = || prop::collection::vec(any::<String>(), 0..3);
    let ids = any::<([u8; 32], [u8; 32])>();
    let numbers = any::<(u64, u64, u64, u64)>();
    (name(), kind, ids, time(), numbers, any::<(Option<String>, String)>(), texts(), texts()).prop_map(
        |(
            data,
            kind,
            (snapshot, tree),
            instant,
            (bytes, read_bytes, items, took_ms),
            (digest, source),
            warnings,
            notes,
        )| {
            let (snapshot, tree) = (crate::repository::SnapshotId(snapshot), crate::repository::TreeId(tree));
            Member {
                data,
                kind,
                snapshot,
                tree,
                instant,
                bytes,
                read_bytes,
                items,
                digest,
                source,
                warnings,
                notes,
                took_ms,
            }
        },
    )
}

proptest! {
    #[test]
    fn any_point_json_survives_writing_and_reading(
        members in prop::collection::vec(member(), 0..4),
        omitted in prop::collection::vec(name(), 0..3),
        (tool, reason) in any::<(String, Option<String>)>(),
        (time, stack) in (time(), name()),
        (largest_distance_ms, took_ms, new_blobs, known_bytes) in any::<(u64, u64, u64, u64)>(),
        gaps in prop::collection::vec(any::<(String, String, String)>(), 0..3),
        gap_count: u64,
    ) {
        let fixture = PointRecord::from_json("the fixture", POINT.as_bytes()).unwrap();
        let mut references = fixture.references.clone();
        for reference in &mut references {
            reference.gap_count = gap_count;
            let of = |(row, file, found): (String, String, String)| {
                reference.gaps.first().map(|gap| crate::data::references::Gap { row, file, found, ..gap.clone() })
            };
            reference.gaps = gaps.iter().cloned().filter_map(of).collect();
        }
        let stats = crate::repository::WriteStats { new_blobs, known_bytes, ..fixture.stats };
        let id = PointId::random();
        let record = PointRecord {
            id, members, omitted, tool, reason, time, stack, largest_distance_ms, took_ms, references, stats, ..fixture
        };
        prop_assert_eq!(PointRecord::from_json("it", &record.to_json()).unwrap(), record);
    }

    #[test]
    fn any_keep_json_survives_writing_and_reading(
        (reason, by) in any::<(String, String)>(),
        time in time(),
        until in prop::option::of(time()),
    ) {
        let keep = Keep { format_version: Keep::FORMAT_VERSION, point: PointId::random(), reason, until, time, by };
        let json = serde_json::to_vec(&keep).unwrap();
        prop_assert_eq!(read::<Keep>("it", &json, Keep::FORMAT_VERSION).unwrap(), keep);
    }
}

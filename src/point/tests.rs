//! Fixtures of every released version, read for ever.

use super::*;
use crate::failure::{Category, Failure};
use crate::point::versioned::read;

const POINT: &str = include_str!("../../tests/fixtures/formats/point-1.json");
const KEEP: &str = include_str!("../../tests/fixtures/formats/keep-1.json");
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

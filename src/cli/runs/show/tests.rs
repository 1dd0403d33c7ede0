use jiff::tz::TimeZone;

use super::*;
use crate::status::testing::{all_well, now, rpo_missed, waiting};
use crate::status::{Known, RunView};

fn drawn_of(known: &Known, beginning: &str) -> String {
    let one = known.runs.iter().find(|one| one.run.as_str().starts_with(beginning)).unwrap();
    let view = RunView::of(&one.run, one.state.as_ref().unwrap(), &known.leaders, now());
    text(&view, &TimeZone::UTC)
}

#[test]
fn a_run_that_waits_for_a_person_is_drawn_with_what_to_type() {
    insta::assert_snapshot!(drawn_of(&waiting(), "restore"));
}

#[test]
fn a_run_under_way_a_failed_one_and_one_that_was_cut_off() {
    insta::assert_snapshot!("under_way", drawn_of(&all_well(), "snapshot-shop-20261123t182500z"));
    insta::assert_snapshot!("failed", drawn_of(&rpo_missed(), "snapshot"));
    insta::assert_snapshot!("cut_off", drawn_of(&rpo_missed(), "prune"));
}

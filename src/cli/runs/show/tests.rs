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
fn a_parked_run_and_a_wish_that_it_should_end() {
    let mut known = all_well();
    let one = known.runs.iter().find(|one| one.run.as_str().contains("182500z")).unwrap();
    let (run, mut state) = (one.run.clone(), one.state.clone().unwrap());
    state.holder = Some((known.leaders[0].holder.clone(), known.leaders[0].token));
    (known.leaders[0].is_live, known.leaders[0].gave_back) = (false, true);
    let by = "root@papg-0".to_owned();
    let view = RunView::of(&run, &state, &known.leaders, now());
    let drawn = text(&view.clone().with_end_asked_by(Some(&by)), &TimeZone::UTC);
    assert!(drawn.contains("\n  parked, 0 of 1 steps done\n"), "{drawn}");
    assert!(
        drawn.contains("\n  root@papg-0 has asked for its end; whoever goes on with it hears of that\n"),
        "{drawn}"
    );
    assert!(drawn.contains("take: begun, may have happened"), "{drawn}");
    assert!(drawn.contains("\nWhoever led it has left. The next daemon goes on with it; or type:\n"), "{drawn}");
    assert_eq!(view.line.standing, Standing::Parked);
    state.holder = Some((known.leaders[0].holder.clone(), known.leaders[0].token + 1));
    let view = RunView::of(&run, &state, &known.leaders, now());
    assert_eq!(view.line.standing, Standing::CutOff, "who led it last has not given it back");
}

#[test]
fn a_run_under_way_a_failed_one_and_one_that_was_cut_off() {
    insta::assert_snapshot!("under_way", drawn_of(&all_well(), "snapshot-shop-20261123t182500z"));
    insta::assert_snapshot!("failed", drawn_of(&rpo_missed(), "snapshot"));
    insta::assert_snapshot!("cut_off", drawn_of(&rpo_missed(), "prune"));
}

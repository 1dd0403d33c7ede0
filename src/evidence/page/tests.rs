use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::evidence::{Disclosed, LinkDigest, Part, Problem, Reason, Record};
use crate::stack::Name;

const RECORD: &str = include_str!("../../../tests/fixtures/formats/evidence-record-1.json");

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record() -> Record {
    serde_json::from_str(RECORD).unwrap()
}

fn entry(number: u64, record: Record) -> Entry {
    let digest = LinkDigest::of(&number.to_le_bytes());
    let link = Link { number, previous: None, signed: record.finished, token: "t".into(), record };
    Entry { number, digest, link: Some(link), key: None, problems: vec![] }
}

fn examined(entries: Vec<Entry>) -> Examined {
    let stack: Name = "shop".parse().unwrap();
    Examined { stack, entries, gaps: vec![], keys: vec![], foreign: vec![], broken_pins: vec![] }
}

fn passed(number: u64, rto_ms: u64) -> Entry {
    let mut record = record();
    record.finished += SignedDuration::from_hours(24 * number.cast_signed());
    record.outcome = Outcome::Passed;
    record.reasons.clear();
    record.achieved.rto_ms = Some(rto_ms);
    entry(number, record)
}

#[test]
fn a_page_says_what_the_records_say() {
    let html = page(&examined(vec![passed(1, 41_000), passed(2, 2_000_000)]), at("2026-11-27T00:00:00Z"));
    let said = [
        "<h1>Recovery evidence <span class=\"of\">of</span> shop</h1>",
        "The evidence verifies",
        "<time datetime=\"2026-11-25T02:00:41Z\">2026-11-25 02:00 UTC</time>",
        "misses the objective of 30m, with recovery point 3f9a1c2e",
        "Recovery time of 2 records from 2026-11-24 to 2026-11-25: the shortest 41s, the longest 33m 20s",
        "<span class=\"measure missed\">33m 20s</span> <span class=\"objective\">of 30m</span>",
        "40,000 rows",
        "650 referenced files",
        "table public.messages",
        "8775edde37a5d29373db4db0c76053641fdd969c05d7709d4960fdba2434b04d",
    ];
    for text in said {
        assert!(html.contains(text), "{text} is not in {html}");
    }
}

#[test]
fn what_does_not_verify_is_said_first_and_shown_as_nothing_else() {
    let mut broken = passed(2, 41_000);
    broken.problems = vec![Problem::Number { says: 9 }];
    broken.link.as_mut().unwrap().record.run = "made-up".into();
    let html = page(
        &Examined { gaps: vec![3..=4], ..examined(vec![passed(1, 41_000), broken, passed(5, 41_000)]) },
        at("2026-11-29T00:00:00Z"),
    );
    assert!(html.contains("The evidence does not verify") && !html.contains("The evidence verifies"));
    assert!(html.contains("<li>evidence/000003.json to evidence/000004.json: missing</li>"));
    assert!(html.contains("<li>evidence/000002.json: moved: it was signed as number 9</li>"));
    assert!(html.contains("<span class=\"word\">Record </span>3 to 4</th>"));
    assert!(!html.contains("made-up"), "nothing is shown of what may not be believed");
}

#[test]
fn a_stack_without_evidence_has_a_page_too() {
    let html = page(&examined(vec![]), at("2026-11-29T00:00:00Z"));
    assert!(html.contains("No evidence yet") && html.contains("nothing was proven yet"));
}

#[test]
fn ten_thousand_records_are_a_page_that_opens() {
    let html = page(&examined((1..=10_000).map(|n| passed(n, 41_000 + n)).collect()), at("2055-01-01T00:00:00Z"));
    assert_eq!(html.matches("<td role=\"cell\" data-label=\"Outcome\">").count(), 10_000);
    assert_eq!(html.matches("<details class=").count(), DETAILED);
    assert!(html.len() < 20_000_000, "{} bytes", html.len());
}

/// Wherever a text of a record goes.
fn spread(text: &str) -> Examined {
    let name = Disclosed::name(text);
    let mut record = record();
    record.run = text.to_owned();
    record.tool = text.to_owned();
    record.data[0].kind = name.clone();
    record.data[0].comparison.compared.insert(text.to_owned(), 1);
    let difference = &mut record.data[0].comparison.differences[0];
    (difference.what, difference.expected, difference.found) = (name.clone(), name.clone(), name.clone());
    record.data[0].comparison.notes = vec![name.clone()];
    record.references[0].reference = name.clone();
    record.assertions[0].name = name.clone();
    record.achieved.parts = vec![Part { name: name.clone(), ms: 1 }];
    record.reasons = vec![Reason::NotRestored { data: None, why: name }];
    let mut broken = entry(2, record.clone());
    broken.problems = vec![Problem::Altered(text.to_owned())];
    let mut examined = examined(vec![entry(1, record), broken]);
    examined.foreign = vec![text.to_owned()];
    examined.broken_pins = vec![text.to_owned()];
    examined
}

#[test]
fn no_name_becomes_markup() {
    for attack in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</style><script>alert(1)</script>",
        "</title><svg onload=alert(1)>",
        "{{ 7 * 7 }}{% raw %}",
        "&lt;script&gt;",
    ] {
        let now = at("2026-11-29T00:00:00Z");
        let (html, tame) = (page(&spread(attack), now), page(&spread("tame"), now));
        let is_inert = !attack.contains(['<', '>', '"', '\'', '&']);
        assert_eq!(html.contains(attack), is_inert, "{attack}: markup must not come through, and all else must");
        for sign in ['<', '>', '"', '\''] {
            assert_eq!(html.matches(sign).count(), tame.matches(sign).count(), "{attack}: {sign}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_a_name_is_the_markup_stays_the_same(text in "[a-z<>\"'&/= {}%#\u{e9}\u{202e}]{1,60}") {
        let now = at("2026-11-29T00:00:00Z");
        let (html, tame) = (page(&spread(&text), now), page(&spread("tame"), now));
        for sign in ['<', '>', '"', '\''] {
            prop_assert_eq!(html.matches(sign).count(), tame.matches(sign).count());
        }
    }
}

//! One record in full.

use super::{Instant, Measure, Verdict, human, thousands};
use crate::evidence::verify::Entry;
use crate::evidence::{AssertionOutcome, Comparison};
use crate::stack::ByteSize;

pub struct Detail {
    pub number: u64,
    pub kind: &'static str,
    pub finished: Instant,
    pub outcome: Verdict,
    pub reasons: Vec<String>,
    pub facts: Vec<(&'static str, String)>,
    pub sets: Vec<Set>,
    pub differences: Vec<Different>,
    /// How many more there are than are listed.
    pub unlisted: String,
    pub assertions: Vec<Asserted>,
    pub parts: Vec<Took>,
    pub remarks: Vec<String>,
}

/// A data set, or a reference between two.
pub struct Set {
    pub name: String,
    pub kind: String,
    pub instant: String,
    pub size: String,
    pub compared: String,
    pub differences: u64,
}

pub struct Different {
    pub set: String,
    pub what: String,
    pub expected: String,
    pub found: String,
}

pub struct Asserted {
    pub name: String,
    pub data: String,
    pub word: &'static str,
    pub class: &'static str,
}

pub struct Took {
    pub name: String,
    pub text: String,
    /// Of the longest part.
    pub percent: u64,
}

impl Detail {
    /// None where the record may not be believed.
    pub fn of(entry: &Entry) -> Option<Self> {
        let link = entry.link.as_ref()?;
        let record = &link.record;
        let comparisons = comparisons(entry);
        let listed: u64 = comparisons.iter().map(|(_, comparison)| comparison.differences.len() as u64).sum();
        let unlisted = record.differences().saturating_sub(listed);
        Some(Self {
            number: link.number,
            kind: record.kind.word(),
            finished: Instant::of(record.finished),
            outcome: Verdict::of(record.outcome),
            reasons: record.reasons.iter().map(ToString::to_string).collect(),
            facts: facts(entry),
            sets: sets(entry),
            differences: comparisons.iter().flat_map(|(set, comparison)| different(set, comparison)).collect(),
            unlisted: if unlisted > 0 { thousands(unlisted) } else { String::new() },
            assertions: assertions(entry),
            parts: parts(entry),
            remarks: comparisons.iter().flat_map(|(set, comparison)| remarks(set, comparison)).collect(),
        })
    }
}

fn comparisons(entry: &Entry) -> Vec<(String, &Comparison)> {
    let Some(record) = entry.link.as_ref().map(|link| &link.record) else { return Vec::new() };
    let sets = record.data.iter().map(|set| (set.data.to_string(), &set.comparison));
    let references =
        record.references.iter().map(|one| (format!("{} of {}", one.reference, one.database), &one.comparison));
    sets.chain(references).collect()
}

fn facts(entry: &Entry) -> Vec<(&'static str, String)> {
    let Some(link) = &entry.link else { return Vec::new() };
    let record = &link.record;
    let (point, achieved) = (&record.point, &record.achieved);
    let measured = |achieved, objective| {
        let Measure { achieved, objective, missed } = Measure::of(achieved, objective);
        match (objective.as_str(), missed) {
            ("", _) => format!("{achieved}; no objective"),
            (objective, false) => format!("{achieved}, within the objective of {objective}"),
            (objective, true) => format!("{achieved}, misses the objective of {objective}"),
        }
    };
    let mut facts = vec![
        ("Run", record.run.clone()),
        ("Recovery point", format!("{}, taken {}", point.id, Instant::of(point.time).text)),
        ("Its snapshot", point.snapshot.clone()),
        ("Its data are of", between(point.oldest_instant, point.newest_instant)),
        ("Started", Instant::of(record.started).text),
        ("Took", human(record.took_ms())),
        ("RTO", measured(achieved.rto_ms, record.objectives.rto_ms)),
        ("RPO", measured(achieved.rpo_ms, record.objectives.rpo_ms)),
        ("Brought back", ByteSize(achieved.bytes).to_string()),
    ];
    if let Some(rate) = achieved.bytes_per_second {
        facts.push(("Throughput", format!("{} a second", ByteSize(rate))));
    }
    facts.push(("By", record.tool.clone()));
    facts.push(("Signed", Instant::of(link.signed).text));
    facts.extend(entry.key.map(|key| ("With the key", key.to_string())));
    facts.push(("Digest of the envelope", entry.digest.to_string()));
    facts
}

fn between(oldest: jiff::Timestamp, newest: jiff::Timestamp) -> String {
    let (from, to) = (Instant::of(oldest).text, Instant::of(newest).text);
    if from == to { from } else { format!("{from} to {to}") }
}

fn sets(entry: &Entry) -> Vec<Set> {
    let Some(record) = entry.link.as_ref().map(|link| &link.record) else { return Vec::new() };
    let data = record.data.iter().map(|set| Set {
        name: set.data.to_string(),
        kind: set.kind.to_string(),
        instant: Instant::of(set.instant).text,
        size: ByteSize(set.bytes).to_string(),
        compared: compared(&set.comparison),
        differences: set.comparison.difference_count,
    });
    let references = record.references.iter().map(|one| Set {
        name: one.reference.to_string(),
        kind: format!("rows of {} to files of {}", one.database, one.volume),
        instant: String::new(),
        size: String::new(),
        compared: compared(&one.comparison),
        differences: one.comparison.difference_count,
    });
    data.chain(references).collect()
}

fn compared(comparison: &Comparison) -> String {
    let counts = comparison.compared.iter().map(|(kind, n)| format!("{} {}", thousands(*n), spaced(kind)));
    counts.collect::<Vec<_>>().join(", ")
}

/// `referencingRows` as people read it.
fn spaced(kind: &str) -> String {
    let mut text = String::new();
    for c in kind.chars() {
        if c.is_ascii_uppercase() {
            text.push(' ');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

fn different(set: &str, comparison: &Comparison) -> Vec<Different> {
    let one = |difference: &crate::evidence::Difference| Different {
        set: set.to_owned(),
        what: difference.what.to_string(),
        expected: difference.expected.to_string(),
        found: difference.found.to_string(),
    };
    comparison.differences.iter().map(one).collect()
}

fn assertions(entry: &Entry) -> Vec<Asserted> {
    let Some(record) = entry.link.as_ref().map(|link| &link.record) else { return Vec::new() };
    let one = |assertion: &crate::evidence::AssertionProof| Asserted {
        name: assertion.name.to_string(),
        data: assertion.data.as_ref().map(ToString::to_string).unwrap_or_default(),
        word: assertion.outcome.word(),
        class: if assertion.outcome == AssertionOutcome::Passed { "good" } else { "bad" },
    };
    record.assertions.iter().map(one).collect()
}

fn parts(entry: &Entry) -> Vec<Took> {
    let Some(record) = entry.link.as_ref().map(|link| &link.record) else { return Vec::new() };
    let longest = record.achieved.parts.iter().map(|part| part.ms).max().unwrap_or(0).max(1);
    let percent = |ms: u64| u64::try_from(u128::from(ms) * 100 / u128::from(longest)).unwrap_or(100);
    let one = |part: &crate::evidence::Part| Took {
        name: part.name.to_string(),
        text: human(part.ms),
        percent: percent(part.ms),
    };
    record.achieved.parts.iter().map(one).collect()
}

fn remarks(set: &str, comparison: &Comparison) -> Vec<String> {
    let not_comparable = comparison.not_comparable.iter().map(|what| format!("{set}: not comparable: {what}"));
    not_comparable.chain(comparison.notes.iter().map(|note| format!("{set}: {note}"))).collect()
}

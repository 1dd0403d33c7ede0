//! The evidence as one page of HTML that a person shows an auditor: nothing from outside, no script, light and dark,
//! narrow and wide, on paper. The template is `page/page.html`; it escapes every text. Pure.

mod chart;
mod detail;

use askama::Template;
use jiff::Timestamp;

use super::verify::Entry;
use super::{Examined, Link, Outcome};
use crate::stack::duration;

use chart::Chart;
use detail::Detail;

/// A page with ten thousand records' details would be 30 MB; a browser of a phone opens two.
const DETAILED: usize = 200;

/// The page of what was examined, as of `made`.
#[must_use]
pub fn page(examined: &Examined, made: Timestamp) -> String {
    let page = Page::of(examined, made);
    page.render().expect("a template that compiled writes to a String")
}

#[derive(Template)]
#[template(path = "evidence/page/page.html")]
struct Page {
    stack: String,
    tool: &'static str,
    made: Instant,
    holds: bool,
    faults: Vec<String>,
    foreign: Vec<String>,
    records: usize,
    tiles: Vec<Tile>,
    chart: Option<Chart>,
    /// The newest first.
    rows: Vec<Row>,
    details: Vec<Detail>,
    /// There are more that verify than are told in detail.
    cut: bool,
    keys: Vec<Key>,
    head: Option<Head>,
}

/// For people and for machines.
struct Instant {
    text: String,
    datetime: String,
}

struct Tile {
    label: &'static str,
    value: String,
    remark: String,
    /// `good`, `bad`, `late` or `neutral`: never the only sign.
    class: &'static str,
}

struct Row {
    /// `12`, or `3 to 4` of records that are missing.
    number: String,
    missing: bool,
    detailed: bool,
    /// What it says, where it may be believed; else what is wrong with it.
    said: Result<Said, String>,
}

struct Said {
    finished: Instant,
    kind: &'static str,
    point: String,
    outcome: Verdict,
    rpo: Measure,
    rto: Measure,
    compared: String,
    differences: String,
}

/// A word with its sign.
struct Verdict {
    word: &'static str,
    sign: &'static str,
    class: &'static str,
}

/// What was achieved, and what was to be.
struct Measure {
    achieved: String,
    objective: String,
    missed: bool,
}

struct Key {
    id: String,
    from: String,
    until: String,
    problem: String,
    trusted: bool,
}

struct Head {
    number: u64,
    digest: String,
}

impl Page {
    fn of(examined: &Examined, made: Timestamp) -> Self {
        let links: Vec<&Link> = examined.links().collect();
        let detailed: Vec<&Entry> =
            examined.entries.iter().rev().filter(|e| e.problems.is_empty()).take(DETAILED).collect();
        let oldest_detailed = detailed.last().map_or(u64::MAX, |entry| entry.number);
        let rows = examined.entries.iter().map(|entry| (entry.number, Row::of(entry, oldest_detailed)));
        let gaps = examined.gaps.iter().map(|gap| (*gap.start(), Row::missing(*gap.start(), *gap.end())));
        let mut rows: Vec<(u64, Row)> = rows.chain(gaps).collect();
        rows.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        Self {
            stack: examined.stack.to_string(),
            tool: crate::TOOL,
            made: Instant::of(made),
            holds: examined.holds(),
            faults: examined.faults(),
            foreign: examined.foreign.clone(),
            records: examined.entries.len(),
            tiles: tiles(&links, made),
            chart: Chart::of(&links),
            rows: rows.into_iter().map(|(_, row)| row).collect(),
            cut: links.len() > detailed.len(),
            details: detailed.into_iter().filter_map(Detail::of).collect(),
            keys: examined.keys.iter().map(Key::of).collect(),
            head: examined.head().map(|pin| Head { number: pin.number, digest: pin.digest.to_string() }),
        }
    }
}

impl Row {
    fn of(entry: &Entry, oldest_detailed: u64) -> Self {
        let said = match (&entry.link, entry.problems.first()) {
            (Some(link), None) => Ok(Said::of(link)),
            (_, Some(problem)) => Err(problem.to_string()),
            (None, None) => Err("it says nothing".into()),
        };
        let detailed = said.is_ok() && entry.number >= oldest_detailed;
        Self { number: entry.number.to_string(), missing: false, detailed, said }
    }

    fn missing(from: u64, to: u64) -> Self {
        let number = if from == to { from.to_string() } else { format!("{from} to {to}") };
        Self {
            number,
            missing: true,
            detailed: false,
            said: Err("there is no such object, and later ones are there".into()),
        }
    }
}

impl Said {
    fn of(link: &Link) -> Self {
        let record = &link.record;
        let differences = record.differences();
        Self {
            finished: Instant::of(record.finished),
            kind: record.kind.word(),
            point: record.point.id.chars().take(8).collect(),
            outcome: Verdict::of(record.outcome),
            rpo: Measure::of(record.achieved.rpo_ms, record.objectives.rpo_ms),
            rto: Measure::of(record.achieved.rto_ms, record.objectives.rto_ms),
            compared: thousands(record.compared()),
            differences: match differences {
                0 => "no difference".into(),
                1 => "1 difference".into(),
                n => format!("{} differences", thousands(n)),
            },
        }
    }
}

impl Verdict {
    fn of(outcome: Outcome) -> Self {
        let (sign, class) = match outcome {
            Outcome::Passed => ("✓", "good"),
            Outcome::Failed => ("✕", "bad"),
            Outcome::Late => ("!", "late"),
        };
        Self { word: outcome.word(), sign, class }
    }
}

impl Measure {
    fn of(achieved: Option<u64>, objective: Option<u64>) -> Self {
        Self {
            achieved: achieved.map_or_else(|| "not measured".into(), human),
            objective: objective.map(human).unwrap_or_default(),
            missed: matches!((achieved, objective), (Some(achieved), Some(objective)) if achieved > objective),
        }
    }
}

impl Key {
    fn of(entry: &super::KeyEntry) -> Self {
        let published = entry.published.as_ref();
        let day = |time: Timestamp| Instant::of(time).text;
        Self {
            id: published.map_or_else(|| entry.object.clone(), |key| key.key_id.to_string()),
            from: published.map(|key| day(key.valid_from)).unwrap_or_default(),
            until: published.map(|key| key.valid_until.map_or("in use".into(), day)).unwrap_or_default(),
            problem: entry.problem.clone().unwrap_or_default(),
            trusted: entry.trusted,
        }
    }
}

impl Instant {
    fn of(time: Timestamp) -> Self {
        let utc = time.to_zoned(jiff::tz::TimeZone::UTC);
        Self { text: utc.strftime("%Y-%m-%d %H:%M UTC").to_string(), datetime: format!("{time:.0}") }
    }
}

fn tiles(links: &[&Link], made: Timestamp) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let proof = links.iter().rev().find(|link| link.record.outcome != Outcome::Failed);
    tiles.push(match proof {
        Some(link) => newest_proof(link, made),
        None => {
            Tile { label: "Newest proof", value: "none".into(), remark: "nothing was proven yet".into(), class: "bad" }
        }
    });
    if let Some(Link { record, .. }) = proof {
        let (achieved, objectives) = (&record.achieved, &record.objectives);
        let point = format!("with recovery point {}", record.point.id.chars().take(8).collect::<String>());
        tiles.push(measured("Recovery time (RTO)", &Measure::of(achieved.rto_ms, objectives.rto_ms), &point));
        tiles.push(measured("Data at risk (RPO)", &Measure::of(achieved.rpo_ms, objectives.rpo_ms), &point));
    }
    let failed = links.iter().filter(|link| link.record.outcome == Outcome::Failed).count();
    let kinds = [super::Kind::Drill, super::Kind::Restore, super::Kind::Upgrade].map(|kind| {
        let n = links.iter().filter(|link| link.record.kind == kind).count();
        (n, if n == 1 { kind.word().to_owned() } else { format!("{}s", kind.word()) })
    });
    let kinds: Vec<String> =
        kinds.into_iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", thousands(n as u64))).collect();
    tiles.push(Tile {
        label: "Records",
        value: thousands(links.len() as u64),
        remark: format!(
            "{}; {} failed",
            if kinds.is_empty() { "none".into() } else { kinds.join(", ") },
            thousands(failed as u64)
        ),
        class: "neutral",
    });
    tiles
}

/// Judged by the objective that its own record holds.
fn newest_proof(link: &Link, made: Timestamp) -> Tile {
    let record = &link.record;
    let age = u64::try_from(made.duration_since(record.finished).as_millis()).unwrap_or(0);
    let missed = record.objectives.proven_ms.is_some_and(|objective| age > objective);
    let objective = record.objectives.proven_ms.map(|ms| format!(", objective {}", human(ms))).unwrap_or_default();
    Tile {
        label: "Newest proof",
        value: format!("{} ago", human(age)),
        remark: format!("{} on {}{objective}", record.kind.word(), Instant::of(record.finished).text),
        class: if missed { "late" } else { "good" },
    }
}

fn measured(label: &'static str, measure: &Measure, point: &str) -> Tile {
    let remark = match (measure.objective.as_str(), measure.missed) {
        ("", _) => format!("{point}; no objective"),
        (objective, false) => format!("within the objective of {objective}, {point}"),
        (objective, true) => format!("misses the objective of {objective}, {point}"),
    };
    let class = if measure.missed { "late" } else { "good" };
    Tile { label, value: measure.achieved.clone(), remark, class }
}

fn human(ms: u64) -> String {
    duration::human(std::time::Duration::from_millis(ms))
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let parted = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    parted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;

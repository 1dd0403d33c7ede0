//! `drydock evidence show`

use jiff::Timestamp;
use serde::Serialize;

use super::place;
use crate::cli::human::{self, ms};
use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::{Done, report::Failed};
use crate::evidence::{Comparison, Entry, EvidenceError, Examined, KeyId, Link, LinkDigest, Record, Trust};
use crate::failure::Category;
use crate::stack::{ByteSize, Name};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock evidence show -f stack.yaml 12
  drydock evidence show -f stack.yaml latest
  drydock evidence show -f stack.yaml drill-papg-20261123 -o json")]
pub struct Args {
    /// The record's number, the beginning of its run's id, or `latest`
    record: String,
}

/// What `evidence show -o json` prints: the record as `docs/formats.md` describes it, and what it is worth.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    number: u64,
    previous: Option<LinkDigest>,
    digest: LinkDigest,
    key: Option<KeyId>,
    signed: Timestamp,
    record: Record,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let (stack, chain) = place::chain(session).await?;
    let examined = chain.examine(None, &Trust::Published, &[]).await?;
    let entry = find(&examined, &args.record, &stack.name)?;
    match (&entry.link, entry.problems.first()) {
        (Some(link), None) => session.print(&Details::of(entry, link)),
        (_, problem) => {
            let why = problem.map_or_else(|| "it says nothing".to_owned(), ToString::to_string);
            let hint = "see all that is wrong with `drydock evidence verify --all -f FILE`";
            let message = format!("record {} does not verify, so nothing of it is shown: {why}", entry.number);
            Err(Failed::new(Category::Integrity, message, Some(hint.into())))
        }
    }
}

fn find<'a>(examined: &'a Examined, wanted: &str, stack: &Name) -> Result<&'a Entry, EvidenceError> {
    let missing = || EvidenceError::NotFound { wanted: wanted.to_owned(), stack: stack.clone() };
    if wanted == "latest" {
        return examined.entries.last().ok_or_else(missing);
    }
    if let Ok(number) = wanted.parse::<u64>() {
        return examined.entries.iter().find(|entry| entry.number == number).ok_or_else(missing);
    }
    let run = |entry: &Entry| entry.link.as_ref().map(|link| link.record.run.clone()).unwrap_or_default();
    let found: Vec<&Entry> = examined.entries.iter().filter(|entry| run(entry).starts_with(wanted)).collect();
    match found.as_slice() {
        [entry] => Ok(entry),
        [] => Err(missing()),
        several => {
            let found = several.iter().rev().take(5).map(|entry| run(entry)).collect();
            Err(EvidenceError::Ambiguous { wanted: wanted.to_owned(), found })
        }
    }
}

impl Details {
    pub fn of(entry: &Entry, link: &Link) -> Self {
        let Link { number, previous, signed, record, .. } = link.clone();
        Self { number, previous, digest: entry.digest, key: entry.key, signed, record }
    }
}

impl Shown for Details {
    fn text(&self) -> String {
        format!("{}\n{}{}", self.head(), compared(&self.record), remarks(&self.record))
    }
}

impl Details {
    fn head(&self) -> String {
        let record = &self.record;
        let (point, achieved, objectives) = (&record.point, &record.achieved, &record.objectives);
        let mut text =
            format!("record {} of {}: {} {}\n", self.number, record.stack, record.kind.word(), record.outcome.word());
        let mut line = |name: &str, value: String| text += &format!("{name:<14}{value}\n");
        for reason in &record.reasons {
            line("because", reason.to_string());
        }
        line("run", record.run.clone());
        line("point", format!("{}, taken {}", point.id, human::instant(point.time)));
        line("started", format!("{}, took {}", human::instant(record.started), ms(record.took_ms())));
        line("achieved RTO", measured(achieved.rto_ms, objectives.rto_ms));
        line("achieved RPO", measured(achieved.rpo_ms, objectives.rpo_ms));
        let rate = achieved.bytes_per_second.map(|rate| format!(", {} a second", ByteSize(rate))).unwrap_or_default();
        line("brought back", format!("{}{rate}", ByteSize(achieved.bytes)));
        line("by", record.tool.clone());
        line("signed", human::instant(self.signed));
        if let Some(key) = self.key {
            line("with the key", key.to_string());
        }
        line("digest", self.digest.to_string());
        text
    }
}

fn measured(achieved: Option<u64>, objective: Option<u64>) -> String {
    match (achieved, objective) {
        (None, _) => "not measured".into(),
        (Some(achieved), None) => format!("{}, no objective", ms(achieved)),
        (Some(achieved), Some(objective)) => {
            let verdict = if achieved <= objective { "within" } else { "MISSES" };
            format!("{}, {verdict} the objective of {}", ms(achieved), ms(objective))
        }
    }
}

/// Data sets, references, parts.
fn compared(record: &Record) -> String {
    let mut table = Table::new(&["DATA", "KIND", "INSTANT", ">SIZE", "COMPARED", ">DIFFERENCES"]);
    for set in &record.data {
        table.row([
            set.data.to_string(),
            set.kind.to_string(),
            human::instant(set.instant),
            ByteSize(set.bytes).to_string(),
            counts(&set.comparison),
            human::number(set.comparison.difference_count),
        ]);
    }
    for one in &record.references {
        let differences = human::number(one.comparison.difference_count);
        let kind = format!("{} to {}", one.database, one.volume);
        table.row([
            one.reference.to_string(),
            kind,
            String::new(),
            String::new(),
            counts(&one.comparison),
            differences,
        ]);
    }
    let mut parts = Table::new(&["PART", ">TOOK"]);
    for part in &record.achieved.parts {
        parts.row([part.name.to_string(), ms(part.ms)]);
    }
    let parts = if record.achieved.parts.is_empty() { String::new() } else { format!("\n{}", parts.text()) };
    table.text() + &parts
}

fn counts(comparison: &Comparison) -> String {
    let counts = comparison.compared.iter().map(|(kind, n)| format!("{} {kind}", human::number(*n)));
    counts.collect::<Vec<_>>().join(", ")
}

/// Differences, assertions, and what could not be compared.
fn remarks(record: &Record) -> String {
    let mut text = String::new();
    let data = record.data.iter().map(|set| (set.data.to_string(), &set.comparison));
    let references = record.references.iter().map(|one| (one.reference.to_string(), &one.comparison));
    for (name, comparison) in data.chain(references) {
        for one in &comparison.differences {
            text += &format!("difference: {name}: {}: {} where {} was recorded\n", one.what, one.found, one.expected);
        }
        let more = comparison.difference_count.saturating_sub(comparison.differences.len() as u64);
        if more > 0 {
            text += &format!("difference: {name}: and {} more\n", human::number(more));
        }
        for what in &comparison.not_comparable {
            text += &format!("not comparable: {name}: {what}\n");
        }
        for note in &comparison.notes {
            text += &format!("note: {name}: {note}\n");
        }
    }
    for assertion in &record.assertions {
        text += &format!("assertion: {}: {}\n", assertion.name, assertion.outcome.word());
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

//! What a drill showed, as text: the verdict first, for whoever reads it at 3 a.m.

use serde::Serialize;

use crate::cli::human;
use crate::cli::output;
use crate::cli::report::Failed;
use crate::cli::table::Table;
use crate::data::Comparison;
use crate::drill::{Asserted, DrilledSet, Goal, KeptSandbox, Measured, Objective, Outcome, Report, Verdict};
use crate::failure::Category;
use crate::stack::ByteSize;

/// How many failures are listed as text; JSON has all that were noted.
const LISTED: usize = 20;

/// What `drill -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown<'a> {
    #[serde(flatten)]
    pub report: &'a Report,
    /// Sandboxes that people keep: the runs of earlier drills.
    pub kept: Vec<String>,
}

impl output::Shown for Shown<'_> {
    fn text(&self) -> String {
        let report = self.report;
        let mut text = verdict(report);
        let failures = report.failures();
        for failure in failures.iter().take(LISTED) {
            text += &format!("  FAILED: {failure}\n");
        }
        let more = failures.len().saturating_sub(LISTED);
        if more > 0 {
            text += &format!("  and {} more\n", human::number(more as u64));
        }
        text += "\n";
        text += &sets(&report.data);
        for set in &report.data {
            text += &remarks(set);
        }
        for one in &report.references {
            text += &format!("{}: rows of {} against the files of {}", one.reference, one.database, one.volume);
            text += &format!(": {}\n", if one.is_compared { said(&one.comparison) } else { "not compared".into() });
            for note in &one.comparison.notes {
                text += &format!("  note: {note}\n");
            }
        }
        for one in &report.assertions {
            text += &asserted(one);
        }
        for what in &report.not_asked {
            text += &format!("not asked: {what}\n");
        }
        if let Some(measured) = &report.measured {
            text += &figures(report, measured);
        }
        text += &proof(report);
        if let Some(left) = &report.evidence {
            text += &format!("evidence: record {} of the chain, {}\n", left.number, left.digest);
        }
        if let Some(why) = &report.evidence_failure {
            text += &format!("NO EVIDENCE: {why}\n");
        }
        if let Some(sandbox) = &report.sandbox {
            text += &reach(sandbox);
        }
        for run in &self.kept {
            text += &format!("kept: a sandbox of {run}; remove it with: drydock drill -f FILE --remove {run}\n");
        }
        text
    }
}

fn verdict(report: &Report) -> String {
    let taken = format!("taken {}", human::instant(report.point_time));
    let point = format!("recovery point {} of {}, {taken}", report.point, report.stack);
    match report.outcome {
        Outcome::Verified => format!("VERIFIED: {point}\n"),
        Outcome::Late => format!("VERIFIED, BUT LATE: {point}\n"),
        Outcome::NotVerified => format!("NOT VERIFIED: {point}\n"),
    }
}

fn sets(data: &[DrilledSet]) -> String {
    if data.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["DATA", "RUN BY", ">SIZE", ">SET UP", ">RESTORED", ">COMPARED", "AS RECORDED"]);
    for set in data {
        table.row([
            set.data.to_string(),
            set.server.clone().unwrap_or_else(|| "a folder".into()),
            ByteSize(set.bytes).to_string(),
            human::ms(set.provision_ms),
            human::ms(set.fill_ms),
            set.verify_ms.map(human::ms).unwrap_or_default(),
            match &set.comparison {
                None => "not compared".into(),
                Some(comparison) if comparison.holds() => said(comparison),
                Some(comparison) => format!("NO: {}", human::count(comparison.difference_count, "difference")),
            },
        ]);
    }
    table.text()
}

/// `12 tables, 40,000 rows`.
fn said(comparison: &Comparison) -> String {
    let compared = comparison.compared.iter().filter(|(_, number)| **number > 0);
    let compared: Vec<String> = compared.map(|(what, number)| format!("{} {what}", human::number(*number))).collect();
    if compared.is_empty() { "nothing to compare".into() } else { compared.join(", ") }
}

fn remarks(set: &DrilledSet) -> String {
    let mut text = String::new();
    for what in set.comparison.iter().flat_map(|comparison| &comparison.not_comparable) {
        text += &format!("  not comparable: {}: {what}\n", set.data);
    }
    for note in set.notes.iter().chain(set.comparison.iter().flat_map(|comparison| &comparison.notes)) {
        text += &format!("  note: {}: {note}\n", set.data);
    }
    text
}

fn asserted(one: &Asserted) -> String {
    let word = match one.verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "FAILS",
        Verdict::Errs => "CANNOT BE ASKED",
    };
    let data = one.data.as_ref().map(|data| format!(" of {data}")).unwrap_or_default();
    let (kind, what, took) = (one.kind, &one.what, human::ms(one.took_ms));
    let mut text = format!("assertion {kind}{data}: {what}: {word} ({took})\n");
    text += &format!("  expected {}, found {}\n", one.expected, one.found);
    if let Some(note) = &one.note {
        text += &format!("  note: {}\n", note.replace('\n', "\n        "));
    }
    text
}

fn figures(report: &Report, measured: &Measured) -> String {
    let mut text = String::new();
    let scope = if report.is_whole { "" } else { " (a part of a point)" };
    text += &format!("achieved RTO   {}{scope}\n", goal(measured.rto));
    if !measured.fsync && report.data.iter().any(|set| set.kind == crate::point::DataWord::Postgres) {
        text += "  note: the scratch PostgreSQL does not flush to disk; `spec.drill.fsync: true` measures with it\n";
    }
    if let Some(rpo) = measured.rpo {
        text += &format!("achieved RPO   {}\n", goal(rpo));
        if rpo.goal == Goal::Missed {
            text += "  the newest complete recovery point is older than its objective: `drydock snapshot -f FILE`\n";
        }
    }
    let rate = ByteSize(measured.bytes_per_second);
    text += &format!("throughput     {} restored and verified, {rate}/s\n", ByteSize(measured.bytes));
    if let Some(trend) = &report.trend {
        let median = human::ms(trend.earlier_median_rto_ms);
        text += &format!("earlier drills {}, median RTO {median}\n", trend.earlier);
        if let Some(warning) = &trend.warning {
            text += &format!("  WARNING: {warning}\n");
        }
    }
    text
}

/// `1m 20s, within the objective of 30m`.
fn goal(objective: Objective) -> String {
    let achieved = human::ms(objective.achieved_ms);
    let wanted = objective.objective_ms.map(human::ms).unwrap_or_default();
    match objective.goal {
        Goal::Met => format!("{achieved}, within the objective of {wanted}"),
        Goal::Missed => format!("{achieved}, MISSES the objective of {wanted}"),
        Goal::None => format!("{achieved}; there is no objective"),
    }
}

fn proof(report: &Report) -> String {
    match (report.proven, report.is_whole) {
        (true, _) => format!("recovery point {} is proven\n", report.point),
        (false, false) if report.holds() => "no recovery point is proven by this: it was a part of one\n".into(),
        (false, _) => String::new(),
    }
}

fn reach(sandbox: &KeptSandbox) -> String {
    let mut text = format!("the sandbox is kept in {}; reach it with\n", sandbox.folder.display());
    for (data, address) in &sandbox.addresses {
        text += &format!("  {data}: {}\n", address.command());
    }
    text + &format!("remove it with: drydock drill -f FILE --remove {}\n", sandbox.run)
}

/// The failure that the exit code stands for, with the first reason.
pub fn failed(report: &Report, category: Category) -> Failed {
    if category == Category::ObjectiveMissed {
        let measured = report.measured.as_ref();
        let missed = |objective: Objective| objective.goal == Goal::Missed;
        let rto = measured.map(|measured| measured.rto).filter(|rto| missed(*rto));
        let rpo = measured.and_then(|measured| measured.rpo).filter(|rpo| missed(*rpo));
        let said = [("RTO", rto), ("RPO", rpo)].into_iter().filter_map(|(name, one)| Some((name, one?)));
        let said: Vec<String> = said.map(|(name, one)| format!("achieved {name} {}", goal(one))).collect();
        let hint = rpo.map(|_| "take recovery points more often: `drydock snapshot -f FILE`".to_owned());
        return Failed::new(category, format!("verified, but late: {}", said.join("; ")), hint);
    }
    if let (Category::Unavailable, Some(why)) = (category, &report.evidence_failure) {
        let hint = "what was verified is verified; drill again when the cause is gone, for the evidence";
        return Failed::new(category, format!("verified, but there is no evidence of it: {why}"), Some(hint.into()));
    }
    let failures = report.failures();
    let more = match failures.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let first = failures.first().map_or("not all of it was looked at", String::as_str);
    let hint = "what is live was not touched; `drydock check -f FILE --read-data` tells damage in the repository from a \
                restore that goes wrong, and --keep leaves the sandbox to look at";
    Failed::new(category, format!("recovery point {} is not verified: {first}{more}", report.point), Some(hint.into()))
}

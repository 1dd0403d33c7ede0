//! What a restore did, as text.

use crate::cli::human;
use crate::cli::output::Shown;
use crate::cli::report::Failed;
use crate::data::Comparison;
use crate::failure::Category;
use crate::restore::{Former, Report, RestoredSet, SetAside, Target};

/// How many differences are listed as text; JSON has all that were noted.
const LISTED: usize = 20;

impl Shown for Report {
    fn text(&self) -> String {
        let mut text: String = self.mended.iter().map(|said| format!("mended: {said}\n")).collect();
        if let Some(safety) = self.safety_point {
            text += &format!("safety recovery point: {safety}\n");
        }
        for set in &self.data {
            text += &one(set);
        }
        for one in &self.references {
            text += &format!("{}: rows of {} against the files of {}\n", one.reference, one.database, one.volume);
            text += &comparison(&one.comparison);
        }
        let formers: Vec<&Former> = self.data.iter().flat_map(|set| &set.formers).collect();
        if self.holds() {
            text += &format!("all is as recorded in recovery point {}\n", self.point);
        }
        if let Some(left) = &self.evidence {
            text += &format!("evidence: record {} of the chain, {}\n", left.number, left.digest);
        }
        text + &kept(&formers, &self.run) + &set_aside(self)
    }
}

fn one(set: &RestoredSet) -> String {
    let took = human::ms(set.took_ms);
    let to = set.to.join(", ");
    let mut text = match (set.promoted, set.to.is_empty()) {
        (true, _) => format!("{}: restored into {to} in {took}\n", set.data),
        (false, false) => format!("{}: {to} was filled and differs from what was recorded ({took})\n", set.data),
        (false, true) => format!("{}: not restored: it differs from what was recorded ({took})\n", set.data),
    };
    text += &comparison(&set.comparison);
    for note in &set.notes {
        text += &format!("  note: {note}\n");
    }
    for warning in &set.warnings {
        text += &format!("  WARNING: {warning}\n");
    }
    text
}

/// `compared: 12 tables, 40,000 rows`, and what differs.
fn comparison(comparison: &Comparison) -> String {
    let compared: Vec<String> =
        comparison.compared.iter().map(|(what, number)| format!("{} {what}", human::number(*number))).collect();
    let mut text = match compared.is_empty() {
        true => "  compared: nothing\n".to_owned(),
        false => format!("  compared: {}\n", compared.join(", ")),
    };
    for difference in comparison.differences.iter().take(LISTED) {
        text += &format!("  DIFFERS: {difference}\n");
    }
    let more = comparison.difference_count.saturating_sub(comparison.differences.len().min(LISTED) as u64);
    if more > 0 {
        text += &format!("  and {} more differences\n", human::number(more));
    }
    for what in &comparison.not_comparable {
        text += &format!("  not comparable: {what}\n");
    }
    for note in &comparison.notes {
        text += &format!("  note: {note}\n");
    }
    text
}

fn kept(formers: &[&Former], run: &str) -> String {
    let mut text = String::new();
    for former in formers {
        text += &format!("kept: the former {} of {}: {}\n", former.kind, former.data, former.name);
    }
    if !formers.is_empty() {
        text += &format!("bring it back with: drydock restore -f FILE --undo {run}\n");
        text += &format!("remove it with: drydock restore -f FILE --discard {run}\n");
    }
    text
}

fn set_aside(report: &Report) -> String {
    let one = |aside: &SetAside| format!("set aside, for applications may have written to it: {aside}\n");
    let mut text: String = report.set_aside.iter().map(one).collect();
    if !text.is_empty() {
        text += &format!("remove it with: drydock restore -f FILE --discard {}\n", report.run);
    }
    text
}

/// The failure of a restore that differs from what was recorded, and what is live then.
pub fn differs(report: &Report, target: &Target) -> Failed {
    let message = "what was restored differs from what was recorded";
    let live = match target {
        Target::Folder(_) => "what was written is removed again, but for what went among what was there".to_owned(),
        Target::Databases(_) if report.is_live() => "it is there all the same".to_owned(),
        Target::Databases(_) => {
            "a database that was made for it is gone again, one that was there before holds what was \
                                 restored"
                .to_owned()
        }
        Target::InPlace if report.is_live() => {
            format!("it is live; `drydock restore -f FILE --undo {}` brings back what was", report.run)
        }
        Target::InPlace => "what is live is as it was before".to_owned(),
    };
    let safety = report.safety_point.map(|point| format!("; the safety recovery point is {point}")).unwrap_or_default();
    let next = match report.has_new_gaps() {
        false => "see what is damaged with `drydock check -f FILE --read-data`",
        true if report.is_live() => "rows whose files are missing are listed above",
        true => "restore the rows and their files together, or go live without these files: `--allow-gaps`",
    };
    let hint = format!("{live}{safety}; {next}");
    Failed::new(Category::Integrity, message, Some(hint))
}

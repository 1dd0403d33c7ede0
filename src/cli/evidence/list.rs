//! `drydock evidence list`

use jiff::Timestamp;
use serde::Serialize;

use super::place;
use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::{Done, human};
use crate::evidence::{Entry, Examined, Kind, LinkDigest, Outcome, Trust};
use crate::stack::Name;

#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock evidence list -f stack.yaml
  drydock evidence list -f stack.yaml --last 20
  drydock evidence list -f stack.yaml -o json")]
pub struct Args {
    /// Only the newest this many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
}

/// What `evidence -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    stack: Name,
    verified: bool,
    /// The newest first.
    records: Vec<Row>,
    /// What does not verify, each with its object.
    faults: Vec<String>,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    number: u64,
    digest: LinkDigest,
    verified: bool,
    /// Nothing is told of a record that does not verify.
    #[serde(flatten)]
    said: Option<Said>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    kind: Kind,
    run: String,
    point: String,
    started: Timestamp,
    finished: Timestamp,
    outcome: Outcome,
    achieved_rpo_ms: Option<u64>,
    objective_rpo_ms: Option<u64>,
    achieved_rto_ms: Option<u64>,
    objective_rto_ms: Option<u64>,
    compared: u64,
    differences: u64,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let (_, chain) = place::chain(session).await?;
    let examined = chain.examine(args.last, &Trust::Published, &[]).await?;
    let category = place::category(&examined);
    session.print_with(&List::of(&examined, session.cx.clock.now()), category)
}

/// What `evidence -o json` prints, for whoever serves it.
pub fn json(examined: &Examined, now: Timestamp) -> String {
    serde_json::to_string_pretty(&List::of(examined, now)).expect("names, texts and numbers are JSON") + "\n"
}

impl List {
    fn of(examined: &Examined, now: Timestamp) -> Self {
        Self {
            stack: examined.stack.clone(),
            verified: examined.holds(),
            records: examined.entries.iter().rev().map(Row::of).collect(),
            faults: examined.faults(),
            now,
        }
    }
}

impl Row {
    fn of(entry: &Entry) -> Self {
        let verified = entry.problems.is_empty();
        let record = entry.link.as_ref().filter(|_| verified).map(|link| &link.record);
        let said = record.map(|record| Said {
            kind: record.kind,
            run: record.run.clone(),
            point: record.point.id.clone(),
            started: record.started,
            finished: record.finished,
            outcome: record.outcome,
            achieved_rpo_ms: record.achieved.rpo_ms,
            objective_rpo_ms: record.objectives.rpo_ms,
            achieved_rto_ms: record.achieved.rto_ms,
            objective_rto_ms: record.objectives.rto_ms,
            compared: record.compared(),
            differences: record.differences(),
        });
        Self { number: entry.number, digest: entry.digest, verified, said }
    }
}

/// `41s of 30m`, and `!` where it is missed.
fn measure(achieved: Option<u64>, objective: Option<u64>) -> String {
    let Some(achieved) = achieved else { return String::new() };
    match objective {
        None => human::ms(achieved),
        Some(objective) => {
            let missed = if achieved > objective { " !" } else { "" };
            format!("{} of {}{missed}", human::ms(achieved), human::ms(objective))
        }
    }
}

impl Shown for List {
    fn text(&self) -> String {
        let mut text = String::new();
        if self.records.is_empty() {
            text += &format!("the stack {} has no evidence yet\n", self.stack);
        } else {
            let mut table = Table::new(&[
                ">NO.",
                "FINISHED",
                ">AGE",
                "KIND",
                "POINT",
                "OUTCOME",
                "RTO",
                "RPO",
                ">COMPARED",
                ">DIFFERENCES",
            ]);
            for row in &self.records {
                let number = row.number.to_string();
                let Some(said) = &row.said else {
                    table.row([number, "does not verify".into()]);
                    continue;
                };
                table.row([
                    number,
                    human::instant(said.finished),
                    human::age(said.finished, self.now),
                    said.kind.word().to_owned(),
                    said.point.chars().take(8).collect(),
                    said.outcome.word().to_owned(),
                    measure(said.achieved_rto_ms, said.objective_rto_ms),
                    measure(said.achieved_rpo_ms, said.objective_rpo_ms),
                    human::number(said.compared),
                    human::number(said.differences),
                ]);
            }
            text += &table.text();
        }
        if self.verified {
            text + &format!("{} verified\n", human::count(self.records.len() as u64, "record"))
        } else {
            let faults: String = self.faults.iter().map(|fault| format!("{fault}\n")).collect();
            text + "DOES NOT VERIFY:\n" + &faults
        }
    }
}

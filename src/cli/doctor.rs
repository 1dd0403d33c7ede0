//! `drydock doctor`

use serde::Serialize;

use super::Done;
use super::output::Shown;
use super::session::Session;
use crate::failure::Category;
use crate::finding::{Finding, Severity};
use crate::maintain::doctor::doctor;
use crate::stack::Name;

/// Check that everything can be reached, read and written, each problem with its fix
///
/// Looks at the store, the repository, every data set, and this machine: versions, privileges, clock, space, memory,
/// the store's quirks. Changes nothing. Exit code 0 when all is good, 3 with warnings, 75 when a snapshot or a restore
/// would fail.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock doctor -f stack.yaml
  drydock doctor -f stack.yaml -o json | jq '.findings[] | select(.severity != \"good\")'")]
pub struct Args {}

#[derive(Serialize)]
struct Result {
    stack: Name,
    worst: Severity,
    findings: Vec<Finding>,
}

pub async fn run(_args: &Args, session: &Session) -> Done {
    let stack = session.stack()?;
    let mut findings = doctor(&stack, &session.cx).await;
    for finding in &mut findings {
        finding.fix = finding.fix.take().map(|fix| session.name_file(&fix));
    }
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Good);
    let category = match worst {
        Severity::Good => None,
        Severity::Warning => Some(Category::Warnings),
        Severity::Problem => Some(Category::Unavailable),
    };
    session.print_with(&Result { stack: stack.name, worst, findings }, category)
}

impl Shown for Result {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut subject = "";
        for finding in &self.findings {
            if finding.subject != subject {
                subject = &finding.subject;
                text += &format!("{subject}\n");
            }
            let word = match finding.severity {
                Severity::Good => "ok",
                Severity::Warning => "WARNING",
                Severity::Problem => "PROBLEM",
            };
            text += &format!("  {word:<8} {}\n", finding.detail);
            if let Some(fix) = &finding.fix {
                text += &format!("  {:<8} fix: {fix}\n", "");
            }
        }
        let number = |severity| self.findings.iter().filter(|f| f.severity == severity).count();
        let (problems, warnings) = (number(Severity::Problem), number(Severity::Warning));
        text + &match (problems, warnings) {
            (0, 0) => "all is well\n".into(),
            (0, warnings) => format!("it works, with {warnings} to know of\n"),
            (problems, warnings) => {
                format!("a snapshot or a restore would fail: {problems} problems, {warnings} warnings\n")
            }
        }
    }
}

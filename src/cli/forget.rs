//! `drydock forget`

use std::time::Duration;

use serde::Serialize;

use super::lock_wait::LockWait;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use super::table::Table;
use super::{Done, human};
use crate::failure::Category;
use crate::maintain::forget::{self, ForgetPlan, plan_forget};
use crate::operation::{Report, Request};
use crate::point::Home;
use crate::repository::forget::{Policy, Within};
use crate::stack::{Retention, Tags, duration};

/// Drop recovery points that no retention rule keeps
///
/// The rules are the Stack document's `retention`, or the options here, which then stand alone. Never dropped are the
/// last complete point, the newest that a drill restored, those kept by `drydock points keep`, and what a run still needs
/// that is not over. The space comes back with `drydock prune`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock forget -f stack.yaml --dry-run
  drydock forget -f stack.yaml && drydock prune -f stack.yaml
  drydock forget -f stack.yaml --keep-last 3 --keep-daily 7 --keep-tag before-upgrade")]
pub struct Args {
    /// Show what would be dropped and why
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    lock: LockWait,
}

#[derive(Debug, clap::Args)]
struct Rules {
    /// Keep the newest N
    #[arg(long, value_name = "N")]
    keep_last: Option<u32>,
    /// Keep the newest of each of the last N hours that have one
    #[arg(long, value_name = "N")]
    keep_hourly: Option<u32>,
    /// … of each of the last N days
    #[arg(long, value_name = "N")]
    keep_daily: Option<u32>,
    /// … of each of the last N weeks
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u32>,
    /// … of each of the last N months
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u32>,
    /// … of each of the last N years
    #[arg(long, value_name = "N")]
    keep_yearly: Option<u32>,
    /// Keep all that are at most this much older than the newest
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    keep_within: Option<Duration>,
    /// Keep the newest of each hour that is at most this much older than the newest of all: `1y5m7d2h` (months, not minutes)
    #[arg(long, value_name = "STRETCH")]
    keep_within_hourly: Option<Within>,
    /// … of each day
    #[arg(long, value_name = "STRETCH")]
    keep_within_daily: Option<Within>,
    /// … of each week
    #[arg(long, value_name = "STRETCH")]
    keep_within_weekly: Option<Within>,
    /// … of each month
    #[arg(long, value_name = "STRETCH")]
    keep_within_monthly: Option<Within>,
    /// … of each year
    #[arg(long, value_name = "STRETCH")]
    keep_within_yearly: Option<Within>,
    /// Keep all with this tag; with all of `a,b`; given twice, with one or the other
    #[arg(long, value_name = "TAGS")]
    keep_tag: Vec<Tags>,
    /// Drop what is older, whatever the other rules say, but for what is kept by a person
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    max_age: Option<Duration>,
}

impl Rules {
    /// What the options say; `None` without any.
    fn policy(&self) -> Option<Policy> {
        let retention = self.retention();
        let policy = Policy {
            within_hourly: self.keep_within_hourly,
            within_daily: self.keep_within_daily,
            within_weekly: self.keep_within_weekly,
            within_monthly: self.keep_within_monthly,
            within_yearly: self.keep_within_yearly,
            ..retention.as_ref().map(forget::policy).unwrap_or_default()
        };
        (policy != Policy::default()).then_some(policy)
    }

    fn retention(&self) -> Option<Retention> {
        let number = Option::unwrap_or_default;
        let retention = Retention {
            keep_last: number(self.keep_last),
            keep_hourly: number(self.keep_hourly),
            keep_daily: number(self.keep_daily),
            keep_weekly: number(self.keep_weekly),
            keep_monthly: number(self.keep_monthly),
            keep_yearly: number(self.keep_yearly),
            keep_within: self.keep_within,
            keep_tags: self.keep_tag.clone(),
            max_age: self.max_age,
        };
        (retention.keeps() || retention.max_age.is_some()).then_some(retention)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Forgotten {
    dry_run: bool,
    #[serde(flatten)]
    plan: ForgetPlan,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    let policy = policy(args, &home)?;
    let plan = if args.dry_run {
        plan_forget(&home, &policy, &session.cx).await?
    } else {
        let led = session.lead(&home, Request::Forget(policy), args.lock.lock_wait).await?;
        let forgot = led.done()?.into_iter().find_map(|report| match report {
            Report::Forget(plan) => Some(plan),
            _ => None,
        });
        forgot.expect("a forget that succeeded here has had a plan")
    };
    let warned = plan.points.iter().any(|fate| fate.overdue) || !plan.unreadable.is_empty();
    session.print_with(&Forgotten { dry_run: args.dry_run, plan }, warned.then_some(Category::Warnings))
}

fn policy(args: &Args, home: &Home) -> Result<Policy, Failed> {
    let hint = "add `retention` to the Stack document, or say for example --keep-daily 14";
    let document = home.stack.spec.retention.as_ref().map(forget::policy);
    args.rules.policy().or(document).ok_or_else(|| Failed::usage("no rule says what to keep", hint))
}

impl Shown for Forgotten {
    fn text(&self) -> String {
        let mut table = Table::new(&["ID", "TIME", "STATE", "FATE", "WHY"]);
        for fate in &self.plan.points {
            let word = match (fate.keep, fate.overdue, self.dry_run) {
                (true, true, _) => "kept, OVERDUE",
                (true, false, _) => "kept",
                (false, _, true) => "would go",
                (false, _, false) => "dropped",
            };
            let (id, time) = (fate.id.short(), human::instant(fate.time));
            table.row([id, time, fate.state.to_owned(), word.to_owned(), fate.reasons.join(", ")]);
        }
        let gone = self.plan.points.iter().filter(|fate| !fate.keep).count();
        let strays = self.plan.strays.iter().filter(|stray| !stray.keep).count();
        let would = if self.dry_run { "would be " } else { "" };
        let mut text = table.text();
        text += &format!("{gone} of {} {would}dropped", human::count(self.plan.points.len() as u64, "recovery point"));
        if strays > 0 {
            text += &format!(", and {} of runs that were cut off", human::count(strays as u64, "snapshot"));
        }
        if !self.plan.journals.is_empty() {
            let journals = human::count(self.plan.journals.len() as u64, "journal");
            text += &format!("; {journals} of old restores {would}removed");
        }
        if gone + strays > 0 && !self.dry_run {
            text += "; `drydock prune` brings the space back";
        }
        text.push('\n');
        if !self.plan.unreadable.is_empty() {
            text += "leftovers were not dropped: there are damaged snapshots, see `drydock check`\n";
        }
        text
    }
}

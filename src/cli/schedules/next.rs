//! `drydock schedules next`

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Done;
use crate::cli::output::Shown;
use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::schedule::{Schedule, ScheduleName, Shift, Zone};
use crate::stack::{Name, Stack};

/// The next instants of each schedule, in its zone and in UTC
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock schedules next
  drydock schedules next nightly-snapshot --count 400   with the days on which clocks change")]
pub struct Args {
    /// Only these schedules
    #[arg(value_name = "NAME")]
    names: Vec<ScheduleName>,
    /// How many of each
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
}

pub fn run(args: &Args, schedules: &[Schedule], stack: Option<&Stack>, session: &Session) -> Done {
    if let Some(unknown) = args.names.iter().find(|name| !schedules.iter().any(|schedule| schedule.name == **name)) {
        let names: Vec<&str> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        return Err(Failed::usage(
            format!("there is no schedule `{unknown}`"),
            format!("there are {}", names.join(", ")),
        ));
    }
    let wanted = |schedule: &&Schedule| args.names.is_empty() || args.names.contains(&schedule.name);
    let now = session.cx.clock.now();
    let rows = schedules.iter().filter(wanted).map(|schedule| Row::of(schedule, stack, now, args.count.into()));
    session.print(&Next { tzdata: Zone::DATABASE, schedules: rows.collect() })
}

/// What `schedules next -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Next {
    /// The release of the built-in time zone database.
    tzdata: &'static str,
    schedules: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    schedule: ScheduleName,
    time_zone: String,
    suspended: bool,
    /// The stack that `starts` is for: the one that was given, where the schedule covers it.
    stack: Option<Name>,
    instants: Vec<Instant>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Instant {
    scheduled: Timestamp,
    /// On the walls of the schedule's zone.
    local: String,
    /// With the stack's jitter; `null` where no stack is given.
    starts: Option<Timestamp>,
    /// What a change of the clocks did to it.
    shift: Option<Shift>,
}

impl Row {
    fn of(schedule: &Schedule, stack: Option<&Stack>, now: Timestamp, count: usize) -> Self {
        let timing = &schedule.spec.timing;
        let stack = stack.map(|stack| &stack.name).filter(|name| schedule.covers(name));
        let offset = stack.map(|name| schedule.offset(name));
        let instants = timing.after(now).take(count).map(|scheduled| Instant {
            scheduled,
            local: timing.zone.show(scheduled),
            starts: offset.map(|offset| scheduled + offset),
            shift: timing.shift(scheduled),
        });
        Self {
            schedule: schedule.name.clone(),
            time_zone: timing.zone.to_string(),
            suspended: schedule.spec.suspend,
            stack: stack.cloned(),
            instants: instants.collect(),
        }
    }
}

impl Instant {
    fn remark(&self, suspended: bool) -> String {
        let mut remarks = Vec::new();
        if suspended {
            remarks.push("suspended".to_owned());
        }
        match self.shift {
            Some(Shift::AfterGap) => remarks.push("the clocks leave its time out; right after that".into()),
            Some(Shift::FirstOfTwo) => remarks.push("the clocks show this twice; the first of the two".into()),
            None => {}
        }
        if let Some(starts) = self.starts.filter(|starts| *starts > self.scheduled) {
            let jitter = starts.duration_since(self.scheduled).unsigned_abs();
            remarks.push(format!("starts {} later (jitter)", crate::stack::duration::human(jitter)));
        }
        remarks.join("; ")
    }
}

impl Shown for Next {
    fn text(&self) -> String {
        if self.schedules.is_empty() {
            return "no schedules\n".into();
        }
        let mut table = Table::new(&["SCHEDULE", "ZONE", "LOCAL", "UTC", "REMARK"]);
        for row in &self.schedules {
            for instant in &row.instants {
                table.row([
                    row.schedule.to_string(),
                    row.time_zone.clone(),
                    instant.local.clone(),
                    instant.scheduled.to_string(),
                    instant.remark(row.suspended),
                ]);
            }
        }
        table.text()
    }
}

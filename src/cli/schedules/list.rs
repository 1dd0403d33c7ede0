//! `drydock schedules`: one line a schedule and stack.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::earlier::Earlier;
use super::{due, stacks};
use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::{Done, human};
use crate::failure::Category;
use crate::schedule::{ConcurrencyPolicy, Due, Schedule, ScheduleName, Wait, Why, Zone};
use crate::stack::{Name, Stack, duration};
use crate::status::LastRun;

pub fn run(folder: &Path, schedules: &[Schedule], stack: Option<&Stack>, earlier: &Earlier, session: &Session) -> Done {
    let now = session.cx.clock.now();
    let rows = schedules.iter().flat_map(|schedule| {
        stacks(schedule, stack).into_iter().map(move |name| Row::of(schedule, name, stack, earlier, now))
    });
    let (folder, earlier_unknown) = (folder.to_owned(), earlier.unknown.clone());
    let list = List { folder, tzdata: Zone::DATABASE, schedules: rows.collect(), earlier_unknown, now };
    let warned = list.schedules.iter().any(Row::can_never_run);
    session.print_with(&list, warned.then_some(Category::Warnings))
}

/// What `schedules -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    folder: PathBuf,
    /// The release of the built-in time zone database.
    tzdata: &'static str,
    schedules: Vec<Row>,
    /// Why no earlier runs are known although there may be some.
    earlier_unknown: Option<String>,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    schedule: ScheduleName,
    file: PathBuf,
    /// `null`: every stack, and none is known here.
    stack: Option<Name>,
    /// The command that does the same.
    does: String,
    cron: String,
    time_zone: String,
    jitter_seconds: u64,
    concurrency_policy: ConcurrencyPolicy,
    starting_deadline_seconds: Option<u64>,
    /// The next instant; its start on the stack may be later by the jitter.
    scheduled: Option<Timestamp>,
    /// `null` where jitter decides and the stack is not known.
    starts: Option<Timestamp>,
    now: Option<Due>,
    /// The run of the newest instant that there is a run of on the stack of `-f`.
    last: Option<LastRun>,
    #[serde(skip)]
    zone: Zone,
}

impl Row {
    fn of(schedule: &Schedule, name: Option<Name>, stack: Option<&Stack>, earlier: &Earlier, now: Timestamp) -> Self {
        let spec = &schedule.spec;
        let last = if name.as_ref() == stack.map(|stack| &stack.name) { earlier.last(schedule, now) } else { None };
        let past = earlier.past(schedule, last.as_ref(), now);
        let due = name.as_ref().map(|name| due(schedule, name, stack, &past, now));
        let starts = match &due {
            Some(Due::Wait(wait)) => wait.next,
            Some(Due::Run(_)) => Some(now),
            None => None,
        };
        let scheduled = match (&due, &name) {
            (Some(Due::Run(start)), _) => Some(start.scheduled),
            (Some(Due::Wait(_)), Some(name)) => starts.map(|starts| starts - schedule.offset(name)),
            _ if spec.suspend => None,
            _ => spec.timing.next(now),
        };
        Self {
            schedule: schedule.name.clone(),
            file: schedule.file.clone(),
            does: spec.operation.to_string(),
            cron: spec.timing.cron.to_string(),
            time_zone: spec.timing.zone.to_string(),
            jitter_seconds: spec.jitter.as_secs(),
            concurrency_policy: spec.concurrency_policy,
            starting_deadline_seconds: spec.starting_deadline.map(|deadline| deadline.as_secs()),
            starts: if name.is_none() && spec.jitter.is_zero() { scheduled } else { starts },
            stack: name,
            scheduled,
            now: due,
            last,
            zone: spec.timing.zone.clone(),
        }
    }

    /// Not before one of the two documents is changed.
    fn can_never_run(&self) -> bool {
        matches!(&self.now, Some(Due::Wait(Wait { why: Why::Misfit { .. }, .. })))
    }

    fn why(&self) -> String {
        match &self.now {
            Some(Due::Run(_)) => "it is due".into(),
            Some(Due::Wait(wait)) => wait.why.sentence(&self.zone).to_string(),
            None if self.scheduled.is_none() => "suspended".into(),
            None if self.jitter_seconds > 0 => {
                let jitter = duration::human(std::time::Duration::from_secs(self.jitter_seconds));
                format!("its time has not come; the start is up to {jitter} later, by the stack (say -f FILE)")
            }
            None => "its time has not come".into(),
        }
    }
}

impl Shown for List {
    fn text(&self) -> String {
        if self.schedules.is_empty() {
            return format!("no schedules in {}\n", self.folder.display());
        }
        let mut table =
            Table::new(&["SCHEDULE", "STACK", "DOES", "WHEN", "ZONE", "LAST", "NEXT", ">IN", "WHY NOT NOW"]);
        for row in &self.schedules {
            let next = row.starts.or(row.scheduled);
            table.row([
                row.schedule.to_string(),
                row.stack.as_ref().map_or_else(|| "(every)".into(), Name::to_string),
                row.does.clone(),
                row.cron.clone(),
                row.time_zone.clone(),
                row.last.as_ref().map(|last| self.last(last)).unwrap_or_default(),
                next.map_or_else(|| "-".into(), |next| row.zone.show(next)),
                next.map(|next| human::ahead(next, self.now)).unwrap_or_default(),
                row.why(),
            ]);
        }
        let unknown = self.earlier_unknown.as_ref().map(|why| format!("earlier runs are not known: {why}\n"));
        table.text() + &unknown.unwrap_or_default()
    }
}

impl List {
    fn last(&self, last: &LastRun) -> String {
        format!("{} {} ago", last.standing.word(), human::age(last.started, self.now))
    }
}

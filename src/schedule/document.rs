//! From a text to its [`Schedule`]s, and to all that is wrong in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConcurrencyPolicy, Cron, History, Operation, ScheduleName, Spec, Timing, Zone, jitter, operation};
use crate::stack::documents::{self, API_VERSION, Document, Typed};
use crate::stack::{self, Name, Place, Problem, duration, nearest};

/// What the document's `kind` says.
pub const KIND: &str = "Schedule";
/// drydock's other kinds, which may stand in the same file.
const OTHER_KINDS: [&str; 2] = [stack::KIND, "Run"];

/// When an operation runs, and on which stacks.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub name: ScheduleName,
    pub spec: Spec,
    /// Where it was read from.
    pub file: PathBuf,
    /// Where its name stands there.
    pub place: Place,
}

/// What one text holds.
#[derive(Debug)]
pub struct Parsed {
    pub schedules: Vec<Schedule>,
    pub problems: Vec<Problem>,
}

impl Schedule {
    /// Whether it runs on `stack`.
    #[must_use]
    pub fn covers(&self, stack: &Name) -> bool {
        self.spec.stacks.as_ref().is_none_or(|stacks| stacks.contains(stack))
    }

    /// How much later than its instants it starts on `stack`.
    #[must_use]
    pub fn offset(&self, stack: &Name) -> SignedDuration {
        jitter::offset(&self.name, stack, self.spec.jitter)
    }
}

/// Reads every Schedule of `text`; other documents are left alone, unless they look like a Schedule that went wrong.
pub fn parse(file: &Path, text: &str) -> Parsed {
    let mut parsed = Parsed { schedules: Vec::new(), problems: Vec::new() };
    let mut is_of_use = false;
    for document in documents::read(text) {
        let result = document.map_err(|problem| vec![problem]).and_then(|document| read(file, &document));
        match result {
            Ok(Content::Schedule(schedule)) => parsed.schedules.push(*schedule),
            Ok(Content::Ours) => is_of_use = true,
            Ok(Content::Foreign) => {}
            Err(problems) => parsed.problems.extend(problems),
        }
    }
    if parsed.schedules.is_empty() && parsed.problems.is_empty() && !is_of_use {
        let message = format!("there is no Schedule; {}", expected());
        parsed.problems.push(Problem { place: Place { line: 1, column: 1 }, field: String::new(), message });
    }
    parsed
}

enum Content {
    Schedule(Box<Schedule>),
    /// Another of drydock's kinds.
    Ours,
    Foreign,
}

fn expected() -> String {
    format!("expected `apiVersion: {API_VERSION}` and `kind: {KIND}`")
}

fn read(file: &Path, document: &Document) -> Result<Content, Vec<Problem>> {
    let refused = |field: &str, message: String| Err(vec![document.problem(field, message)]);
    match document.kind() {
        None => refused("", format!("this is no Schedule; {}", expected())),
        Some(_) if !document.is_ours() => Ok(Content::Foreign),
        Some(KIND) => schedule(file, document).map(|schedule| Content::Schedule(Box::new(schedule))),
        Some(kind) if OTHER_KINDS.contains(&kind) => Ok(Content::Ours),
        Some(kind) => {
            let near = nearest(kind, std::iter::once(KIND));
            let hint = near.map_or_else(expected, |near| format!("did you mean `{near}`?"));
            refused("kind", format!("`{kind}` is not known here; {hint}"))
        }
    }
}

/// The document as it is written; what its types cannot say is looked at all at once.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Written {
    operation: operation::Written,
    #[serde(default)]
    stacks: Option<Vec<Name>>,
    cron: String,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    jitter: Option<Duration>,
    #[serde(default)]
    concurrency_policy: ConcurrencyPolicy,
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    starting_deadline: Option<Duration>,
    #[serde(default)]
    suspend: bool,
    #[serde(default)]
    history: History,
}

fn schedule(file: &Path, document: &Document) -> Result<Schedule, Vec<Problem>> {
    let typed: Typed<ScheduleName, Written> = document.typed().map_err(|problem| vec![problem])?;
    let (name, written) = (typed.metadata.name, typed.spec);
    let mut found = Vec::new();
    problems(&written, &mut found);
    let mut wrong = |field: &str, said: String| found.push((field.to_owned(), said));
    let operation = Operation::try_from(written.operation).map_err(|said| wrong("spec.operation", said)).ok();
    let cron = written.cron.parse::<Cron>().map_err(|said| wrong("spec.cron", said)).ok();
    let zone = written.time_zone.as_deref().map_or(Ok(Zone::utc()), str::parse);
    let zone = zone.map_err(|said| wrong("spec.timeZone", said)).ok();
    let (Some(operation), Some(cron), Some(zone), true) = (operation, cron, zone, found.is_empty()) else {
        return Err(found.iter().map(|(field, said)| document.problem(field, said)).collect());
    };
    let spec = Spec {
        operation,
        stacks: written.stacks,
        timing: Timing { cron, zone },
        jitter: written.jitter.unwrap_or_default(),
        concurrency_policy: written.concurrency_policy,
        starting_deadline: written.starting_deadline,
        suspend: written.suspend,
        history: written.history,
    };
    Ok(Schedule { name, spec, file: file.to_owned(), place: document.problem("metadata.name", "").place })
}

/// What single values cannot say.
fn problems(written: &Written, found: &mut Vec<(String, String)>) {
    if let Some(stacks) = &written.stacks {
        if stacks.is_empty() {
            let message = "no stack is named; leave `stacks` out for every stack, or say `suspend: true`";
            found.push(("spec.stacks".into(), message.into()));
        }
        for (n, name) in stacks.iter().enumerate().filter(|(n, name)| stacks[..*n].contains(name)) {
            found.push((format!("spec.stacks[{n}]"), format!("the stack `{name}` is named twice")));
        }
    }
    if written.starting_deadline.is_some_and(|deadline| deadline < SHORTEST_DEADLINE) {
        let message = "nothing is that punctual; expected at least 1m, or leave it out for no deadline";
        found.push(("spec.startingDeadline".into(), message.into()));
    }
    if written.jitter.is_some_and(|jitter| jitter > LONGEST_JITTER) {
        let message = "starts are spread over one day at most; say the hour in `cron`";
        found.push(("spec.jitter".into(), message.into()));
    }
    for (field, value) in [("successful", written.history.successful), ("failed", written.history.failed)] {
        if value == 0 {
            let message = "expected at least 1: the newest run is how the next one is known";
            found.push((format!("spec.history.{field}"), message.into()));
        }
    }
}

/// A daemon that starts, or that is asked again after a suspended laptop woke, needs seconds, not minutes.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(60);
const LONGEST_JITTER: Duration = Duration::from_secs(86_400);
